//! Tests for the checksum example: its lines are those of `sha256sum`, whatever the files are like and whoever dies.
#![cfg(feature = "pool")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The example as cargo built it beside this test; built now if this test alone was asked for.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let program = test.parent().unwrap().parent().unwrap().join("examples/checksum");
        if !program.exists() {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--example", "checksum"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap();
            assert!(built.success());
        }
        program
    })
}

fn checksum<S: AsRef<OsStr>>(folder: &TempDir, paths: &[S]) -> Output {
    Command::new(program()).args(paths).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn sha256sum<S: AsRef<OsStr>>(folder: &TempDir, paths: &[S]) -> Output {
    Command::new("sha256sum").args(paths).current_dir(folder).env("LC_ALL", "C").output().unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Files that take a while to hash and no room.
fn large(folder: &TempDir, names: &[&str]) {
    for name in names {
        File::create(folder.path().join(name)).unwrap().set_len(12 << 20).unwrap();
    }
}

/// The example on its way, its streams to be read.
fn start<S: AsRef<OsStr>>(folder: &TempDir, paths: &[S], stderr: impl Into<Stdio>) -> std::process::Child {
    Command::new(program())
        .args(paths)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// A child of the process, as soon as one has opened a file of the folder.
fn busy_worker(pid: u32, folder: &TempDir) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in listed.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let open = fs::read_dir(format!("/proc/{child}/fd")).into_iter().flatten().flatten();
            if open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file.starts_with(folder)) {
                return child;
            }
        }
        assert!(Instant::now() < deadline, "no worker opened a file");
        thread::sleep(Duration::from_millis(1));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn smoke() {
    let folder = folder(&[("b/2", b"two"), ("b/1", b"one"), ("a", b"")]);
    let ours = checksum(&folder, &["."]);
    assert!(ours.status.success(), "{ours:?}");
    let theirs = sha256sum(&folder, &["./a", "./b/1", "./b/2"]);
    assert_eq!(text(&ours.stdout), text(&theirs.stdout), "in the order of the names");
    assert!(ours.stderr.is_empty(), "no bar where nobody looks: {}", text(&ours.stderr));
}

#[test]
fn names_of_any_bytes() {
    let folder = folder(&[]);
    let names: Vec<&OsStr> =
        [&b"new\nline"[..], b"back\\slash", b"return\rhere", b"\xff\xfe", b"sp ace", "中文".as_bytes()]
            .map(OsStr::from_bytes)
            .into();
    for name in &names {
        fs::write(folder.path().join(name), name.as_bytes()).unwrap();
    }
    let ours = checksum(&folder, &names);
    assert!(ours.status.success(), "{ours:?}");
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &names).stdout));

    fs::write(folder.path().join("sums"), &ours.stdout).unwrap();
    let checked = sha256sum(&folder, &["--check", "--strict", "sums"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_hashed() {
    let folder = folder(&[("good", b"good"), ("tree/also good", b"good"), ("secret", b"secret")]);
    symlink("nowhere", folder.path().join("tree/dangling")).unwrap();
    let secret = folder.path().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    let forbidden = File::open(&secret).is_err();
    let mut paths = vec!["good", "missing", "/proc/self/mem", "tree"];
    if forbidden {
        paths.push("secret");
    }
    let ours = checksum(&folder, &paths);
    assert_eq!(ours.status.code(), Some(1));
    let said = text(&ours.stderr);
    assert!(said.contains("checksum: /proc/self/mem: "), "{said}");
    assert!(said.contains("checksum: missing: No such file or directory\n"), "{said}");
    assert!(said.contains("checksum: tree/dangling: No such file or directory\n"), "{said}");
    assert_eq!(said.contains("checksum: secret: Permission denied\n"), forbidden, "{said}");
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &["good", "tree/also good"]).stdout));
}

#[test]
fn links_that_go_round_end() {
    let folder = folder(&[("tree/file", b"x")]);
    symlink("..", folder.path().join("tree/up")).unwrap();
    symlink("loop", folder.path().join("tree/loop")).unwrap();
    symlink("file", folder.path().join("tree/link")).unwrap();
    let ours = checksum(&folder, &["tree"]);
    assert_eq!(ours.status.code(), Some(1), "a loop of links is no file");
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &["tree/file", "tree/link"]).stdout));
    assert!(text(&ours.stderr).starts_with("checksum: tree/loop: Too many levels of symbolic links"));
}

/// A directory that this user may not read; for root, who reads everything, as another user.
#[test]
fn a_directory_that_cannot_be_read_is_named_and_the_others_are_walked() {
    let folder = folder(&[("tree/closed/hidden", b"h"), ("tree/open/seen", b"s"), ("tree/z", b"z")]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let closed = folder.path().join("tree/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(program());
    command.arg("tree").current_dir(&folder).stdin(Stdio::null());
    if fs::read_dir(&closed).is_ok() {
        // A user that can't come to the program where it was built is no use.
        let copy = folder.path().join("program");
        // By another process: a file that this one writes is busy in whatever its other threads are just starting.
        assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
        command = Command::new(copy);
        command.arg("tree").current_dir(&folder).stdin(Stdio::null()).uid(65534).gid(65534);
    }
    let ours = command.output().unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(text(&ours.stderr), "checksum: tree/closed: Permission denied\n");
    assert_eq!(ours.status.code(), Some(1));
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &["tree/open/seen", "tree/z"]).stdout));
}

