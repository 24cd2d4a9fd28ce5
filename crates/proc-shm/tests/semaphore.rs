//! Tests for semaphores: permits are counted, waited for, and come back from the dead.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{LONG, SHORT, eventually};
use proc_core::Process;
use proc_shm::{Event, LockError, Semaphore, Value};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let two = Semaphore::new(2).unwrap();
    assert_eq!(two.available(), 2);
    let first = two.acquire().unwrap();
    let second = two.try_acquire().unwrap().unwrap();
    assert_eq!(two.available(), 0);
    assert!(two.try_acquire().unwrap().is_none());
    drop(first);
    assert_eq!(two.available(), 1);
    drop(second);
    assert_eq!(two.available(), 2);
}

#[test]
fn released_permits_are_new_ones() {
    let s = Semaphore::new(0).unwrap();
    assert!(s.try_acquire().unwrap().is_none());
    s.release(3).unwrap();
    assert_eq!(s.available(), 3);
    s.acquire().unwrap().forget();
    s.acquire().unwrap().forget();
    assert_eq!(s.available(), 1);
    s.release(0).unwrap();
    assert_eq!(s.available(), 1);
}

#[test]
fn a_bound_is_kept() {
    let s = Semaphore::bounded(2).unwrap();
    assert_eq!(s.release(1), Err(LockError::AboveBound));
    s.acquire().unwrap().forget();
    s.release(1).unwrap();
    assert_eq!(s.release(1), Err(LockError::AboveBound));
    assert_eq!(s.available(), 2);
    let unbounded = Semaphore::new(1).unwrap();
    assert_eq!(unbounded.release(usize::MAX), Err(LockError::AboveBound));
    assert_eq!(unbounded.available(), 1);
}

#[test]
fn timeouts_are_kept_and_never_early() {
    let s = Semaphore::new(1).unwrap();
    let _all = s.acquire().unwrap();
    for wait in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(s.acquire_timeout(wait).unwrap().is_none());
        assert!(start.elapsed() >= wait);
        assert!(s.acquire_deadline(start + wait).unwrap().is_none());
    }
    thread::scope(|scope| {
        let waiter = scope.spawn(|| s.acquire_timeout(Duration::MAX).unwrap().is_some());
        thread::sleep(SHORT);
        s.release(1).unwrap();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn no_more_than_the_permits_are_inside() {
    fn work((s, inside): (Semaphore, Value<AtomicI64>)) {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _permit = s.acquire().unwrap();
                        assert!(inside.fetch_add(1, SeqCst) < 2);
                        thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
    }
    let shared = (Semaphore::new(2).unwrap(), Value::new(AtomicI64::new(0)).unwrap());
    let children: Vec<_> = (0..3).map(|_| Process::spawn(work, shared.clone()).unwrap()).collect();
    work(shared.clone());
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(shared.0.available(), 2);
}

#[test]
fn one_process_makes_and_another_takes() {
    let s = Semaphore::new(0).unwrap();
    let taker = Process::spawn(
        |s: Semaphore| {
            for _ in 0..200 {
                s.acquire().unwrap().forget();
            }
        },
        s.clone(),
    )
    .unwrap();
    for _ in 0..200 {
        s.release(1).unwrap();
    }
    taker.join().unwrap();
    assert_eq!(s.available(), 0);
}

#[test]
fn a_permit_may_be_dropped_by_another_thread() {
    let s = Semaphore::new(1).unwrap();
    let permit = s.acquire().unwrap();
    thread::scope(|scope| drop(scope.spawn(move || drop(permit)).join()));
    assert_eq!(s.available(), 1);
}

/// A process that has two permits of `s`, until it is killed.
fn holder(s: &Semaphore) -> Process<()> {
    let has = Event::new().unwrap();
    let child = Process::spawn(
        |(s, has): (Semaphore, Event)| {
            let _permits = (s.acquire().unwrap(), s.acquire().unwrap());
            has.set();
            thread::sleep(LONG);
        },
        (s.clone(), has.clone()),
    )
    .unwrap();
    assert!(has.wait_timeout(LONG).unwrap());
    child
}

#[test]
fn permits_come_back_from_the_dead() {
    let s = Semaphore::new(3).unwrap();
    let ours = s.acquire().unwrap();
    let child = holder(&s);
    assert_eq!(s.available(), 0);
    // Somebody waits already when it is killed.
    thread::scope(|scope| {
        let waiter = scope.spawn(|| s.acquire_timeout(LONG).unwrap().is_some());
        thread::sleep(SHORT);
        assert!(!waiter.is_finished());
        child.kill().unwrap();
        child.join().unwrap_err();
        assert!(waiter.join().unwrap());
    });
    eventually("the return of both", || s.available() == 2);
    drop(ours);
    // And somebody who does not wait sees it.
    let child = holder(&s);
    child.kill().unwrap();
    child.join().unwrap_err();
    eventually("the return", || s.available() == 3);
}

#[test]
fn a_killed_waiter_takes_nothing_along() {
    let s = Semaphore::new(1).unwrap();
    let ours = s.acquire().unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| Process::spawn(|s: Semaphore| drop(s.acquire().unwrap()), s.clone()).unwrap())
        .collect();
    thread::sleep(SHORT);
    waiters[1].kill().unwrap();
    drop(ours);
    for (i, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(waiter.join().is_ok(), i != 1);
    }
    assert_eq!(s.available(), 1);
}

#[test]
fn kills_at_random_lose_no_permit() {
    fn hammer(s: Semaphore) {
        loop {
            drop(s.acquire().unwrap());
            let pair = (s.try_acquire().unwrap(), s.try_acquire().unwrap());
            drop(pair);
        }
    }
    let s = Semaphore::new(4).unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Process::spawn(hammer, s.clone()).unwrap()).collect();
    for round in 0..20_u64 {
        thread::sleep(Duration::from_micros(300 + round * 6_131 % 2_503));
        let child = children.remove(0);
        child.kill().unwrap();
        drop(child.join());
        children.push(Process::spawn(hammer, s.clone()).unwrap());
        assert!(s.acquire_timeout(LONG).unwrap().is_some());
    }
    for child in children {
        child.kill().unwrap();
        drop(child.join());
    }
    eventually("the return of all", || s.available() == 4);
}

