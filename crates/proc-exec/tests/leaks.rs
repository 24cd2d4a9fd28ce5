//! Tests that nothing is left behind: descriptors, zombies, threads; with descriptors 0 to 2 closed; at the limit of
//! descriptors; in a forked child.
//!
//! `PROC_EXEC_RUNS` sets the number of mixed runs; the long form is 10,000.

mod common;

use common::{alone, children, descriptors, long_sleep, threads};
use proc_exec::{CancelToken, Command, Input, KillScope, Overflow, RunErrorKind, Sink, cmd, wait_any};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(5);
const SOON: Duration = Duration::from_secs(60);

/// One of many ways to run something, most of which fail.
fn mixed(i: usize, token: &CancelToken) {
    let sleep = || cmd!("sleep", "1000");
    match i % 26 {
        0 => drop(cmd!("true").run().unwrap()),
        1 => drop(cmd!("false").run().unwrap_err()),
        2 => drop(cmd!("no-such-program").run().unwrap_err()),
        3 => drop(cmd!("true").current_dir("/nowhere").input("x").run().unwrap_err()),
        4 => drop(sleep().timeout(SHORT).run().unwrap_err()),
        5 => drop(cmd!("cat").input(vec![1; 100_000]).timeout(SOON).run().unwrap()),
        6 => drop(cmd!("true").input(vec![1; 1 << 20]).run().unwrap()),
        7 => drop(sleep().pipe(cmd!("no-such-program")).run().unwrap_err()),
        8 => drop(cmd!("echo", "a").pipe(cmd!("cat")).timeout(SOON).read().unwrap()),
        9 => drop(sleep().spawn().unwrap()),
        10 => drop(sleep().kill_scope(KillScope::Group).stdin(Input::null()).spawn().unwrap()),
        11 => drop(cmd!("yes").lines().unwrap().next()),
        12 => {
            let mut cat = cmd!("cat").interactive().unwrap();
            cat.write_line("a").unwrap();
            drop(cat.read_line().unwrap());
        }
        13 => drop(cmd!("yes").output_limit(100, Overflow::Fail).run().unwrap_err()),
        14 => drop(sleep().cancel_with(token).run().unwrap_err()),
        15 => {
            let (slow, fast) = (sleep().spawn().unwrap(), cmd!("true").spawn().unwrap());
            assert_eq!(wait_any(&[&slow, &fast], None).unwrap(), Some(1));
        }
        16 => drop(cmd!("cat").stdin(Input::path("/no/such/file")).run().unwrap_err()),
        17 => drop(cmd!("sh", "-c", "exit 3").stderr(Sink::null()).merge_stderr().status().unwrap()),
        18 => {
            let child = cmd!("cat").stdin(Input::pipe()).stdout(Sink::capture()).spawn().unwrap();
            drop(child.take_stdin());
            drop(child.into_output().unwrap());
        }
        19 => cmd!("true").spawn().unwrap().detach(),
        20 => drop(sleep().timeout(SHORT).kill_scope(KillScope::Tree).run().unwrap_err()),
        21 => {
            let cat = cmd!("sh", "-c", "cat; sleep 0.02").interactive().unwrap();
            drop(cat.communicate(vec![1; 100_000], SHORT).map(drop));
            drop(cat.communicate("", SOON).unwrap());
        }
        22 => {
            let child = sleep().stdin(Input::null()).spawn().unwrap();
            let other = child.clone();
            let waiter = std::thread::spawn(move || other.wait_timeout(SOON).is_err());
            drop(child.take_output(proc_exec::Stream::Stdout));
            child.kill().unwrap();
            assert!(waiter.join().unwrap());
        }
        23 => drop(
            cmd!("seq", "9").session().pipe(cmd!("cat")).timeout(SOON).lines().unwrap().finish().unwrap(),
        ),
        24 => asynchronous(i),
        _ => on_terminal(i),
    }
}

