//! Tests for the ends of a pool: close lets what is queued run, terminate does not, join waits, drop is bounded; from
//! whichever thread, in whichever order.

mod common;

use common::{PATIENCE, double, is_alive, nap, no_hang, pid, sleep, wait_until};
use proc_pool::{Pool, Task, TaskError};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..50).map(|x| pool.submit(double, x)).collect();
        pool.close();
        pool.join().unwrap();
        assert!(tasks.iter().all(Task::is_done));
    });
}

#[test]
fn after_a_close_nothing_is_taken() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let queued: Vec<_> = (0..20).map(|_| pool.submit(sleep, 5)).collect();
        pool.close();
        pool.close();
        assert_eq!(pool.apply(double, 1).unwrap_err(), TaskError::Closed);
        assert_eq!(pool.map(double, [1, 2]).unwrap_err(), TaskError::Closed);
        assert_eq!(pool.map(double, []).unwrap(), []);
        assert_eq!(pool.imap(double, [1]).next().unwrap().unwrap_err(), TaskError::Closed);
        assert_eq!(pool.with(1).apply(|s: &u64, x: u64| s + x, 1).unwrap_err(), TaskError::Closed);
        assert!(queued.into_iter().all(|task| task.get() == Ok(5)));
        pool.join().unwrap();
        assert_eq!(pool.apply(double, 1).unwrap_err(), TaskError::Closed);
    });
}

#[test]
fn an_imap_under_way_meets_a_close() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let mut values = pool.imap(double, 0..1_000_000);
        assert_eq!(values.next().unwrap().unwrap(), 0);
        pool.close();
        // What was taken ahead is done; the first that was not is the end of it.
        let mut last = 0;
        let refused = loop {
            match values.next().unwrap() {
                Ok(x) => {
                    assert_eq!(x, last + 2);
                    last = x;
                }
                Err(e) => break e,
            }
        };
        assert_eq!(refused, TaskError::Closed);
        drop(values);
        pool.join().unwrap();
    });
}

#[test]
fn join_of_an_open_pool_is_an_error_and_no_hang() {
    let pool = Pool::new(1).unwrap();
    assert!(pool.join().unwrap_err().to_string().contains("open"));
    assert!(pool.join_timeout(Duration::from_secs(1000)).is_err());
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

#[test]
fn join_with_a_limit() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let task = pool.submit(sleep, 500);
        pool.close();
        for wait in [Duration::ZERO, Duration::from_millis(40)] {
            let start = Instant::now();
            if !pool.join_timeout(wait).unwrap() {
                assert!(start.elapsed() >= wait);
            }
        }
        assert!(pool.join_timeout(Duration::MAX).unwrap());
        assert!(pool.join_timeout(Duration::ZERO).unwrap());
        assert_eq!(task.get().unwrap(), 500);
    });
}

#[test]
fn all_workers_are_gone_after_a_join() {
    no_hang(|| {
        let pool = Pool::new(3).unwrap();
        let mut pids = pool
            .map(
                |()| {
                    nap(30);
                    std::process::id()
                },
                [(); 12],
            )
            .unwrap();
        pids.sort_unstable();
        pids.dedup();
        assert!(!pids.is_empty());
        pool.close();
        pool.join().unwrap();
        assert!(pids.iter().all(|pid| !is_alive(*pid)));
    });
}

#[test]
fn eight_threads_may_join() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let task = pool.submit(sleep, 200);
        pool.close();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let pool = pool.clone();
                thread::spawn(move || pool.join())
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        assert!(task.is_done());
    });
}

#[test]
fn a_terminate_ends_a_join_of_another_thread() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let long = pool.submit(nap, 600_000);
        let queued = pool.submit(double, 1);
        pool.close();
        let other = pool.clone();
        let joining = thread::spawn(move || other.join());
        wait_until("it runs", || long.is_running());
        pool.terminate();
        joining.join().unwrap().unwrap();
        assert_eq!(long.get().unwrap_err(), TaskError::Closed);
        assert_eq!(queued.get().unwrap_err(), TaskError::Closed);
    });
}

