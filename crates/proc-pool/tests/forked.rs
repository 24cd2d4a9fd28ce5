//! Tests for a forked child of the process that has a pool: whatever it asks, it is told so, though another thread held
//! the pool's locks at the fork.

mod common;

use common::{alone, double, nap};
use proc_pool::{Pool, Task, TaskError, as_completed};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

fn says_so<T>(result: Result<T, TaskError>) -> bool {
    matches!(result, Err(TaskError::Broken(why)) if why.contains("fork"))
}

/// Forks; whether `child` was true there, within a time that no hang keeps.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls what is under test, and leaves; a lock that another thread held here is what it must not
    // wait for.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let good = child();
        // SAFETY: ends the child.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: our child, not yet waited for.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited == pid {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if start.elapsed() > Duration::from_secs(20) {
            // SAFETY: it hangs, and is ended.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            return false;
        }
        nap(1);
    }
}

#[test]
fn smoke() {
    assert!(alone(|()| {
        let pool = Pool::new(1).unwrap();
        in_child(|| says_so(pool.apply(double, 1)))
    }));
}

/// The verbs, the iterators and the handles, while other threads of the parent are in the pool all the time.
#[test]
fn whatever_it_asks_it_is_told_so() {
    alone(|()| {
        let pool = Pool::new(2).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..3)
            .map(|i| {
                let (pool, over) = (pool.clone(), over.clone());
                thread::spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        match i {
                            0 => drop(pool.map(double, 0..500).unwrap()),
                            1 => {
                                drop(pool.with(3_u64).submit(|s: &u64, x: u64| s + x, 1));
                                assert_eq!(pool.with(3_u64).apply(|s: &u64, x: u64| s + x, 1).unwrap(), 4);
                            }
                            _ => {
                                let tasks = (0..50).map(|x| pool.submit(double, x));
                                assert_eq!(as_completed(tasks).count(), 50);
                            }
                        }
                    }
                })
            })
            .collect();
        for round in 0..60 {
            let done = pool.submit(double, 1);
            let open: Vec<Task<u64>> = (0..3).map(|x| pool.submit(double, x)).collect();
            let mut early = as_completed((0..3).map(|x| pool.submit(double, x)));
            let mut values = pool.imap(double, 0..1000);
            let mut unordered = pool.imap_unordered(double, 0..1000);
            assert_eq!(values.next().unwrap().unwrap(), 0);
            assert!(unordered.next().unwrap().is_ok());
            let with = pool.with(7_u64);
            let good = in_child(|| {
                let mut good = true;
                let mut check = |number: u32, so: bool| {
                    if !so {
                        eprintln!("round {round}: number {number} is not so");
                        good = false;
                    }
                };
                check(1, says_so(values.next().unwrap()) && values.next().is_none());
                check(2, says_so(unordered.next().unwrap()) && unordered.next().is_none());
                check(3, early.by_ref().all(|task| says_so(task.get())));
                check(4, says_so(pool.map(double, 0..3)) && says_so(pool.apply(double, 1)));
                check(5, says_so(with.map(|s: &u64, x: u64| s + x, 0..3)));
                let mut fresh = pool.imap(double, 0..3);
                check(6, says_so(fresh.next().unwrap()) && fresh.next().is_none());
                let mut both = as_completed([pool.submit(double, 1)]);
                both.push(pool.submit(double, 2));
                check(7, both.all(|task| says_so(task.get())));
                let mut open = open.into_iter();
                let mut polled = open.next().unwrap();
                let poll = Pin::new(&mut polled).poll(&mut Context::from_waker(Waker::noop()));
                check(8, matches!(poll, Poll::Ready(Err(TaskError::Broken(_)))));
                let mut tried = open.next().unwrap();
                check(
                    9,
                    matches!(
                        tried.get_timeout(Duration::from_millis(1)),
                        Ok(None) | Err(TaskError::Broken(_))
                    ),
                );
                check(10, !tried.cancel() && !tried.kill() && !tried.is_running());
                let called = Arc::new(AtomicBool::new(false));
                let seen = called.clone();
                open.next().unwrap().on_done(move |result| seen.store(says_so(result), Ordering::SeqCst));
                check(11, called.load(Ordering::SeqCst));
                check(12, says_so(done.get()));
                pool.close();
                pool.resize(4);
                pool.terminate();
                check(13, pool.join().is_err() && pool.stats().workers.is_empty() && pool.workers() == 2);
                check(14, format!("{pool:?}").contains("workers"));
                drop((values, unordered, fresh, with, pool.clone()));
                good
            });
            assert!(good);
            assert_eq!(pool.apply(double, round).unwrap(), round * 2, "the parent's goes on");
        }
        over.store(true, Ordering::SeqCst);
        busy.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