/// What a shell makes of `<(command)`, and other names of this process's own files.
#[test]
fn pipes_that_are_named_are_read() {
    let folder = folder(&[("file", b"from a pipe"), ("other", b"of its own")]);
    let script = r#"exec "$0" <(cat file) other /dev/stdin /dev/null < other"#;
    let ours =
        Command::new("bash").args(["-c", script]).arg(program()).current_dir(&folder).output().unwrap();
    assert!(ours.status.success(), "{ours:?}");
    let sums: Vec<String> =
        text(&ours.stdout).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let theirs = text(&sha256sum(&folder, &["file", "other", "other", "/dev/null"]).stdout);
    let theirs: Vec<&str> = theirs.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(sums, theirs, "{}", text(&ours.stdout));
    assert!(text(&ours.stdout).contains("  /dev/fd/"));
}

#[test]
fn an_output_that_nobody_reads_is_the_end_without_a_word() {
    let folder = folder(&[]);
    let names: Vec<String> = (0..3000).map(|i| format!("{i}")).collect();
    for name in &names {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let mut child = start(&folder, &["."], Stdio::piped());
    drop(child.stdout.take());
    let ours = child.wait_with_output().unwrap();
    assert_eq!((ours.status.code(), &*text(&ours.stderr)), (Some(1), ""));
}

#[test]
fn an_output_that_is_full_is_an_error() {
    let folder = folder(&[("a", b"a"), ("b", b"b")]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ours = Command::new(program()).arg(".").current_dir(&folder).stdout(full).output().unwrap();
    assert_eq!(ours.status.code(), Some(1));
    assert_eq!(text(&ours.stderr), "checksum: standard output: No space left on device\n");
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let folder = folder(&[("file", b"x")]);
    assert!(Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap().success());
    let ours = checksum(&folder, &["."]);
    assert_eq!(ours.status.code(), Some(1));
    assert!(text(&ours.stderr).contains("fifo: Not a regular file"), "{}", text(&ours.stderr));
}

#[test]
fn standard_input_and_no_arguments() {
    let folder = folder(&[("file", b"from a pipe")]);
    let mut child =
        Command::new(program()).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    let ours = text(&child.wait_with_output().unwrap().stdout);
    assert_eq!(ours, text(&sha256sum(&folder, &["file"]).stdout).replace("file", "-"));
    assert_eq!(checksum(&folder, &[] as &[&str]).status.code(), Some(2));
}

#[test]
fn a_killed_worker_costs_nothing_but_time() {
    let folder = folder(&[]);
    let names = ["a", "b", "c", "d"];
    large(&folder, &names);
    let child = start(&folder, &names, Stdio::piped());
    let victim = busy_worker(child.id(), &folder).to_string();
    assert!(Command::new("kill").args(["-KILL", &victim]).status().unwrap().success());
    let ours = child.wait_with_output().unwrap();
    assert!(ours.status.success(), "{}", text(&ours.stderr));
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &names).stdout));
}

#[test]
fn a_file_that_vanishes_on_the_way_is_an_error_of_its_own() {
    let folder = folder(&[("z", b"soon gone")]);
    large(&folder, &["a", "b", "c", "d", "e", "f"]);
    let paths = ["a", "b", "c", "d", "e", "f", "z"];
    let child = start(&folder, &paths, Stdio::piped());
    // The walk is over when the first file is open.
    busy_worker(child.id(), &folder);
    fs::remove_file(folder.path().join("z")).unwrap();
    let ours = child.wait_with_output().unwrap();
    assert_eq!(ours.status.code(), Some(1));
    assert_eq!(text(&ours.stderr), "checksum: z: No such file or directory\n");
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &paths[..6]).stdout));
}

#[test]
fn a_terminal_sees_a_bar() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let folder = folder(&[]);
    let names = ["a", "b", "c"];
    large(&folder, &names);
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
    let child = start(&folder, &names, side);
    let reader = thread::spawn(move || {
        let mut terminal = File::from(terminal);
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        // A terminal whose other side is closed ends with an error.
        while let Ok(n @ 1..) = terminal.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..n]);
        }
        text(&seen)
    });
    let ours = child.wait_with_output().unwrap();
    assert!(ours.status.success());
    assert_eq!(text(&ours.stdout), text(&sha256sum(&folder, &names).stdout));
    let seen = reader.join().unwrap();
    assert!(seen.contains("/3 files"), "{seen:?}");
}
