//! Tests for what a worker does before its first task: it may fail, die or be killed there, and nobody hangs.

mod common;

use common::{Folder, double, is_first, nap, no_hang, signal};
use proc_pool::{Pool, PoolBuilder, TaskError};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

static PREPARED: AtomicU64 = AtomicU64::new(0);

fn with(workers: usize) -> PoolBuilder {
    Pool::builder().workers(workers)
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = with(2).initializer(|n| PREPARED.store(n, Ordering::SeqCst), 42).build().unwrap();
        let look = |ms| {
            nap(ms);
            PREPARED.load(Ordering::SeqCst)
        };
        assert_eq!(pool.map(look, [10; 10]).unwrap(), [42; 10]);
        assert_eq!(PREPARED.load(Ordering::SeqCst), 0, "not here");
    });
}

#[test]
fn replaced_workers_run_it_too() {
    no_hang(|| {
        let pool =
            with(1).initializer(|n| PREPARED.store(n, Ordering::SeqCst), 7).max_tasks_per_worker(1).build();
        let look = |()| PREPARED.swap(0, Ordering::SeqCst);
        assert_eq!(pool.unwrap().map(look, [(); 5]).unwrap(), [7; 5]);
    });
}

/// Python's Pool started 207 processes in 4 s, and the caller hung.
#[test]
fn one_that_panics_is_an_error_of_build() {
    no_hang(|| {
        let start = Instant::now();
        let e = with(2).initializer(|()| panic!("no licence"), ()).build().unwrap_err();
        assert!(e.to_string().contains("no licence"), "{e}");
        assert!(start.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn one_that_exits_is_an_error_of_build() {
    no_hang(|| {
        let e = with(2).initializer(|()| std::process::exit(4), ()).build().unwrap_err();
        assert!(e.to_string().contains("code 4"), "{e}");
        let e = with(1).initializer(|()| std::process::abort(), ()).build().unwrap_err();
        assert!(e.to_string().contains("SIGABRT"), "{e}");
    });
}

/// A worker may be killed by the kernel's out-of-memory killer, or an operator, at any moment: also this early.
#[test]
fn one_death_at_the_start_is_a_replaced_worker() {
    no_hang(|| {
        let folder = Folder::new();
        let die_once = |mark: PathBuf| {
            if is_first(&mark) {
                signal(std::process::id(), libc::SIGKILL);
            }
        };
        for workers in [1, 2] {
            let mark = folder.file(&workers.to_string());
            let pool = with(workers).initializer(die_once, mark.clone()).build().unwrap();
            assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
            assert!(mark.exists());
        }
    });
}

/// Killed from outside, at whatever moment of its start.
#[test]
fn workers_killed_while_the_pool_is_built() {
    let built = common::alone(|()| {
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = over.clone();
        let killer = thread::spawn(move || {
            let mut killed = 0;
            while !seen.load(Ordering::SeqCst) {
                if let Some((child, _)) = common::children().into_iter().find(|(_, state)| *state != 'Z') {
                    signal(child, libc::SIGKILL);
                    killed += 1;
                }
                nap(40);
            }
            killed
        });
        let mut built = 0;
        for i in 0..8 {
            let pool = with(1 + i % 2).build().unwrap();
            match pool.retries(50).apply(double, 4) {
                Ok(8) => built += 1,
                other => panic!("{other:?}"),
            }
        }
        over.store(true, Ordering::SeqCst);
        killer.join().unwrap();
        built
    });
    assert_eq!(built, 8);
}

/// The first worker comes up, and those that replace it do not: the tasks learn why.
#[test]
fn one_that_fails_later_breaks_the_pool_with_the_cause() {
    no_hang(|| {
        let folder = Folder::new();
        let only_once = |mark: PathBuf| assert!(is_first(&mark), "the licence has expired");
        let pool = with(1).crash_limit(3).initializer(only_once, folder.file("mark")).build().unwrap();
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        let task = pool.submit(|()| std::process::exit(1), ());
        let behind: Vec<_> = (0..5).map(|x| pool.submit(double, x)).collect();
        assert!(matches!(task.get().map(|(): ()| ()), Err(TaskError::WorkerDied { .. })));
        for task in behind {
            match task.get() {
                Err(TaskError::Broken(why)) => assert!(why.contains("the licence has expired"), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(pool.apply(double, 1), Err(TaskError::Broken(_))));
        pool.close();
        assert!(pool.join().unwrap_err().to_string().contains("the licence has expired"));
    });
}

/// Half of the starts fail: the pool works with the others.
#[test]
fn one_that_fails_now_and_then() {
    no_hang(|| {
        let folder = Folder::new();
        let every_other = |dir: PathBuf| {
            let number = (0..).find(|i| is_first(&dir.join(format!("{i}")))).unwrap();
            assert!(number % 2 == 0, "an odd one");
        };
        let pool =
            with(1).max_tasks_per_worker(3).initializer(every_other, folder.0.clone()).build().unwrap();
        assert_eq!(pool.map(double, 0..30).unwrap().len(), 30);
        assert!(fs::read_dir(&folder.0).unwrap().count() > 10);
    });
}

#[test]
fn one_that_is_slow_is_waited_for_and_the_time_limit_is_not_its() {
    no_hang(|| {
        let pool = with(2).initializer(nap, 400).task_timeout(Duration::from_millis(300)).build().unwrap();
        assert_eq!(pool.map(double, 0..10).unwrap().len(), 10);
    });
}

/// A pool that is thrown away while its workers are still at their initializers.
#[test]
fn one_that_never_ends_does_not_hold_the_end_of_the_pool() {
    no_hang(|| {
        let folder = Folder::new();
        let first_only = |mark: PathBuf| {
            if !is_first(&mark) {
                nap(600_000);
            }
        };
        let pool = with(3).initializer(first_only, folder.file("mark")).build().unwrap();
        assert_eq!(pool.map(double, 0..50).unwrap().len(), 50);
        let start = Instant::now();
        drop(pool);
        assert!(start.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn one_that_does_not_cross_is_an_error_of_build() {
    #[derive(Clone, Debug, serde::Deserialize)]
    struct Never;
    impl serde::Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it stays here"))
        }
    }
    let e = with(1).initializer(|_: Never| (), Never).build().unwrap_err();
    assert!(e.to_string().contains("it stays here"), "{e}");
}

#[test]
fn a_worker_that_never_comes_up_leaves_its_work_to_the_others() {
    no_hang(|| {
        let folder = Folder::new();
        // The second of two workers fails for ever; the first does the work of both.
        let only_once = |mark: PathBuf| assert!(is_first(&mark), "only one");
        let pool = with(2).initializer(only_once, folder.file("mark")).crash_limit(1000).build().unwrap();
        assert_eq!(pool.map(double, 0..200).unwrap().len(), 200);
    });
}
