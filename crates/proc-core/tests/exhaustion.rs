//! Tests for a shortage of descriptors and a death in the middle: a start is an error or a process, never a hang, and a
//! function never runs twice.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, METHODS, children, eventually, inside, open_descriptors, pipe, read_to_end, start};
use proc_core::spawner::Spawner;
use proc_core::{ExitStatus, Fd, Fork, JoinError, Process, SpawnErrorKind, StartMethod, Stdio, Zygote};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

proc_core::init_for_tests!();

/// Runs `body` while only `free` descriptors more can be opened here.
fn with_free<T>(free: usize, body: impl FnOnce() -> T) -> T {
    let old = getrlimit(Resource::Nofile);
    // The limit is about numbers, so the gaps are filled.
    let highest = open_descriptors().last().unwrap().0;
    let fill = || File::open("/dev/null").unwrap();
    let held: Vec<File> =
        std::iter::repeat_with(fill).take_while(|file| file.as_raw_fd() < highest).collect();
    let limit = highest as u64 + 1 + free as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..old }).unwrap();
    let result = body();
    setrlimit(Resource::Nofile, old).unwrap();
    drop(held);
    result
}

fn settled(helpers: usize) {
    eventually("nobody is left", || {
        proc_core::active_children();
        children().len() == helpers
    });
}

/// A dot for each run of the function.
fn dot(to: Fd<File>) -> u32 {
    (&to.0).write_all(b".").unwrap();
    7
}

#[test]
fn smoke() {
    inside(
        |()| {
            let open = || File::open("/dev/null").ok();
            let opened: Vec<File> = with_free(3, || std::iter::from_fn(open).take(9).collect());
            assert_eq!(opened.len(), 3);
        },
        (),
    );
}

#[test]
fn starts_with_few_descriptors_run_their_function_once_or_not_at_all() {
    fn body(m: StartMethod) {
        start(m, |()| (), ()).join().unwrap();
        settled(usize::from(m == StartMethod::Zygote));
        let before = open_descriptors().len();
        let mut started = 0;
        for with_streams in [false, true] {
            for free in 0..16 {
                let (read, write) = pipe();
                let mut builder = Process::builder().start_method(m).detached(free % 4 == 3);
                if with_streams {
                    builder = builder.stdin(Stdio::Null).stdout(File::open("/dev/null").unwrap());
                }
                let result = with_free(free, || builder.spawn(dot, Fd(write)));
                match result {
                    // The value arrives once there is room for it.
                    Ok(p) => {
                        assert_eq!(p.join().unwrap(), 7, "{free}");
                        assert_eq!(read_to_end(read), ".", "{free}");
                        started += 1;
                    }
                    Err(e) => {
                        assert!(e.kind() != SpawnErrorKind::Threads, "{free}: {e}");
                        assert_eq!(read_to_end(read), "", "{free}: {e}");
                    }
                }
            }
        }
        assert!(started > 4, "only {started} of 32 started");
        settled(usize::from(m == StartMethod::Zygote));
        assert_eq!(open_descriptors().len(), before);
    }
    for m in METHODS {
        inside(body, m);
    }
}

#[test]
fn a_value_that_there_is_no_descriptor_for_is_an_error_of_its_own() {
    fn body(m: StartMethod) {
        // Such a value comes in a file; not yet while its process is started, which takes in what is there.
        let (gate, open) = pipe();
        let makes = |(gate, n): (Fd<File>, usize)| {
            (&gate.0).read_exact(&mut [0]).unwrap();
            vec![7_u8; n]
        };
        let mut p = start(m, makes, (Fd(gate), 200_000));
        (&open).write_all(&[1]).unwrap();
        eventually("it has ended", || !p.is_alive());
        match with_free(0, || p.join_timeout(LONG)) {
            Err(JoinError::Decode(why)) => assert!(why.contains("open files"), "{why}"),
            other => panic!("{m:?}: {:?}", other.map(|v| v.map(|v| v.len()))),
        }
        // Nor there.
        let p = start(m, |n: usize| with_free_for_ever(n), 200_000);
        match p.join() {
            Err(JoinError::Encode(why)) => assert!(why.contains("open files"), "{why}"),
            other => panic!("{m:?}: {:?}", other.map(|v| v.len())),
        }
        let limited = Process::builder().start_method(m).resource_limit(libc::RLIMIT_FSIZE, 0, 0);
        let p = limited.spawn(|n: usize| vec![7_u8; n], 200_000).unwrap();
        assert!(matches!(p.wait().unwrap(), ExitStatus::Exited(71)));
        assert!(matches!(p.join(), Err(JoinError::Encode(why)) if why.contains("File too large")));
    }
    fn with_free_for_ever(n: usize) -> Vec<u8> {
        let old = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..old }).unwrap();
        vec![7; n]
    }
    for m in METHODS {
        inside(body, m);
    }
}

