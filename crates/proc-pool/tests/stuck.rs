//! Tests for workers that are there and do not answer: stopped, without descriptors, forked inside of a task.

mod common;

use common::{double, no_hang, sleep};
use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let close_all = |()| {
            for fd in 0..1000 {
                // SAFETY: the worker's own descriptors, which it will miss; the test is about that.
                unsafe { libc::close(fd) };
            }
            7
        };
        match pool.apply(close_all, ()) {
            Ok(7) | Err(TaskError::WorkerDied { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.retries(3).map(double, 0..100).unwrap().len(), 100);
    });
}

/// The child of the fork comes back from the task too, and is not the worker.
#[test]
fn a_task_that_forks() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let fork = |x: u64| {
            // SAFETY: the worker has one thread, so its copy can do all that it can.
            unsafe { libc::fork() };
            x
        };
        for x in 0..5 {
            assert_eq!(pool.apply(fork, x).unwrap(), x);
        }
        assert_eq!(pool.map(double, 0..100).unwrap(), (0..100).map(|x| x * 2).collect::<Vec<_>>());
    });
}

/// A limit is kept though another thread sleeps with the collector's role when it is set.
#[test]
fn a_limit_set_while_another_waits() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let other = pool.clone();
        let waiter = std::thread::spawn(move || other.apply(sleep, 1500));
        common::nap(200);
        let start = Instant::now();
        let e = pool.timeout(Duration::from_millis(50)).apply(sleep, 60_000).unwrap_err();
        assert_eq!(e, TaskError::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(waiter.join().unwrap().unwrap(), 1500);
    });
}

/// Tasks that look small by what was measured are not left behind one that is not.
#[test]
fn small_tasks_behind_one_that_turned_out_long() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let work = |ms: u64| if ms > 0 { sleep(ms) } else { 0 };
        pool.map(work, vec![0; 1000]).unwrap();
        let long = pool.submit(work, 3000);
        let waiter = std::thread::spawn(move || long.get());
        common::nap(100);
        let start = Instant::now();
        for _ in 0..50 {
            assert_eq!(pool.apply(work, 0).unwrap(), 0);
        }
        assert!(start.elapsed() < Duration::from_millis(2500));
        assert_eq!(waiter.join().unwrap().unwrap(), 3000);
    });
}
