//! Tests for how a pool ends: close, join, terminate, drop.

use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

fn sleep(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

#[test]
fn smoke() {
    let pool = Pool::new(2).unwrap();
    let tasks: Vec<_> = (0..10).map(|_| pool.submit(sleep, 5)).collect();
    pool.close();
    assert_eq!(pool.apply(sleep, 1).unwrap_err(), TaskError::Closed);
    pool.join().unwrap();
    for task in tasks {
        assert_eq!(task.get().unwrap(), 5);
    }
}

#[test]
fn an_open_pool_is_not_joined() {
    let pool = Pool::new(1).unwrap();
    assert!(pool.join().is_err());
}

#[test]
fn join_with_a_task_whose_handle_is_kept() {
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(sleep, 1);
    pool.close();
    pool.join().unwrap();
    pool.join().unwrap();
    assert_eq!(task.get().unwrap(), 1);
}

#[test]
fn join_timeout_is_not_early() {
    let pool = Pool::new(1).unwrap();
    let task = pool.submit(sleep, 700);
    pool.close();
    let start = Instant::now();
    assert!(!pool.join_timeout(Duration::from_millis(50)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(pool.join_timeout(Duration::from_secs(60)).unwrap());
    assert_eq!(task.get().unwrap(), 700);
}

#[test]
fn terminate_is_prompt_with_ten_thousand_tasks() {
    let pool = Pool::new(2).unwrap();
    let tasks: Vec<_> = (0..10_000).map(|_| pool.submit(sleep, 60_000)).collect();
    let start = Instant::now();
    pool.terminate();
    pool.terminate();
    pool.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    for task in tasks {
        assert_eq!(task.get().unwrap_err(), TaskError::Closed);
    }
}

#[test]
fn a_dropped_pool_ends_its_tasks_and_workers() {
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(|()| std::process::id(), ()).unwrap();
    let task = pool.submit(sleep, 60_000);
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(task.get().unwrap_err(), TaskError::Closed);
    // SAFETY: signal 0 only asks.
    assert_eq!(unsafe { libc::kill(pid as i32, 0) }, -1);
}

#[test]
fn resize_grows_and_shrinks() {
    let pool = Pool::new(1).unwrap();
    pool.resize(3);
    assert_eq!(pool.workers(), 3);
    let ids = pool.map(|ms| (sleep(ms), std::process::id()), [300; 3]).unwrap();
    let mut ids: Vec<u32> = ids.into_iter().map(|(_, id)| id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    pool.resize(1);
    assert_eq!(pool.map(sleep, [1; 20]).unwrap(), [1; 20]);
}

#[test]
fn workers_are_replaced_after_their_number_of_tasks() {
    let pool = Pool::builder().workers(1).max_tasks_per_worker(3).build().unwrap();
    let ids = pool.map(|()| std::process::id(), vec![(); 9]).unwrap();
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[2], ids[3]);
    assert_eq!(ids[6], ids[8]);
}

#[test]
fn a_pool_in_a_pool_in_a_pool_and_no_deeper_than_allowed() {
    fn inner(depth: u32) -> Result<u32, TaskError> {
        if depth == 0 {
            return Ok(1);
        }
        let pool = Pool::new(1).map_err(|e| TaskError::Broken(e.to_string()))?;
        Ok(pool.apply(inner, depth - 1)?? + 1)
    }
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(inner, 2).unwrap().unwrap(), 3);
    let none = |()| Pool::builder().workers(1).depth_limit(1).build().map(drop).map_err(|e| e.to_string());
    assert!(pool.apply(none, ()).unwrap().unwrap_err().contains("inside of each other"));
}