/// The bell rings all the time, as others come and go.
#[test]
fn permits_come_back_from_the_dead_under_traffic() {
    let s = Semaphore::new(2).unwrap();
    let has = Event::new().unwrap();
    let child = Process::spawn(
        |(s, has): (Semaphore, Event)| {
            let _permit = s.acquire().unwrap();
            has.set();
            thread::sleep(LONG);
        },
        (s.clone(), has.clone()),
    )
    .unwrap();
    assert!(has.wait_timeout(LONG).unwrap());
    child.kill().unwrap();
    child.join().unwrap_err();
    // One permit goes from hand to hand, until there are two.
    let (inside, both, start) = (AtomicI64::new(0), AtomicI64::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while both.load(SeqCst) == 0 && start.elapsed() < LONG / 6 {
                    let permit = s.acquire().unwrap();
                    both.fetch_add(inside.fetch_add(1, SeqCst), SeqCst);
                    thread::sleep(Duration::from_micros(100));
                    inside.fetch_sub(1, SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert_ne!(both.load(SeqCst), 0, "the permit of the dead one did not come back");
}

#[test]
fn the_seats_of_the_dead_are_free_when_they_are_needed() {
    let s = Semaphore::new(600).unwrap();
    // Only a process with one thread may fork.
    let forker = Process::spawn(
        |s: Semaphore| {
            // As many as there are seats.
            for _ in 0..512 {
                let child = Process::fork_with(s.clone(), |s| {
                    let _permit = s.acquire().unwrap();
                    let own = rustix::process::getpid();
                    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
                });
                assert!(child.unwrap().join().is_err());
            }
        },
        s.clone(),
    );
    forker.unwrap().join().unwrap();
    let permit = s.acquire().unwrap();
    assert_eq!(s.available(), 599);
    drop(permit);
}

#[test]
fn a_signal_ends_no_wait() {
    let s = Semaphore::new(0).unwrap();
    common::under_signals(|| {
        let start = Instant::now();
        assert!(s.acquire_timeout(SHORT * 3).unwrap().is_none());
        assert!(start.elapsed() >= SHORT * 3);
    });
}

#[test]
fn a_permit_that_was_leaked_is_its_process_s_until_that_ends() {
    let s = Semaphore::new(1).unwrap();
    let (leaked, go) = (Event::new().unwrap(), Event::new().unwrap());
    let child = Process::spawn(
        |(s, leaked, go): (Semaphore, Event, Event)| {
            thread::scope(|scope| scope.spawn(|| std::mem::forget(s.acquire().unwrap())).join().unwrap());
            leaked.set();
            go.wait().unwrap();
        },
        (s.clone(), leaked.clone(), go.clone()),
    )
    .unwrap();
    assert!(leaked.wait_timeout(LONG).unwrap());
    // The thread has ended, the process not.
    assert!(s.acquire_timeout(SHORT * 10).unwrap().is_none());
    go.set();
    child.join().unwrap();
    assert!(s.acquire_timeout(LONG).unwrap().is_some());
}