#[cfg(feature = "async")]
fn asynchronous(i: usize) {
    let mut running = cmd!("cat").input(vec![1; 100_000]).timeout(SOON).start_async().unwrap();
    if i % 2 == 1 {
        return;
    }
    loop {
        if let Some(result) = running.step() {
            return drop(result.unwrap());
        }
        let mut fds = [rustix::event::PollFd::new(&running, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
    }
}

#[cfg(not(feature = "async"))]
fn asynchronous(_: usize) {}

#[cfg(feature = "pty")]
fn on_terminal(i: usize) {
    let mut cat = cmd!("cat");
    cat.pty(proc_exec::pty::Window::default()).input("a\n");
    if i % 2 == 0 { drop(cat.run().unwrap()) } else { drop(cat.interactive().unwrap()) }
}

#[cfg(not(feature = "pty"))]
fn on_terminal(_: usize) {}

#[test]
fn smoke() {
    let token = CancelToken::new().unwrap();
    token.cancel();
    (0..52).for_each(|i| mixed(i, &token));
}

#[test]
fn mixed_runs_leave_no_descriptor_zombie_or_thread() {
    if alone("mixed_runs_leave_no_descriptor_zombie_or_thread") {
        let runs = std::env::var("PROC_EXEC_RUNS").map_or(520, |n| n.parse().unwrap());
        let token = CancelToken::new().unwrap();
        token.cancel();
        (0..52).for_each(|i| mixed(i, &token));
        // What was detached is reaped by later starts.
        let all_are_reaped = || {
            common::eventually("all are reaped", || {
                cmd!("true").run().unwrap();
                children() == 0
            });
        };
        all_are_reaped();
        let before = (descriptors(), threads());
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let token = token.clone();
                std::thread::spawn(move || (0..runs / 4).for_each(|i| mixed(i + worker * 7, &token)))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        all_are_reaped();
        assert_eq!((descriptors(), threads()), before);
    }
}

#[test]
fn every_set_of_closed_standard_descriptors() {
    if alone("every_set_of_closed_standard_descriptors") {
        let saved: Vec<_> =
            (0..3).map(|fd| rustix::io::fcntl_dupfd_cloexec(borrow(fd), 10).unwrap()).collect();
        for set in 0..8 {
            (0..3).filter(|fd| set >> fd & 1 == 1).for_each(close);
            let outcome = std::panic::catch_unwind(|| {
                let mut shell = Command::shell("cat; echo err >&2");
                let out = shell.input("in").run();
                let merged = shell.merge_stderr().run();
                let piped = cmd!("cat").input("x").pipe(cmd!("cat")).timeout(SOON).read();
                let file = std::fs::File::open("/dev/zero").unwrap();
                let to_null = Command::shell("head -c 1").stdin(file).stderr(Sink::null()).run();
                let status = cmd!("true").stdin(Input::null()).status();
                (out, merged, piped, to_null, status)
            });
            for (fd, copy) in saved.iter().enumerate() {
                restore(copy, fd as i32);
            }
            let (out, merged, piped, to_null, status) = outcome.unwrap();
            let out = out.unwrap();
            assert_eq!((&out.stdout[..], &out.stderr[..]), (&b"in"[..], &b"err\n"[..]), "{set:b}");
            assert_eq!(merged.unwrap().stdout, b"inerr\n", "{set:b}");
            assert_eq!(piped.unwrap(), "x", "{set:b}");
            assert_eq!(to_null.unwrap().stdout, [0], "{set:b}");
            assert!(status.unwrap().success());
        }
    }
}

fn borrow(fd: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: descriptors 0 to 2 are open when this is called, and are put back before anybody misses them.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

fn close(fd: i32) {
    // SAFETY: the test runs alone in its process, and nobody owns these numbers.
    unsafe { libc::close(fd) };
}

fn restore(copy: &std::os::fd::OwnedFd, fd: i32) {
    use std::os::fd::AsRawFd;
    // SAFETY: as in `close`; what is at the number was put there by this test.
    unsafe { libc::dup2(copy.as_raw_fd(), fd) };
}

#[test]
fn a_limit_of_descriptors_that_is_reached_half_way() {
    if alone("a_limit_of_descriptors_that_is_reached_half_way") {
        cmd!("true").run().unwrap();
        let before = descriptors();
        let mut failures = 0;
        let top = before.len() as u64;
        for room in 0..30 {
            set_limit(top + room);
            let limited = cmd!("cat").input("x").timeout(SOON).run();
            let piped = cmd!("echo", "a").pipe(cmd!("cat")).pipe(cmd!("cat")).run();
            set_limit(1024);
            for result in [limited, piped] {
                if let Err(error) = result {
                    assert!(matches!(error.kind(), RunErrorKind::Io | RunErrorKind::Start), "{error}");
                    failures += 1;
                }
            }
            assert_eq!(descriptors(), before, "{room}");
            assert_eq!(children(), 0);
        }
        assert!((2..60).contains(&failures), "{failures}");
        assert!(cmd!("true").run().is_ok());
    }
}

fn set_limit(soft: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: 1024 };
    // SAFETY: a live structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

#[test]
fn a_forked_child_that_drops_a_handle_does_not_end_the_program() {
    if alone("a_forked_child_that_drops_a_handle_does_not_end_the_program") {
        let mark = long_sleep();
        let child = cmd!("sleep", &mark).kill_scope(KillScope::Group).stdin(Input::null()).spawn().unwrap();
        // SAFETY: the child uses nothing that another thread may hold: the harness's other thread waits.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let refused = child.kill().is_err() && child.wait().is_err();
            drop(child);
            // SAFETY: ends the forked child without a return into the harness.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: a live status.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(status, 0);
        assert!(child.wait_timeout(Duration::from_millis(20)).unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap_err().status().unwrap().signal(), Some(9));
    }
}
