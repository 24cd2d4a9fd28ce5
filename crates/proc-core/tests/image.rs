//! Tests for the program's own image: functions outside of it, a file that is replaced, and harnesses that start tests
//! one by one.
#![cfg(feature = "functions")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use common::{children, inside, start};
use proc_core::{Func, Process, SpawnErrorKind, StartMethod, Zygote};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    assert_eq!(start(StartMethod::Spawn, |x: u32| x, 1).join().unwrap(), 1);
}

/// The address of a function in another object as one of ours; it is never called.
fn foreign(address: *mut libc::c_void) -> fn(u32) -> u32 {
    assert!(!address.is_null());
    // SAFETY: a function pointer is an address that is not null, and this one is not called.
    unsafe { std::mem::transmute::<*mut libc::c_void, fn(u32) -> u32>(address) }
}

#[track_caller]
fn is_refused(f: fn(u32) -> u32) {
    let error = Process::spawn(f, 1).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Function);
    assert!(error.to_string().contains("outside the program's own executable"), "{error}");
    let error = Process::builder().start_method(StartMethod::Zygote).spawn(f, 1).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Function);
    let error = proc_core::transfer::pack(&Func::new(f)).unwrap_err();
    assert!(error.to_string().contains("outside"), "{error}");
    let error = Process::spawn(|f: Func<u32, u32>| f.call(1), Func::new(f)).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Argument);
    let error = Zygote::preload(f, 1).unwrap_err();
    assert!(matches!(error.kind(), SpawnErrorKind::Function | SpawnErrorKind::Argument), "{error}");
}

#[test]
fn functions_outside_the_program_are_refused() {
    fn body((): ()) {
        // SAFETY: a name that libc has; it is not called.
        is_refused(foreign(unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getpid".as_ptr()) }));
        // Memory that was made at run time.
        is_refused(foreign(Box::leak(Box::new([0xc3_u8; 64])).as_mut_ptr().cast()));
        assert!(children().is_empty());
    }
    inside(body, ());
}

#[test]
fn functions_of_a_plugin_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("plugin.c"), dir.path().join("plugin.so"));
    std::fs::write(&source, "unsigned twice(unsigned x) { return 2 * x; }\n").unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.unwrap().success());
    let path = std::ffi::CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the plugin has no constructors; its function is looked up and not called.
    let twice = unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null());
        libc::dlsym(handle, c"twice".as_ptr())
    };
    is_refused(foreign(twice));
}

/// Runs one test of a copy of this program, as nextest would run it.
fn run_one(program: &std::path::Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// In the copy: says that it runs, waits, and starts processes.
#[test]
fn starts_when_told_to() {
    if std::env::var_os("PROC_CORE_TEST_TOLD").is_none() {
        return;
    }
    println!("\nrunning now");
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let values =
        [StartMethod::Spawn, StartMethod::Zygote].map(|m| start(m, |x: u32| x + 1, 1).join().unwrap());
    println!("values {values:?}");
}

#[test]
fn a_program_that_is_replaced_while_it_runs_starts_itself() {
    for replace in ["by another", "by nothing", "by its own copy"] {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("program");
        // By another process: a file that this one writes is busy in whatever its other threads are just starting.
        let own = std::env::current_exe().unwrap();
        assert!(Command::new("cp").arg(own).arg(&copy).status().unwrap().success());
        let mut child =
            run_one(&copy, "starts_when_told_to").env("PROC_CORE_TEST_TOLD", "1").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "running now"));
        let other = dir.path().join("other");
        match replace {
            "by another" => {
                std::fs::copy("/bin/false", &other).unwrap();
                std::fs::rename(&other, &copy).unwrap();
            }
            "by nothing" => std::fs::remove_file(&copy).unwrap(),
            _ => {
                std::fs::copy(&copy, &other).unwrap();
                std::fs::rename(&other, &copy).unwrap();
            }
        }
        child.stdin.take().unwrap().write_all(&[1]).unwrap();
        assert!(lines.any(|line| line == "values [2, 2]"), "{replace}");
        assert!(child.wait().unwrap().success(), "{replace}");
    }
}

/// nextest asks for the list, and then runs each test in a process of its own.
#[test]
fn under_nextest() {
    let program = std::env::current_exe().unwrap();
    let list = Command::new(&program).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let mut names: Vec<_> = list.lines().map(|line| line.strip_suffix(": test").unwrap()).collect();
    names.sort_unstable();
    assert!(names.contains(&"smoke") && names.contains(&"under_nextest"), "{names:?}");
    for name in ["smoke", "functions_outside_the_program_are_refused"] {
        let out = run_one(&program, name).env("NEXTEST", "1").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && text.contains("1 passed"), "{text}");
    }
}

/// Through the loader `/proc/self/exe` is the loader: a new process would not be this program.
#[test]
fn a_program_that_was_started_through_the_loader_says_so() {
    let loader = std::fs::read_to_string("/proc/self/maps").unwrap();
    let loader = loader.lines().filter_map(|line| line.split_whitespace().nth(5));
    let Some(loader) = loader.into_iter().find(|path| path.contains("/ld-linux")) else {
        panic!("no loader among the mappings");
    };
    let out = Command::new(loader)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_loaded_program_says", "--nocapture"])
        .env("PROC_CORE_TEST_LOADED", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("it said so"), "{text}");
}

#[test]
fn what_a_loaded_program_says() {
    if std::env::var_os("PROC_CORE_TEST_LOADED").is_none() {
        return;
    }
    let error = Process::spawn(|x: u32| x, 1).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Function);
    assert!(error.to_string().contains("loader"), "{error}");
    println!("it said so");
}
