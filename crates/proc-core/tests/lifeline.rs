//! Tests for daemons: none outlives its parent, however that ends, whatever the daemon is doing.
#![cfg(feature = "functions")]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{LONG, inside, pipe, read_to_end};
use proc_core::{Fd, Process, StartMethod};

proc_core::init_for_tests!();

type Ends = (StartMethod, bool, Fd<UnixStream>, Fd<File>);

/// Starts eight daemons, tells when they are all at work, and waits to be killed.
fn parent((method, by_thread, ready, alive): Ends) {
    let start = move || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let daemons: Vec<_> = (0..8)
            .map(|i| {
                let arg = (i, Fd(theirs.try_clone().unwrap()), Fd(alive.try_clone().unwrap()));
                Process::builder().start_method(method).daemon(true).spawn(daemon, arg).unwrap()
            })
            .collect();
        for _ in 0..8 {
            std::io::Read::read_exact(&mut &ours, &mut [0]).unwrap();
        }
        for daemon in &daemons[6..] {
            daemon.signal(libc::SIGSTOP).unwrap();
        }
        drop(alive);
        daemons
    };
    let daemons = if by_thread { std::thread::spawn(start).join().unwrap() } else { start() };
    (&ready.0).write_all(&[1]).unwrap();
    std::thread::sleep(LONG);
    drop(daemons);
}

fn daemon((i, ready, _alive): (u32, Fd<UnixStream>, Fd<File>)) {
    (&ready.0).write_all(&[1]).unwrap();
    match i {
        0..3 => loop {
            std::hint::spin_loop();
        },
        _ => std::thread::sleep(LONG * 10),
    }
}

#[track_caller]
fn all_die_with_their_parent(method: StartMethod, by_thread: bool) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (all_ended, alive) = pipe();
    let p = Process::spawn(parent, (method, by_thread, Fd(theirs), Fd(alive))).unwrap();
    ours.set_read_timeout(Some(LONG)).unwrap();
    std::io::Read::read_exact(&mut &ours, &mut [0]).unwrap();
    p.kill().unwrap();
    p.wait().unwrap();
    // From here: the kernel closes the other ends while it ends the parent, before it tells of that.
    let begin = Instant::now();
    // Each daemon holds the writing end for as long as it lives.
    read_to_end(all_ended);
    // They have their signal, so this is the time that eight processes take to be scheduled and torn down: milliseconds.
    // Three seconds are for a machine whose CPUs are taken, where a spinning daemon waits its turn to die; what is looked
    // for would be the end of a timer or a sleep, or never.
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn smoke() {
    let (read, write) = pipe();
    let daemon = Process::builder().daemon(true).spawn(|_: Fd<File>| std::thread::sleep(LONG), Fd(write));
    drop(daemon.unwrap());
    read_to_end(read);
}

#[test]
fn spawned_daemons_die_with_their_parent() {
    all_die_with_their_parent(StartMethod::Spawn, false);
}

#[test]
fn spawned_daemons_of_a_thread_that_has_ended_die_with_their_parent() {
    all_die_with_their_parent(StartMethod::Spawn, true);
}

#[test]
fn daemons_of_a_zygote_die_with_their_parent() {
    all_die_with_their_parent(StartMethod::Zygote, false);
}

#[test]
fn daemons_of_a_zygote_and_a_thread_that_has_ended_die_with_their_parent() {
    all_die_with_their_parent(StartMethod::Zygote, true);
}

#[test]
fn forked_daemons_die_with_their_parent() {
    all_die_with_their_parent(StartMethod::Fork, false);
}

/// The end of the thread that started it is not the end of its parent.
#[test]
fn a_daemon_outlives_the_thread_that_started_it() {
    let started = std::thread::spawn(|| {
        Process::builder().daemon(true).spawn(|()| std::thread::sleep(LONG), ()).unwrap()
    });
    let daemon = started.join().unwrap();
    assert_eq!(daemon.wait_timeout(Duration::from_millis(100)).unwrap(), None);
}

/// A parent that returns from `main` while its handles are leaked.
#[test]
fn daemons_die_when_their_parent_exits() {
    let (all_ended, alive) = pipe();
    let p = Process::spawn(
        |alive: Fd<File>| {
            for method in common::METHODS {
                let arg = Fd(alive.try_clone().unwrap());
                let builder = Process::builder().start_method(method).daemon(true);
                let daemon = builder.spawn(|_: Fd<File>| std::thread::sleep(LONG), arg);
                std::mem::forget(daemon.unwrap());
            }
        },
        Fd(alive),
    );
    p.unwrap().join().unwrap();
    read_to_end(all_ended);
}

/// A sibling that is forked later must not hold the line of an earlier one.
#[test]
fn siblings_do_not_hold_each_others_lines() {
    inside(
        |()| {
            let (ended, alive) = pipe();
            let builder = || Process::builder().start_method(StartMethod::Fork).daemon(true);
            let first = builder().spawn(|_: Fd<File>| std::thread::sleep(LONG), Fd(alive)).unwrap();
            let second = builder().fork(|| std::thread::sleep(LONG)).unwrap();
            drop(first);
            // The second one has no copy of the pipe: its sender's end is gone, and the first one's is closed by death.
            read_to_end(ended);
            assert!(second.is_alive());
        },
        (),
    );
}
