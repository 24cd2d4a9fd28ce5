//! Tests for time limits: counted from a task's begin, hard against whatever it does, and nobody else is hit.

mod common;

use common::{double, nap, no_hang, pid, signal, sleep, wait_until};
use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

const SHORT: Duration = Duration::from_millis(150);
/// Longer than a good task takes on any machine.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let start = Instant::now();
        assert_eq!(pool.timeout(SHORT).apply(nap, 600_000).unwrap_err(), TaskError::TimedOut);
        assert!(start.elapsed() >= SHORT);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn of_the_pool_and_of_a_handle() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).task_timeout(SHORT).build().unwrap();
        assert_eq!(pool.apply(nap, 600_000).unwrap_err(), TaskError::TimedOut);
        assert_eq!(pool.timeout(LONG).apply(sleep, 400).unwrap(), 400);
        assert_eq!(pool.timeout(Duration::MAX).apply(sleep, 400).unwrap(), 400);
        assert_eq!(pool.apply(nap, 600_000).unwrap_err(), TaskError::TimedOut);
    });
}

#[test]
fn a_worker_that_keeps_it_lives() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).task_timeout(LONG).build().unwrap();
        let before = pool.apply(pid, ()).unwrap();
        for _ in 0..20 {
            pool.apply(nap, 1).unwrap();
        }
        assert_eq!(pool.map(pid, [(); 20]).unwrap(), [before; 20]);
    });
}

/// A limit is no limit of the time in the queue.
#[test]
fn waiting_does_not_count() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let first = pool.submit(nap, 700);
        let behind: Vec<_> =
            (0..5).map(|x| pool.timeout(Duration::from_millis(600)).submit(double, x)).collect();
        first.get().unwrap();
        for (x, task) in behind.into_iter().enumerate() {
            assert_eq!(task.get().unwrap(), x as u64 * 2);
        }
    });
}

/// Each item of a map has the limit for itself, however many are sent at once.
#[test]
fn it_is_per_item_and_not_per_batch() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).task_timeout(Duration::from_millis(1200)).build().unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        assert_eq!(pool.map(sleep, [80; 25]).unwrap(), [80; 25]);
        assert_eq!(pool.apply(pid, ()).unwrap(), worker);
    });
}

#[test]
fn in_an_imap_it_is_the_guilty_items_alone() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap().timeout(Duration::from_millis(700));
        let naps = |i: u64| if i == 3 || i == 12 { 600_000 } else { 1 };
        let outcomes: Vec<_> = pool.imap(sleep, (0..20).map(naps)).collect();
        for (i, outcome) in outcomes.into_iter().enumerate() {
            let guilty = i == 3 || i == 12;
            assert_eq!(outcome, if guilty { Err(TaskError::TimedOut) } else { Ok(1) }, "item {i}");
        }
        assert_eq!(pool.map(sleep, [1, 600_000, 1]).unwrap_err(), TaskError::TimedOut);
    });
}

#[test]
fn it_ends_what_ignores_every_signal() {
    no_hang(|| {
        fn deaf(_: ()) {
            for number in 1..65 {
                // SAFETY: ignores a signal; those that can't be ignored refuse.
                unsafe { libc::signal(number, libc::SIG_IGN) };
            }
            loop {
                std::hint::spin_loop();
            }
        }
        let pool = Pool::new(1).unwrap();
        assert_eq!(pool.timeout(SHORT).apply(deaf, ()).unwrap_err(), TaskError::TimedOut);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn it_ends_one_that_has_stopped_itself() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let stop = |()| signal(std::process::id(), libc::SIGSTOP);
        assert_eq!(pool.timeout(SHORT).apply(stop, ()).unwrap_err(), TaskError::TimedOut);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn a_limit_of_nothing_and_of_everything() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        assert_eq!(pool.timeout(Duration::ZERO).apply(nap, 600_000).unwrap_err(), TaskError::TimedOut);
        match pool.timeout(Duration::from_nanos(1)).apply(double, 1) {
            Ok(2) | Err(TaskError::TimedOut) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.timeout(Duration::MAX).apply(double, 1).unwrap(), 2);
        assert_eq!(pool.timeout(Duration::from_secs(u64::MAX)).map(double, [1]).unwrap(), [2]);
    });
}

/// A limit is the caller's will and no crash loop; nor is it tried again.
#[test]
fn many_do_not_break_the_pool_and_are_not_repeated() {
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::builder().workers(1).crash_limit(2).task_timeout(SHORT).build().unwrap();
        let count = |dir: std::path::PathBuf| {
            std::fs::write(dir.join(std::process::id().to_string()), "").unwrap();
            nap(600_000);
        };
        for _ in 0..5 {
            let e = pool.retries(3).apply(count, folder.0.clone()).unwrap_err();
            assert_eq!(e, TaskError::TimedOut);
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 5);
        assert_eq!(pool.timeout(LONG).apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn what_waits_behind_the_guilty_one_is_run() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let guilty = pool.timeout(SHORT).submit(nap, 600_000);
        let behind: Vec<_> = (0..50).map(|x| pool.submit(double, x)).collect();
        for (x, task) in behind.into_iter().enumerate() {
            assert_eq!(task.get().unwrap(), x as u64 * 2);
        }
        assert_eq!(guilty.get().unwrap_err(), TaskError::TimedOut);
    });
}

/// Nobody waits in a `get`: the limit strikes all the same.
#[test]
fn it_strikes_though_nobody_waits() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        let task = pool.timeout(SHORT).submit(nap, 600_000);
        wait_until("the worker is gone", || !common::is_alive(worker));
        wait_until("it is done", || task.is_done());
        assert_eq!(task.get().unwrap_err(), TaskError::TimedOut);
        let forgotten = pool.apply(pid, ()).unwrap();
        drop(pool.timeout(SHORT).submit(nap, 600_000));
        wait_until("the next is gone too", || !common::is_alive(forgotten));
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn limits_of_many_at_once() {
    no_hang(|| {
        let pool = Pool::new(4).unwrap();
        let tasks: Vec<_> =
            (0..12)
                .map(|i| {
                    if i % 3 == 0 {
                        pool.timeout(SHORT).submit(sleep, 600_000)
                    } else {
                        pool.submit(sleep, 20)
                    }
                })
                .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            let expected = if i % 3 == 0 { Err(TaskError::TimedOut) } else { Ok(20) };
            assert_eq!(task.get(), expected, "task {i}");
        }
    });
}
