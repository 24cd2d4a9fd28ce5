//! Tests for programs that are built with `panic = "abort"`: message and place arrive all the same.
//!
//! Such a program can't be this one, so it is built here, once, beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = r#"
use proc_core::{Fd, JoinError, Process, StartMethod, Zygote};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Closes what leads to its parent; a socket of its own gets the number, to which nothing may be written then.
fn closes_its_link(socket: Fd<UnixStream>) {
    // SAFETY: nothing in this function uses it, and the library sees that it is gone, which is what is tried here.
    unsafe { drop(OwnedFd::from_raw_fd(3)) };
    let again = socket.0.try_clone().unwrap();
    assert_eq!(again.as_raw_fd(), 3);
    panic!("with another socket there");
}

fn main() {
    proc_core::init();
    for method in [StartMethod::Spawn, StartMethod::Zygote, StartMethod::Fork] {
        let p = Process::builder().start_method(method).spawn(|x: u32| -> u32 { panic!("boom {x}") }, 7).unwrap();
        match p.join() {
            Err(JoinError::Panicked(panic)) => println!("{method:?}: {} at {}", panic.message, panic.location.unwrap()),
            other => println!("{method:?}: {other:?}"),
        }
        let p = Process::builder().start_method(method).spawn(|x: u32| x + 1, 1).unwrap();
        assert_eq!(p.join().unwrap(), 2);
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let p = Process::spawn(closes_its_link, Fd(theirs)).unwrap();
    let mut written = Vec::new();
    ours.read_to_end(&mut written).unwrap();
    println!("{:?}, and {} bytes were written", p.join(), written.len());
    println!("{}", Zygote::preload(|()| panic!("no table"), ()).map(|_: Zygote<()>| ()).unwrap_err());
}
"#;

/// Builds a program on this crate, by the cargo that builds this crate, from what it has already fetched.
fn build(dir: &Path) -> PathBuf {
    let here = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"aborts\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nproc-core = {{ path = {here:?} }}\n\n\
         [profile.dev]\npanic = \"abort\"\ndebug = false\n\n[workspace]\n"
    );
    std::fs::create_dir_all(dir.join("src")).unwrap();
    let write = |name: &str, text: &str| {
        // Untouched where it is the same, so that nothing is built again.
        let path = dir.join(name);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            std::fs::write(path, text).unwrap();
        }
    };
    write("Cargo.toml", &manifest);
    write("src/main.rs", PROGRAM);
    // The same versions, which are there.
    let lock = Path::new(here).ancestors().map(|dir| dir.join("Cargo.lock")).find(|path| path.exists());
    if let (Some(lock), false) = (lock, dir.join("Cargo.lock").exists()) {
        std::fs::copy(lock, dir.join("Cargo.lock")).unwrap();
    }
    // Where macros and build scripts are built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let out = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline"])
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    target.join("debug/aborts")
}

#[test]
fn smoke() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aborts");
    let program = build(&dir);
    let line = PROGRAM.lines().position(|line| line.contains("boom")).unwrap() + 1;
    // Without the dumps of the cores.
    let out = Command::new("sh").args(["-c", "ulimit -c 0; exec \"$0\""]).arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text} {}", String::from_utf8_lossy(&out.stderr));
    for method in ["Spawn", "Zygote", "Fork"] {
        assert!(text.contains(&format!("{method}: boom 7 at src/main.rs:{line}:")), "{text}");
    }
    let killed = "Err(the process was killed by signal 6 (SIGABRT)), and 0 bytes were written";
    assert!(text.contains(killed), "{text}");
    assert!(text.contains("no table"), "{text}");
}
