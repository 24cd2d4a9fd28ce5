//! Tests for the line between a new process and its parent's code: whatever goes wrong in the child, it does not cross it.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use common::{LONG, METHODS, pipe, read_to_end, start};
use proc_core::{
    ExitStatus, Fd, Fork, Func, JoinError, Process, ProcessBuilder, SpawnErrorKind, StartMethod, Zygote,
};

proc_core::init_for_tests!();

/// Runs `body` in a process of its own. What follows it there must happen once, and in that process.
#[track_caller]
fn only_the_parent_goes_on(body: fn(())) {
    fn around((body, to): (Func<(), ()>, Fd<File>)) {
        let result = std::panic::catch_unwind(|| body.call(()));
        (&to.0).write_all(format!("{} ", std::process::id()).as_bytes()).unwrap();
        if let Err(payload) = result {
            std::panic::resume_unwind(payload);
        }
    }
    let (read, write) = pipe();
    let arg = (Func::new(body), Fd(write));
    let mut p = Process::builder().daemon(true).process_group().spawn(around, arg).unwrap();
    let id = p.id();
    let result = p.join_timeout(LONG);
    assert_eq!(read_to_end(read), format!("{id} "));
    assert_eq!(result, Ok(Some(())));
}

#[test]
fn smoke() {
    only_the_parent_goes_on(|()| assert_eq!(Process::fork(|| 1).unwrap().join().unwrap(), 1));
}

/// They would make the child panic outside of its function, on its parent's frames.
#[test]
fn settings_that_make_no_sense_are_the_starts_error() {
    only_the_parent_goes_on(|()| {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        let wrong: [fn(ProcessBuilder) -> ProcessBuilder; 7] = [
            |b| b.env("A=B", "x"),
            |b| b.env("", "x"),
            |b| b.env_remove(""),
            |b| b.env("A", "x\0y"),
            |b| b.env_remove("A\0B"),
            |b| b.current_dir("a\0b"),
            |b| b.affinity([5000]),
        ];
        for (i, wrong) in wrong.iter().enumerate() {
            let builders = METHODS.map(|m| Process::builder().start_method(m));
            let mut errors: Vec<_> =
                builders.into_iter().map(|b| wrong(b).spawn(|()| (), ()).unwrap_err()).collect();
            errors.push(zygote.spawn_with(wrong(Process::builder()), |(), ()| (), ()).unwrap_err());
            for error in errors {
                assert_eq!(error.kind(), SpawnErrorKind::Start, "{i}: {error}");
                assert!(error.to_string().contains("not valid"), "{i}: {error}");
                assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
            }
        }
        assert_eq!(zygote.spawn(|(), ()| 3, ()).unwrap().join().unwrap(), 3);
    });
}

/// Where nobody reads standard error, a complaint there must not be a panic.
#[test]
fn a_lost_value_is_not_told_to_a_standard_error_that_nobody_reads() {
    only_the_parent_goes_on(|()| {
        let (read, write) = pipe();
        drop(read);
        // SAFETY: dup2 of an open descriptor onto standard error.
        assert_eq!(unsafe { libc::dup2(write.as_raw_fd(), 2) }, 2);
        for m in METHODS {
            let closes = |()| {
                // SAFETY: whatever is closed belongs to this process, which is what is tried here.
                unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            };
            assert_eq!(start(m, closes, ()).join(), Err(JoinError::Exited(71)), "{m:?}");
        }
    });
}

/// A process that the function forks off returns from the function too, and has no link to deliver a value over.
#[test]
fn a_function_that_forks_returns_in_both_and_one_value_counts() {
    only_the_parent_goes_on(|()| {
        for m in METHODS {
            let forks = |()| {
                // SAFETY: this process has one thread.
                match unsafe { proc_core::fork().unwrap() } {
                    Fork::Child => 1,
                    Fork::Parent(child) => {
                        assert_eq!(child.wait().unwrap(), ExitStatus::Exited(71));
                        2
                    }
                }
            };
            assert_eq!(start(m, forks, ()).join().unwrap(), 2, "{m:?}");
        }
    });
}

/// Runs before the harness, in a program that nobody started as a child: there the panic hook is the program's.
extern "C" fn forks_while_it_panics() {
    struct Forks;
    impl Drop for Forks {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let value = Process::fork(|| 5).map_err(|e| e.to_string()).map(|p| p.join());
            println!("{value:?}");
            let panics = Process::fork(|| -> u32 { panic!("of the child") }).map(|p| p.join());
            println!("{panics:?}");
        }
    }
    if std::env::var_os(PANICS).is_some() {
        let panicked = std::panic::catch_unwind(|| {
            let _forks = Forks;
            panic!("on purpose");
        });
        println!("goes on: {}", panicked.is_err());
        std::process::exit(0);
    }
}

const PANICS: &str = "PROC_CORE_TEST_PANICS";

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = forks_while_it_panics;

#[test]
fn a_destructor_forks_while_its_process_panics() {
    let out = std::process::Command::new("/proc/self/exe").env(PANICS, "1").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let expected =
        ["Ok(Ok(5))", "Ok(Err(the process panicked: of the child))", "goes on: true"].join("\n") + "\n";
    assert_eq!(text, expected, "{}", String::from_utf8_lossy(&out.stderr));
}

/// The last line of a program: it starts something, and ends before that has begun.
#[test]
fn a_process_whose_parent_ends_at_once_runs_all_the_same() {
    fn last_act((method, detached, to): (StartMethod, bool, Fd<File>)) {
        let builder = Process::builder().start_method(method).detached(detached);
        builder.spawn(|to: Fd<File>| (&to.0).write_all(b"it ran").unwrap(), to).unwrap();
        // SAFETY: ends this process, at once.
        unsafe { libc::_exit(0) }
    }
    for method in METHODS {
        for round in 0..10 {
            let (read, write) = pipe();
            let p = Process::spawn(last_act, (method, round % 2 == 1, Fd(write))).unwrap();
            assert_eq!(p.wait().unwrap(), ExitStatus::Exited(0));
            assert_eq!(read_to_end(read), "it ran", "{method:?} {round}");
        }
    }
}
