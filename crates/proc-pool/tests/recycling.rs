//! Tests for workers that are replaced after a number of tasks: nothing is stranded, whatever else happens.

mod common;

use common::{crash, double, nap, no_hang, pid};
use proc_pool::{Pool, TaskError};
use std::collections::HashMap;

proc_core::init_for_tests!();

fn pool(workers: usize, tasks: usize) -> Pool {
    Pool::builder().workers(workers).max_tasks_per_worker(tasks).build().unwrap()
}

fn most_of_one(pids: &[u32]) -> usize {
    let mut counts = HashMap::new();
    for pid in pids {
        *counts.entry(pid).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = pool(1, 3);
        let pids = pool.map(pid, [(); 12]).unwrap();
        assert_eq!(most_of_one(&pids), 3);
        assert!(pids.chunks(3).all(|three| three[0] == three[2]));
    });
}

/// CPython did 2 of 10 tasks and hung: a backlog, two workers, and a limit of two.
#[test]
fn a_backlog_is_worked_off() {
    no_hang(|| {
        for (workers, limit) in [(1, 1), (2, 1), (2, 2), (3, 2), (2, 7)] {
            let pool = pool(workers, limit);
            let tasks: Vec<_> = (0..21).map(|_| pool.submit(pid, ())).collect();
            let pids: Vec<u32> = tasks.into_iter().map(|task| task.get().unwrap()).collect();
            assert!(most_of_one(&pids) <= limit, "{pids:?}");
        }
    });
}

#[test]
fn a_map_and_an_imap_too() {
    no_hang(|| {
        let pool = pool(2, 10);
        assert!(most_of_one(&pool.map(pid, vec![(); 95]).unwrap()) <= 10);
        let pids: Vec<u32> = pool.imap(pid, vec![(); 95]).map(Result::unwrap).collect();
        assert!(most_of_one(&pids) <= 10);
        let pids: Vec<u32> = pool.imap_unordered(pid, vec![(); 95]).map(Result::unwrap).collect();
        assert!(most_of_one(&pids) <= 10);
    });
}

/// One worker is in a long item with others behind it; the other, which has little left, takes of them what it may.
#[test]
fn what_is_taken_from_another_counts_too() {
    no_hang(|| {
        for _ in 0..5 {
            let pool = pool(2, 10).chunk(8);
            // Both are up, and have done some.
            pool.map(nap, vec![10; 2]).unwrap();
            let long_first = |ms: u64| {
                nap(ms);
                pid(())
            };
            let items = (0..16).map(|i| if i == 0 { 60 } else { 0 });
            let pids = pool.map(long_first, items).unwrap();
            assert!(most_of_one(&pids) <= 10, "{pids:?}");
        }
    });
}

/// bpo-10332: `close` with workers of limited life lost tasks.
#[test]
fn a_close_finishes_all() {
    no_hang(|| {
        for limit in [1, 2, 5] {
            let pool = pool(2, limit);
            let tasks: Vec<_> = (0..20).map(|x| pool.submit(double, x)).collect();
            pool.close();
            pool.join().unwrap();
            for (x, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.get().unwrap(), x as u64 * 2);
            }
        }
    });
}

#[test]
fn it_is_no_crash_loop() {
    no_hang(|| {
        let pool = Pool::builder().workers(1).max_tasks_per_worker(1).crash_limit(2).build().unwrap();
        assert_eq!(pool.map(double, 0..20).unwrap().len(), 20);
    });
}

#[test]
fn with_deaths_between() {
    no_hang(|| {
        let pool = pool(2, 3);
        let risky = |x: u64| {
            if x % 7 == 6 {
                crash();
            }
            x
        };
        let outcomes: Vec<_> = pool.imap(risky, 0..42).collect();
        for (x, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(value) => assert_eq!(value, x as u64),
                Err(TaskError::WorkerDied { .. }) => assert_eq!(x % 7, 6),
                Err(e) => panic!("{e}"),
            }
        }
    });
}

#[test]
fn panics_count_as_tasks() {
    no_hang(|| {
        let pool = pool(1, 2);
        let first = pool.apply(pid, ()).unwrap();
        assert!(pool.apply(|()| -> u32 { panic!("asked to") }, ()).is_err());
        assert_ne!(pool.apply(pid, ()).unwrap(), first);
    });
}

#[test]
fn state_goes_with_its_worker() {
    no_hang(|| {
        let pool = pool(1, 4);
        let counting = pool.with_init(|start: u64| start, 100);
        let next = |n: &mut u64, ()| {
            *n += 1;
            *n
        };
        assert_eq!(counting.map(next, [(); 8]).unwrap(), [101, 102, 103, 104, 101, 102, 103, 104]);
        let with = pool.with("kept".to_owned());
        assert!(with.map(|s: &String, ()| s.len(), [(); 9]).unwrap().iter().all(|len| *len == 4));
    });
}

#[test]
fn a_limit_of_no_task_is_refused() {
    let e = Pool::builder().workers(1).max_tasks_per_worker(0).build().unwrap_err();
    assert!(e.to_string().contains("no task"), "{e}");
    let e = Pool::new(0).unwrap_err();
    assert!(e.to_string().contains("at least one worker"), "{e}");
}

#[test]
fn a_dropped_pool_with_a_backlog_ends() {
    no_hang(|| {
        let pool = pool(2, 1);
        let tasks: Vec<_> = (0..50).map(|_| pool.submit(nap, 20)).collect();
        nap(100);
        drop(pool);
        for task in tasks {
            assert!(matches!(task.get(), Ok(()) | Err(TaskError::Closed)));
        }
    });
}
