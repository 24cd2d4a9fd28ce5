//! Tests for condition variables, with every lock they go with.

mod common;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use common::{LONG, SHORT, eventually};
use proc_core::Process;
use proc_shm::{Array, Condvar, Event, LockError, Mutex, RecursiveMutex, Value};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let (turn, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    changed.notify_one();
    changed.notify_all();
    let guard = changed.wait_while(turn.lock().unwrap(), |t| *t != 0).unwrap();
    drop(guard);
    let (guard, result) = changed.wait_timeout(turn.lock().unwrap(), SHORT).unwrap();
    assert!(result.timed_out());
    assert_eq!(*guard, 0);
}

#[test]
fn takes_turns_between_processes() {
    fn play((turn, changed, me): (Mutex<u32>, Condvar, u32)) {
        for round in 0..200 {
            let mut turn = changed.wait_while(turn.lock().unwrap(), |t| *t != round * 2 + me).unwrap();
            *turn += 1;
            drop(turn);
            changed.notify_one();
        }
    }
    let (turn, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let child = Process::spawn(play, (turn.clone(), changed.clone(), 1)).unwrap();
    play((turn.clone(), changed, 0));
    child.join().unwrap();
    assert_eq!(*turn.lock().unwrap(), 400);
}

#[test]
fn notify_all_wakes_threads_and_processes() {
    fn wait((open, changed, through): (Mutex<u32>, Condvar, Value<AtomicU32>)) {
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let guard = changed.wait_while(open.lock().unwrap(), |open| *open == 0).unwrap();
                    drop(guard);
                    through.fetch_add(1, SeqCst);
                });
            }
        });
    }
    let (open, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let through = Value::new(AtomicU32::new(0)).unwrap();
    let all = (open.clone(), changed.clone(), through.clone());
    let children: Vec<_> = (0..2).map(|_| Process::spawn(wait, all.clone()).unwrap()).collect();
    thread::scope(|s| {
        s.spawn(move || wait(all));
        thread::sleep(SHORT);
        changed.notify_all();
        thread::sleep(SHORT);
        assert_eq!(through.load(SeqCst), 0);
        *open.lock().unwrap() = 1;
        changed.notify_all();
    });
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(through.load(SeqCst), 9);
}

#[test]
fn each_notification_lets_one_through_that_finds_work() {
    let (jobs, changed) = (Mutex::new(0_i32).unwrap(), Condvar::new().unwrap());
    let done = AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let mut jobs = changed.wait_while(jobs.lock().unwrap(), |n| *n == 0).unwrap();
                *jobs -= 1;
                done.fetch_add(1, SeqCst);
            });
        }
        for n in 1..=4 {
            *jobs.lock().unwrap() += 1;
            changed.notify_one();
            eventually("one more", || done.load(SeqCst) == n);
            thread::sleep(Duration::from_millis(5));
            assert_eq!(done.load(SeqCst), n);
        }
    });
}

#[test]
fn time_limits_are_kept_and_never_early() {
    let (flag, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    let start = Instant::now();
    let (guard, result) = changed.wait_timeout_while(flag.lock().unwrap(), SHORT, |f| *f == 0).unwrap();
    assert!(result.timed_out() && start.elapsed() >= SHORT);
    let (guard, result) = changed.wait_timeout(guard, Duration::ZERO).unwrap();
    assert!(result.timed_out());
    let (guard, result) = changed.wait_deadline(guard, Instant::now() + SHORT).unwrap();
    assert!(result.timed_out());
    let (guard, result) = changed.wait_timeout_while(guard, Duration::MAX, |_| false).unwrap();
    assert!(!result.timed_out());
    drop(guard);
    thread::scope(|s| {
        let waiter = s.spawn(|| {
            let guard = flag.lock().unwrap();
            changed.wait_timeout_while(guard, Duration::MAX, |f| *f == 0).unwrap().1.timed_out()
        });
        thread::sleep(SHORT);
        *flag.lock().unwrap() = 1;
        changed.notify_one();
        assert!(!waiter.join().unwrap());
    });
}

#[test]
fn who_timed_out_absorbs_no_notification() {
    let (flag, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| drop(changed.wait_timeout(flag.lock().unwrap(), Duration::from_millis(1)).unwrap()));
        }
    });
    thread::scope(|s| {
        let waiter = s.spawn(|| drop(changed.wait_while(flag.lock().unwrap(), |f| *f == 0).unwrap()));
        thread::sleep(SHORT);
        *flag.lock().unwrap() = 1;
        changed.notify_one();
        waiter.join().unwrap();
    });
}