/// Python's `terminate` deadlocks from a callback, and from the thread that feeds the tasks.
#[test]
fn a_terminate_ends_what_other_threads_wait_for() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let (sender, receiver) = channel();
        let by = |f: fn(Pool) -> TaskError| {
            let (pool, sender) = (pool.clone(), sender.clone());
            thread::spawn(move || sender.send(f(pool)).unwrap());
        };
        by(|pool| pool.apply(nap, 600_000).unwrap_err());
        by(|pool| pool.map(nap, [600_000; 100]).unwrap_err());
        by(|pool| pool.imap(nap, [600_000; 100]).next().unwrap().unwrap_err());
        by(|pool| pool.imap_unordered(nap, [600_000; 100]).next().unwrap().unwrap_err());
        by(|pool| {
            let tasks: Vec<_> = (0..20).map(|_| pool.submit(nap, 600_000)).collect();
            proc_pool::as_completed(tasks).next().unwrap().get().unwrap_err()
        });
        nap(200);
        pool.terminate();
        for _ in 0..5 {
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), TaskError::Closed);
        }
        pool.join().unwrap();
    });
}

#[test]
fn a_terminate_while_threads_submit() {
    no_hang(|| {
        for round in 0..10 {
            let pool = Pool::new(2).unwrap();
            let threads: Vec<_> = (0..4_u64)
                .map(|n| {
                    let pool = pool.clone();
                    thread::spawn(move || {
                        let mut closed = 0;
                        for x in 0..300 {
                            match pool.apply(double, n + x) {
                                Ok(value) => assert_eq!(value, (n + x) * 2),
                                Err(TaskError::Closed) => closed += 1,
                                Err(e) => panic!("{e}"),
                            }
                        }
                        closed
                    })
                })
                .collect();
            nap(round * 2);
            pool.terminate();
            pool.join().unwrap();
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

#[test]
fn terminate_after_close_and_close_after_terminate() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let long = pool.submit(nap, 600_000);
        pool.close();
        pool.terminate();
        pool.close();
        pool.terminate();
        pool.join().unwrap();
        pool.join().unwrap();
        assert_eq!(long.get().unwrap_err(), TaskError::Closed);
    });
}

#[test]
fn a_pool_that_never_worked_ends_too() {
    no_hang(|| {
        drop(Pool::new(2).unwrap());
        let pool = Pool::new(2).unwrap();
        pool.close();
        pool.join().unwrap();
        let pool = Pool::new(2).unwrap();
        pool.terminate();
        pool.join().unwrap();
    });
}

#[test]
fn the_last_handle_ends_it_and_none_before() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let (clone, timed, with) = (pool.clone(), pool.timeout(PATIENCE), pool.with(3_u64));
        let values = pool.imap(double, 0..1000);
        drop((pool, clone));
        assert!(is_alive(worker));
        assert_eq!(timed.apply(double, 1).unwrap(), 2);
        drop(timed);
        assert_eq!(with.apply(|s: &u64, x: u64| s * x, 2).unwrap(), 6);
        drop(with);
        assert_eq!(values.map(Result::unwrap).count(), 1000);
        wait_until("the worker is gone", || !is_alive(worker));
    });
}

/// Dropping is bounded whatever the workers do and whoever waits.
#[test]
fn a_drop_is_bounded() {
    fn deaf(_: ()) {
        for number in 1..65 {
            // SAFETY: ignores a signal; those that can't be ignored refuse.
            unsafe { libc::signal(number, libc::SIG_IGN) };
        }
        loop {
            thread::sleep(Duration::from_secs(1000));
        }
    }
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..10).map(|_| pool.submit(deaf, ())).collect();
        wait_until("it runs", || tasks[0].is_running());
        nap(100);
        let start = Instant::now();
        drop(pool);
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(tasks.into_iter().all(|task| task.get() == Err(TaskError::Closed)));
    });
}

/// A million in the long form; what takes time in the short one is debug code that encodes them.
#[test]
fn a_pool_with_very_many_tasks_queued_ends_in_bounded_time() {
    no_hang(|| {
        let n = if std::env::var_os("PROC_POOL_LONG").is_some() { 1_000_000 } else { 100_000 };
        let pool = Pool::new(2).unwrap();
        let busy = [pool.submit(nap, 600_000), pool.submit(nap, 600_000)];
        wait_until("both workers are busy", || busy.iter().all(Task::is_running));
        let kept: Vec<_> = (0..n).map(|x| pool.submit(double, x)).collect();
        let start = Instant::now();
        drop(pool);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert!(kept.into_iter().all(|task| task.get().is_err()));
    });
}
