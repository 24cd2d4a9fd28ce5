//! Tests for a number of workers that changes under way: no task is lost, none is run twice.

mod common;

use common::{double, is_alive, nap, no_hang, pid, sleep, wait_until};
use proc_pool::{Pool, Task};
use std::collections::HashSet;
use std::thread;

proc_core::init_for_tests!();

/// The workers that take part in a map of long items.
fn at_work(pool: &Pool, items: usize) -> HashSet<u32> {
    let who = |ms| {
        nap(ms);
        std::process::id()
    };
    pool.map(who, vec![150; items]).unwrap().into_iter().collect()
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        assert_eq!(pool.workers(), 1);
        pool.resize(3);
        assert_eq!(pool.workers(), 3);
        wait_until("three work", || at_work(&pool, 6).len() == 3);
    });
}

#[test]
fn shrinking_ends_the_ones_that_are_too_many() {
    no_hang(|| {
        let pool = Pool::new(4).unwrap();
        wait_until("four work", || at_work(&pool, 8).len() == 4);
        let before = at_work(&pool, 8);
        pool.resize(1);
        assert_eq!(pool.workers(), 1);
        let left = |before: &HashSet<u32>| before.iter().filter(|pid| is_alive(**pid)).count();
        wait_until("three are gone", || left(&before) <= 1);
        assert_eq!(at_work(&pool, 3).len(), 1);
    });
}

#[test]
fn nobody_is_killed_at_work() {
    no_hang(|| {
        let pool = Pool::new(4).unwrap();
        let tasks: Vec<_> = (0..12).map(|_| pool.submit(sleep, 300)).collect();
        wait_until("they work", || tasks.iter().any(Task::is_running));
        pool.resize(1);
        for task in tasks {
            assert_eq!(task.get().unwrap(), 300);
        }
    });
}

#[test]
fn up_and_down_while_everything_runs() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let threads: Vec<_> = (0..3_u64)
            .map(|n| {
                let pool = pool.clone();
                thread::spawn(move || {
                    for round in 0..8 {
                        let base = n * 100_000 + round * 1000;
                        let values = pool.map(double, base..base + 300).unwrap();
                        assert_eq!(values, (base..base + 300).map(|x| x * 2).collect::<Vec<_>>());
                        let naps: Vec<_> = pool.imap(sleep, [1; 20]).map(Result::unwrap).collect();
                        assert_eq!(naps, [1; 20]);
                    }
                })
            })
            .collect();
        for n in [1, 4, 2, 3, 1, 2].into_iter().cycle().take(30) {
            pool.resize(n);
            nap(10);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn by_several_threads_at_once() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let threads: Vec<_> = (1..6)
            .map(|n| {
                let pool = pool.clone();
                thread::spawn(move || (0..20).for_each(|_| pool.resize(n)))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        pool.resize(2);
        assert_eq!(pool.workers(), 2);
        assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
    });
}

#[test]
fn to_nothing_means_one() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        pool.resize(0);
        assert_eq!(pool.workers(), 1);
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
    });
}

#[test]
fn to_the_same_changes_nothing() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let before = pool.apply(pid, ()).unwrap();
        pool.resize(1);
        pool.resize(1);
        assert_eq!(pool.apply(pid, ()).unwrap(), before);
    });
}

#[test]
fn of_a_pool_that_has_ended_does_nothing() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        pool.close();
        pool.join().unwrap();
        pool.resize(3);
        nap(100);
        pool.join().unwrap();
        assert!(pool.apply(double, 1).is_err());
        let pool = Pool::new(1).unwrap();
        pool.terminate();
        pool.resize(3);
        pool.join().unwrap();
    });
}

#[test]
fn new_workers_know_the_state() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let with = pool.with(vec![1_u64, 2, 3]);
        let sum = |v: &Vec<u64>, x: u64| {
            nap(20);
            v.iter().sum::<u64>() + x
        };
        assert_eq!(with.apply(sum, 1).unwrap(), 7);
        pool.resize(3);
        assert_eq!(with.map(sum, 0..30).unwrap(), (6..36).collect::<Vec<_>>());
    });
}