#[test]
fn killed_waiters_keep_nobody() {
    let (flag, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    for _ in 0..5 {
        let ready = Event::new().unwrap();
        let child = Process::spawn(
            |(flag, changed, ready): (Mutex<i32>, Condvar, Event)| {
                let guard = flag.lock().unwrap();
                ready.set();
                drop(changed.wait_while(guard, |f| *f == 0));
            },
            (flag.clone(), changed.clone(), ready.clone()),
        )
        .unwrap();
        assert!(ready.wait_timeout(LONG).unwrap());
        // When we have the lock, the child waits.
        drop(flag.lock().unwrap());
        child.kill().unwrap();
        child.join().unwrap_err();
        let start = Instant::now();
        changed.notify_one();
        changed.notify_all();
        assert!(start.elapsed() < LONG);
    }
    thread::scope(|s| {
        s.spawn(|| drop(changed.wait_while(flag.lock().unwrap(), |f| *f == 0).unwrap()));
        thread::sleep(SHORT);
        *flag.lock().unwrap() = 1;
        changed.notify_one();
    });
}

#[test]
fn an_owner_that_dies_while_one_waits_is_an_error_of_the_wait() {
    let (flag, changed) = (Mutex::new(0).unwrap(), Condvar::new().unwrap());
    thread::scope(|s| {
        let waiter = s.spawn(|| changed.wait(flag.lock().unwrap()).map(drop));
        thread::sleep(SHORT);
        let child = Process::spawn(
            |(flag, changed): (Mutex<i32>, Condvar)| {
                let _guard = flag.lock().unwrap();
                changed.notify_one();
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                    .unwrap();
            },
            (flag.clone(), changed.clone()),
        );
        child.unwrap().join().unwrap_err();
        assert_eq!(waiter.join().unwrap(), Err(LockError::OwnerDied));
    });
}

#[test]
fn goes_with_every_lock() {
    let changed = Condvar::new().unwrap();
    let go = AtomicBool::new(false);
    let value = Value::new(0).unwrap();
    let array = Array::from_slice(&[0; 4]).unwrap();
    let part = array.parts(2).remove(1);
    let recursive = RecursiveMutex::new(0).unwrap();
    thread::scope(|s| {
        let a = s.spawn(|| *changed.wait_while(value.lock().unwrap(), |v| *v == 0).unwrap());
        let b = s.spawn(|| changed.wait_while(part.lock().unwrap(), |p| p[1] == 0).unwrap()[1]);
        let c = s.spawn(|| {
            let outer = recursive.lock().unwrap();
            let inner = changed.wait_while(recursive.lock().unwrap(), |n| *n == 0).unwrap();
            assert_eq!(inner.depth(), 2);
            drop(inner);
            assert_eq!(outer.depth(), 1);
            outer.get()
        });
        thread::sleep(SHORT);
        // All of them have given their lock up.
        *value.lock_timeout(LONG).unwrap().unwrap() = 1;
        array.lock_timeout(LONG).unwrap().unwrap()[3] = 2;
        recursive.lock_timeout(LONG).unwrap().unwrap().set(3);
        go.store(true, SeqCst);
        changed.notify_all();
        assert_eq!((a.join().unwrap(), b.join().unwrap(), c.join().unwrap()), (1, 2, 3));
    });
}

#[test]
fn what_a_value_guard_changed_is_seen_while_it_waits() {
    let (value, changed) = (Value::new(0).unwrap(), Condvar::new().unwrap());
    thread::scope(|s| {
        s.spawn(|| {
            let mut guard = value.lock().unwrap();
            *guard = 1;
            let guard = changed.wait_while(guard, |v| *v == 1).unwrap();
            assert_eq!(*guard, 2);
        });
        eventually("the change", || value.get() == 1);
        *value.lock().unwrap() = 2;
        changed.notify_one();
    });
}

/// A guard of before the wait is none of the lock that its thread got later, by a repair.
#[test]
fn a_guard_whose_lock_was_lost_in_a_wait_gives_up_no_other() {
    let (lock, changed) = (RecursiveMutex::new(1).unwrap(), Condvar::new().unwrap());
    let outer = lock.lock().unwrap();
    let inner = lock.lock().unwrap();
    let lost = thread::scope(|s| {
        s.spawn(|| {
            std::mem::forget(lock.lock().unwrap());
            changed.notify_all();
        });
        changed.wait(inner).map(drop)
    });
    assert_eq!(lost, Err(LockError::OwnerDied));
    let new = lock.repair(|n| *n = 2).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| outer.get())).is_err());
    drop(outer);
    assert_eq!((new.depth(), new.get()), (1, 2));
    // Nobody else has it.
    thread::scope(|s| s.spawn(|| assert!(lock.try_lock().unwrap().is_none())).join().unwrap());
    drop(new);
    thread::scope(|s| s.spawn(|| assert!(lock.try_lock().unwrap().is_some())).join().unwrap());
}

#[test]
fn the_other_guards_of_a_thread_are_good_after_a_wait() {
    let (lock, changed) = (RecursiveMutex::new(1).unwrap(), Condvar::new().unwrap());
    let outer = lock.lock().unwrap();
    let inner = lock.lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            lock.lock().unwrap().set(5);
            changed.notify_all();
        });
        let (inner, result) = changed.wait_timeout(inner, LONG).unwrap();
        assert!(!result.timed_out());
        assert_eq!((outer.depth(), outer.get(), inner.get()), (2, 5, 5));
        drop(inner);
        // Another thread stays out until the last is dropped.
        s.spawn(|| assert!(lock.try_lock().unwrap().is_none())).join().unwrap();
        drop(outer);
        s.spawn(|| assert!(lock.try_lock().unwrap().is_some())).join().unwrap();
    });
}

#[test]
fn a_signal_ends_no_wait() {
    let (lock, changed) = (Mutex::new(1).unwrap(), Condvar::new().unwrap());
    common::under_signals(|| {
        let start = Instant::now();
        let (guard, result) =
            changed.wait_timeout_while(lock.lock().unwrap(), SHORT * 3, |n| *n == 1).unwrap();
        assert!(result.timed_out() && start.elapsed() >= SHORT * 3);
        drop(guard);
    });
}