#[test]
fn a_zygote_that_runs_out_of_descriptors_is_deaf_only_until_it_has_some() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| (), ()).unwrap();
        // With a child, so that it has a reason to stay.
        let sleeper = zygote.spawn_daemon(|(), ()| std::thread::sleep(LONG), ()).unwrap();
        let id = zygote.handle().unwrap().id();
        let pid = Pid::from_raw(id as i32);
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count() as u64;
        let mut refused = 0;
        for free in 0..12 {
            let old = prlimit(
                pid,
                Resource::Nofile,
                Rlimit { current: Some(open + free), ..getrlimit(Resource::Nofile) },
            );
            let old = old.unwrap();
            let (read, write) = pipe();
            let builder = Process::builder().stdin(Stdio::Null).stdout(Stdio::Null);
            let result = zygote.spawn_with(builder, |(), to: Fd<File>| dot(to), Fd(write));
            prlimit(pid, Resource::Nofile, old).unwrap();
            // A child has the limit of its zygote, so its function may be refused its argument.
            let (value, runs) = match result {
                Ok(p) => (p.join().map_err(|e| e.to_string()), 1),
                Err(e) => (Err(e.to_string()), 0),
            };
            let dots = read_to_end(read);
            assert!(dots.len() <= runs && (dots == "." || value.is_err()), "{free}: {dots:?} {value:?}");
            refused += usize::from(value.is_err());
            assert_eq!(zygote.handle().unwrap().id(), id, "it is the same");
            assert_eq!(zygote.spawn(|(), x: u32| x, 5).unwrap().join().unwrap(), 5, "{free}");
        }
        assert!(refused > 0);
        assert!(sleeper.is_alive());
    }
    inside(body, ());
}

extern "C" fn die() {
    // SAFETY: raise has no precondition.
    unsafe { libc::raise(libc::SIGKILL) };
}

/// Until no child is left: where SIGCHLD is ignored a wait for one is a wait for that.
extern "C" fn linger() {
    // SAFETY: a null status is not written.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } != -1 {}
}

fn after_each_fork(hook: extern "C" fn()) {
    // SAFETY: the hook is a function without arguments that stays where it is.
    assert_eq!(unsafe { libc::pthread_atfork(None, Some(hook), None) }, 0);
}

/// It can't tell of the process that it has just forked.
#[test]
fn a_zygote_that_is_killed_right_after_a_fork_has_forked_once() {
    fn body((): ()) {
        let zygote = Zygote::preload(|()| after_each_fork(die), ()).unwrap();
        for _ in 0..5 {
            let (read, write) = pipe();
            let begin = Instant::now();
            let slow = |(): &'static (), to: Fd<File>| {
                std::thread::sleep(Duration::from_millis(200));
                dot(to)
            };
            let p = zygote.spawn(slow, Fd(write)).unwrap();
            assert!(p.is_alive() || begin.elapsed() > Duration::from_millis(200));
            assert_eq!(p.join().unwrap(), 7);
            assert_eq!(read_to_end(read), ".");
        }
    }
    inside(body, ());
}

/// Where nobody need wait for children, one may be gone before its parent has a descriptor of it.
#[test]
fn children_that_are_reaped_before_there_is_a_descriptor_of_them() {
    fn body((): ()) {
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        after_each_fork(linger);
        let p = Process::fork(|| 5).unwrap();
        p.signal(libc::SIGTERM).unwrap();
        assert!(!p.is_alive());
        assert_eq!(p.join().unwrap(), 5);
        let p = Process::fork(|| -> u32 { std::process::exit(0) }).unwrap();
        assert_eq!(p.exit_status(), Some(ExitStatus::Lost));
        assert_eq!(p.join(), Err(JoinError::Lost));
        // SAFETY: this process has one thread.
        match unsafe { proc_core::fork().unwrap() } {
            // SAFETY: ends the child.
            Fork::Child => unsafe { libc::_exit(0) },
            Fork::Parent(child) => assert_eq!(child.join(), Err(JoinError::Lost)),
        }
        // The road of a change of user.
        let own = rustix::process::getuid().as_raw();
        let child = Spawner::new("true").uid(own).start().unwrap();
        assert_eq!(child.wait().unwrap().status, ExitStatus::Lost);
        let error = Spawner::new("/no/such").uid(own).start().unwrap_err();
        assert_eq!(error.io_error().kind(), std::io::ErrorKind::NotFound, "{error}");
        assert!(children().is_empty());
    }
    inside(body, ());
}

static HOLDER: AtomicI32 = AtomicI32::new(0);

/// Forks as another thread's code might at this very moment, around libc: the new process has a copy of all that is open.
extern "C" fn fork_a_holder() {
    if HOLDER.load(Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: a plain fork, as numbers; the child makes system calls only.
    unsafe {
        match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) {
            0 => loop {
                libc::syscall(libc::SYS_rt_sigsuspend, &0_u64, 8);
            },
            pid => HOLDER.store(pid as i32, Ordering::Relaxed),
        }
    }
}

/// A start by a fork learns of its success by the end of a pipe, of which others may have a copy.
#[test]
fn a_start_does_not_wait_for_whoever_else_was_forked_at_that_moment() {
    fn body((): ()) {
        // SAFETY: the hook is a function without arguments that stays where it is.
        assert_eq!(unsafe { libc::pthread_atfork(Some(fork_a_holder), None, None) }, 0);
        let own = rustix::process::getuid().as_raw();
        let ended = || {
            let holder = HOLDER.swap(0, Ordering::Relaxed);
            // SAFETY: a child of ours that nobody else waits for, and a null status.
            unsafe {
                assert_eq!(libc::kill(holder, libc::SIGKILL), 0);
                assert_eq!(libc::waitpid(holder, std::ptr::null_mut(), 0), holder);
            }
        };
        let child = Spawner::new("true").uid(own).start().unwrap();
        assert!(child.wait().unwrap().status.success());
        ended();
        let error = Spawner::new("/no/such").uid(own).start().unwrap_err();
        assert_eq!(error.io_error().kind(), std::io::ErrorKind::NotFound, "{error}");
        ended();
    }
    inside(body, ());
}
