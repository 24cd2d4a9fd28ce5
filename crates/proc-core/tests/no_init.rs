//! Tests for a program that forgets `init`, or calls it too late: nothing is ever started. (This file has no
//! `init_for_tests!`, for that reason.) Its tests share the state of one process, so they are one.
#![cfg(feature = "functions")]

use proc_core::{Fork, Process, SpawnErrorKind, StartMethod, Zygote};

fn has_children() -> bool {
    // SAFETY: a null status is not written.
    let result = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
    result != -1 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ECHILD)
}

#[track_caller]
fn nothing_starts(why: &str) {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for method in [StartMethod::Spawn, StartMethod::Zygote] {
        let error = Process::builder().start_method(method).spawn(|x: u32| x, 1).unwrap_err();
        assert_eq!(error.kind(), SpawnErrorKind::NotInitialized);
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = Zygote::preload(|()| (), ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::NotInitialized);
    // A harness has two threads.
    let error = Process::fork(|| ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Threads);
    assert!(!has_children());
    assert_eq!(open(), before);
    assert!(proc_core::active_children().is_empty());
}

/// Such a program, begun before the harness is: its `main` starts a process of itself.
extern "C" fn forgetful_main() {
    if std::env::var_os(FORGETFUL).is_none() {
        return;
    }
    println!("main of {}", std::process::id());
    for method in [StartMethod::Spawn, StartMethod::Zygote] {
        match Process::builder().start_method(method).spawn(|x: u32| x, 1) {
            Ok(p) => println!("started {}", p.id()),
            Err(e) => println!("{:?}", e.kind()),
        }
    }
    std::process::exit(0);
}

const FORGETFUL: &str = "PROC_CORE_TEST_FORGETFUL";

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = forgetful_main;

fn a_forgetful_program_is_one_process() {
    let program = std::env::current_exe().unwrap();
    let out = std::process::Command::new(program).env(FORGETFUL, "1").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}");
    // Whoever runs its `main` says so, in the same stream.
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("main of "), "{text}");
    assert_eq!(lines[1..], ["NotInitialized", "NotInitialized"], "{text}");
}

#[test]
fn smoke() {
    a_forgetful_program_is_one_process();
    nothing_starts("`init()` was not called; make it the first line of `main`");
    // In a program that is itself what a child runs, this would be the beginning of an endless chain.
    proc_core::init();
    nothing_starts("after threads were started");
    proc_core::init();
    nothing_starts("after threads were started");

    // The raw fork needs no `init`.
    // SAFETY: the child makes one system call.
    match unsafe { proc_core::fork().unwrap() } {
        // SAFETY: ends the child.
        Fork::Child => unsafe { libc::_exit(0) },
        Fork::Parent(child) => child.join().unwrap(),
    }
    assert!(!has_children());
}
