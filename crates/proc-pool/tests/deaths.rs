//! Tests for workers that die: the guilty task fails, the others don't notice, and the worker is replaced.

use proc_core::ExitStatus;
use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

fn id(_: ()) -> u32 {
    std::process::id()
}

fn kill(pid: u32) {
    // SAFETY: a signal to a process of this test.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
}

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    let e = pool.apply(|()| std::process::abort(), ()).map(|(): ()| ()).unwrap_err();
    let TaskError::WorkerDied { status, .. } = e else { panic!("{e}") };
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    assert_eq!(pool.apply(|x: u32| x, 3).unwrap(), 3);
}

#[test]
fn an_exit_in_a_task_is_its_error() {
    let pool = Pool::new(2).unwrap();
    let task = pool.submit(|code: i32| -> u32 { std::process::exit(code) }, 3);
    let id = task.id();
    match task.get() {
        Err(TaskError::WorkerDied { status, task, pid }) => {
            assert_eq!((status, task), (ExitStatus::Exited(3), id));
            assert_ne!(pid, std::process::id());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_guilty_task_fails() {
    let pool = Pool::new(2).unwrap();
    let risky = |x: u32| {
        if x % 10 == 5 {
            std::process::abort();
        }
        x
    };
    let results: Vec<_> = pool.imap(risky, 0..100).collect();
    for (i, result) in results.iter().enumerate() {
        match result {
            Ok(x) => assert_eq!(*x, i as u32),
            Err(TaskError::WorkerDied { .. }) => assert_eq!(i % 10, 5),
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(results.iter().filter(|r| r.is_err()).count(), 10);
}

#[test]
fn an_idle_worker_that_is_killed_is_replaced() {
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(id, ()).unwrap();
    kill(pid);
    // It may take its death a moment to be known; then nobody is guilty.
    std::thread::sleep(Duration::from_millis(200));
    assert_ne!(pool.apply(id, ()).unwrap(), pid);
}

#[test]
fn retries_run_it_again() {
    let pool = Pool::new(2).unwrap();
    let dir = std::env::temp_dir().join(format!("proc-pool-retries-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let once = |mark: std::path::PathBuf| {
        if std::fs::File::create_new(mark).is_ok() {
            std::process::abort();
        }
        7
    };
    assert_eq!(pool.retries(1).apply(once, dir.join("a")).unwrap(), 7);
    let e = pool.apply(once, dir.join("b")).unwrap_err();
    assert!(matches!(e, TaskError::WorkerDied { .. }));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_initializer_that_fails_is_an_error_at_once() {
    let start = Instant::now();
    let e = Pool::builder().workers(1).initializer(|()| panic!("no licence"), ()).build().unwrap_err();
    assert!(e.to_string().contains("no licence"), "{e}");
    let e = Pool::builder().workers(1).initializer(|()| std::process::exit(4), ()).build().unwrap_err();
    assert!(e.to_string().contains("code 4"), "{e}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_crash_loop_breaks_the_pool_with_its_cause() {
    let pool = Pool::builder().workers(1).crash_limit(3).build().unwrap();
    let results: Vec<_> = pool.imap(|_: u32| -> u32 { std::process::exit(9) }, 0..10).collect();
    assert_eq!(results.len(), 10);
    assert!(results[..2].iter().all(|r| matches!(r, Err(TaskError::WorkerDied { .. }))));
    let Err(TaskError::Broken(why)) = &results[9] else { panic!("{results:?}") };
    assert!(why.contains("code 9"), "{why}");
    assert!(matches!(pool.apply(|x: u32| x, 1), Err(TaskError::Broken(_))));
    pool.close();
    assert!(pool.join().is_err());
}

#[test]
fn a_time_limit_ends_the_task_and_not_the_pool() {
    let pool = Pool::new(1).unwrap();
    let start = Instant::now();
    let sleep = |s| std::thread::sleep(Duration::from_secs(s));
    let e = pool.timeout(Duration::from_millis(100)).apply(sleep, 60).unwrap_err();
    assert_eq!(e, TaskError::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(pool.apply(|x: u32| x, 1).unwrap(), 1);
}

#[test]
fn cancel_is_for_queued_tasks_and_kill_for_all() {
    let pool = Pool::new(1).unwrap();
    let sleep = |s| std::thread::sleep(Duration::from_secs(s));
    let long = pool.submit(sleep, 60);
    let queued = pool.submit(sleep, 60);
    while !long.is_running() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!long.cancel());
    assert!(queued.cancel());
    assert_eq!(queued.get().unwrap_err(), TaskError::Cancelled);
    assert!(long.kill());
    assert_eq!(long.get().unwrap_err(), TaskError::Cancelled);
    assert_eq!(pool.apply(|x: u32| x, 1).unwrap(), 1);
}
