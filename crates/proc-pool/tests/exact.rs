//! Tests for what is exact: which item of a batch a death hits, what a cancel takes back, what a steal moves.

mod common;

use common::{Folder, is_first, no_hang, sleep};
use proc_pool::{Pool, TaskError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap().chunk(10);
    let results: Vec<_> = pool.imap(|x: u32| if x == 4 { std::process::abort() } else { x }, 0..10).collect();
    for (x, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => assert_eq!(value, x as u32),
            Err(e) => assert!(x == 4 && matches!(e, TaskError::WorkerDied { .. }), "{x}: {e}"),
        }
    }
}

/// Each item leaves a mark when it begins: none begins twice, and only the guilty ones fail.
#[test]
fn a_death_in_a_batch_hits_the_item_that_ran_and_no_other() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(2).unwrap().chunk(50);
        let run = |(mark, x): (PathBuf, u32)| {
            assert!(is_first(&mark), "{x} was begun twice");
            if x % 23 == 7 {
                std::process::abort();
            }
            x
        };
        let items = (0..400).map(|x| (folder.file(&x.to_string()), x));
        let results: Vec<_> = pool.imap(run, items).collect();
        assert_eq!(results.len(), 400);
        for (x, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert_eq!(value, x as u32),
                Err(TaskError::WorkerDied { .. }) => assert_eq!(x % 23, 7),
                Err(e) => panic!("{x}: {e}"),
            }
        }
    });
}

/// With retries each guilty item is run once more, and the others still once.
#[test]
fn retries_in_a_batch_are_the_guilty_items_own() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(2).unwrap().chunk(25).retries(1);
        let run = |(mark, x): (PathBuf, u32)| {
            let first = is_first(&mark);
            if x % 10 == 3 && first {
                std::process::abort();
            }
            assert!(first || x % 10 == 3, "{x} was begun twice");
            x
        };
        let items: Vec<_> = (0..100).map(|x| (folder.file(&x.to_string()), x)).collect();
        assert_eq!(pool.map(run, items).unwrap(), (0..100).collect::<Vec<_>>());
    });
}

/// What is stuck behind a long task, in the same batch or behind it, goes to the worker that has nothing to do.
#[test]
fn nothing_waits_behind_a_long_task() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        // So that the cost of the function is known, and entries are written ahead.
        pool.map(sleep, vec![0; 200]).unwrap();
        let start = Instant::now();
        let mut items = vec![0; 300];
        items[0] = 3000;
        let ends: Vec<Duration> =
            pool.chunk(100).imap_unordered(sleep, items).map(|_| start.elapsed()).collect();
        let quick = ends.iter().filter(|end| **end < Duration::from_millis(2500)).count();
        assert_eq!(quick, 299);

        let long = pool.submit(sleep, 3000);
        let start = Instant::now();
        let others: Vec<_> = (0..300).map(|_| pool.submit(sleep, 0)).collect();
        for task in others {
            task.get().unwrap();
        }
        assert!(start.elapsed() < Duration::from_millis(2500));
        assert_eq!(long.get().unwrap(), 3000);
    });
}

/// Cancelled from another thread while workers are at it: each task either ran or was cancelled, as `cancel` said.
#[test]
fn a_cancel_and_a_run_exclude_each_other() {
    no_hang(|| {
        let folder = Folder::new();
        let pool = Pool::new(2).unwrap();
        let run = |mark: PathBuf| is_first(&mark);
        let tasks: Vec<_> = (0..2000).map(|x| pool.submit(run, folder.file(&x.to_string()))).collect();
        let cancelled: Vec<bool> = tasks.iter().map(|task| task.cancel()).collect();
        assert!(cancelled.iter().any(|yes| *yes));
        for (x, (task, cancelled)) in tasks.into_iter().zip(cancelled).enumerate() {
            match task.get() {
                Ok(first) => assert!(first && !cancelled, "{x}"),
                Err(TaskError::Cancelled) => assert!(cancelled, "{x}"),
                Err(e) => panic!("{x}: {e}"),
            }
            if cancelled {
                assert!(!folder.file(&x.to_string()).exists(), "{x} was cancelled and ran");
            }
        }
    });
}
