//! Tests for events: a flag that processes set, clear and wait for.

mod common;

use std::{
    os::fd::{AsFd, AsRawFd},
    thread,
    time::{Duration, Instant},
};

use common::{LONG, SHORT};
use proc_core::{
    Process,
    transfer::{Packed, pack, unpack},
};
use proc_shm::Event;
use rustix::event::{PollFd, PollFlags, poll};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let event = Event::new().unwrap();
    assert!(!event.is_set());
    event.clear();
    event.set();
    event.set();
    assert!(event.is_set());
    event.wait().unwrap();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
}

#[test]
fn wakes_all_who_wait_in_any_process() {
    let event = Event::new().unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| Process::spawn(|e: Event| e.wait_timeout(LONG).unwrap(), event.clone()).unwrap())
        .collect();
    thread::scope(|s| {
        let threads: Vec<_> = (0..2).map(|_| s.spawn(|| event.wait().is_ok())).collect();
        thread::sleep(SHORT);
        assert!(threads.iter().all(|t| !t.is_finished()));
        event.set();
        assert!(threads.into_iter().all(|t| t.join().unwrap()));
    });
    for child in children {
        assert!(child.join().unwrap());
    }
}

#[test]
fn time_limits_are_kept_and_never_early() {
    let event = Event::new().unwrap();
    assert!(!event.wait_timeout(Duration::ZERO).unwrap());
    let start = Instant::now();
    assert!(!event.wait_timeout(SHORT).unwrap());
    assert!(start.elapsed() >= SHORT);
    assert!(!event.wait_deadline(start).unwrap());
    event.set();
    for limit in [Duration::ZERO, SHORT, Duration::MAX] {
        assert!(event.wait_timeout(limit).unwrap());
    }
    assert!(event.wait_deadline(start).unwrap());
}

#[test]
fn a_killed_waiter_does_not_keep_the_setter() {
    let event = Event::new().unwrap();
    let child = Process::spawn(|e: Event| e.wait().unwrap(), event.clone()).unwrap();
    thread::sleep(SHORT);
    child.kill().unwrap();
    child.join().unwrap_err();
    event.set();
    assert!(event.is_set());
}

#[test]
fn is_a_descriptor_to_poll() {
    let event = Event::new().unwrap();
    let ready = |e: &Event| {
        let mut fds = [PollFd::new(e, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(!ready(&event));
    event.set();
    assert!(ready(&event));
    let flags = rustix::io::fcntl_getfd(event.as_fd()).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn another_descriptor_is_refused() {
    let packed = pack(&Event::new().unwrap()).unwrap();
    assert_eq!(packed.fds.len(), 1);
    // An anonymous file of the same kind that is none.
    let other = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    assert!(other.as_raw_fd() >= 0);
    let Packed { bytes, .. } = packed;
    let error = unpack::<Event>(&bytes, vec![other]).unwrap_err();
    assert!(error.to_string().contains("not an event"), "{error}");
}

#[test]
fn a_signal_ends_no_wait() {
    let event = Event::new().unwrap();
    common::under_signals(|| {
        let start = Instant::now();
        assert!(!event.wait_timeout(SHORT * 3).unwrap());
        assert!(start.elapsed() >= SHORT * 3);
    });
}
