//! Tests for a pool whose workers are killed all the time: every task ends exactly once, with its value or as the one
//! that its worker died with.
//!
//! `PROC_POOL_LONG` in the environment asks for the long form: 200,000 tasks instead of some thousands.

mod common;

use common::{children, double, nap, no_hang, signal};
use proc_pool::{Pool, TaskError, as_completed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

proc_core::init_for_tests!();

fn is_long() -> bool {
    std::env::var_os("PROC_POOL_LONG").is_some()
}

fn many(short: u64) -> u64 {
    if is_long() { 200_000 } else { short }
}

/// Kills a worker every 20 ms, a random one, until it is stopped.
struct Killer {
    over: Arc<AtomicBool>,
    kills: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Killer {
    fn start() -> Killer {
        let (over, kills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_over, count) = (over.clone(), kills.clone());
        let thread = thread::spawn(move || {
            let mut random = 12345_u64;
            while !is_over.load(Ordering::SeqCst) {
                let workers: Vec<u32> =
                    children().into_iter().filter(|(_, state)| *state != 'Z').map(|(pid, _)| pid).collect();
                if !workers.is_empty() {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Counted before it can be seen.
                    count.fetch_add(1, Ordering::SeqCst);
                    signal(workers[(random >> 33) as usize % workers.len()], libc::SIGKILL);
                }
                nap(20);
            }
        });
        Killer { over, kills, thread: Some(thread) }
    }

    /// How many there were.
    fn stop(mut self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.kills.load(Ordering::SeqCst)
    }
}

fn pool() -> Pool {
    Pool::new(4).unwrap()
}

/// Takes some time, now and then much.
fn work(x: u64) -> u64 {
    let mut sum = x;
    let turns = if x % 100 == 0 { 20_000 } else { 500 };
    for i in 0..turns {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
    }
    std::hint::black_box(sum);
    x * 2
}

struct Ends {
    values: usize,
    deaths: usize,
}

/// Each task's own end, in whatever order.
fn check(outcomes: impl Iterator<Item = (u64, Result<u64, TaskError>)>, n: u64) -> Ends {
    let mut seen = vec![false; n as usize];
    let mut ends = Ends { values: 0, deaths: 0 };
    for (x, outcome) in outcomes {
        assert!(!std::mem::replace(&mut seen[x as usize], true), "task {x} ended twice");
        match outcome {
            Ok(value) => {
                assert_eq!(value, x * 2, "the value of another");
                ends.values += 1;
            }
            Err(TaskError::WorkerDied { .. }) => ends.deaths += 1,
            Err(e) => panic!("task {x}: {e}"),
        }
    }
    assert!(seen.into_iter().all(|seen| seen), "a task was lost");
    ends
}

/// One test, as the killer hits every child of the process.
#[test]
fn smoke() {
    no_hang(|| {
        submitted();
        in_batches();
        as_they_end();
        repeated();
        repeated_once();
        by_several_threads();
    });
}

fn submitted() {
    let pool = pool();
    let n = many(6_000);
    let killer = Killer::start();
    let tasks: Vec<_> = (0..n).map(|x| pool.submit(work, x)).collect();
    let ends = check(tasks.into_iter().enumerate().map(|(x, task)| (x as u64, task.get())), n);
    let kills = killer.stop();
    assert!(ends.deaths <= kills, "{} deaths by {kills} kills", ends.deaths);
    assert_eq!(ends.values + ends.deaths, n as usize);
    pool.close();
    pool.join().unwrap();
}

/// A worker that is killed in a batch fails the item that it was running, and no other.
fn in_batches() {
    let pool = pool();
    let n = many(8_000);
    for pool in [pool.clone(), pool.chunk(64)] {
        let killer = Killer::start();
        let outcomes = pool.imap(work, 0..n).enumerate().map(|(x, outcome)| (x as u64, outcome));
        let ends = check(outcomes, n);
        let kills = killer.stop();
        assert!(ends.deaths <= kills, "{} deaths by {kills} kills", ends.deaths);
    }
}

fn as_they_end() {
    let pool = pool();
    let n = many(4_000);
    let killer = Killer::start();
    let mut sum = Ends { values: 0, deaths: 0 };
    for task in as_completed((0..n).map(|x| pool.submit(work, x))) {
        match task.get() {
            Ok(_) => sum.values += 1,
            Err(TaskError::WorkerDied { .. }) => sum.deaths += 1,
            Err(e) => panic!("{e}"),
        }
    }
    let kills = killer.stop();
    assert_eq!(sum.values + sum.deaths, n as usize);
    assert!(sum.deaths <= kills, "{} deaths by {kills} kills", sum.deaths);
}

/// With as many retries as there can be kills all values arrive.
fn repeated() {
    let pool = pool().retries(1000);
    let n = many(6_000);
    let killer = Killer::start();
    let values = pool.map(work, 0..n).unwrap();
    let tasks: Vec<_> = (0..n / 4).map(|x| pool.submit(work, x)).collect();
    for (x, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.get().unwrap(), x as u64 * 2);
    }
    killer.stop();
    assert_eq!(values, (0..n).map(|x| x * 2).collect::<Vec<_>>());
    pool.close();
    pool.join().unwrap();
}

/// With one retry an item is lost only if it is hit twice: once in each of two workers. Random kills may do that, so what
/// is promised is that each loss took two of them; that all arrive when no item is hit twice is the second half.
fn repeated_once() {
    let pool = pool().retries(1);
    let n = many(6_000);
    let killer = Killer::start();
    let ends = check(pool.imap(work, 0..n).enumerate().map(|(x, outcome)| (x as u64, outcome)), n);
    let kills = killer.stop();
    assert!(ends.deaths * 2 <= kills, "{} deaths by {kills} kills", ends.deaths);
    // Each of these ends its worker once.
    let folder = common::Folder::new();
    let once = |(mark, x): (std::path::PathBuf, u64)| {
        if common::is_first(&mark) {
            signal(std::process::id(), libc::SIGKILL);
        }
        x
    };
    let items = (0..300_u64).map(|x| (folder.file(&(x / 5).to_string()), x));
    assert_eq!(pool.map(once, items).unwrap(), (0..300).collect::<Vec<_>>());
    pool.close();
    pool.join().unwrap();
}

fn by_several_threads() {
    let pool = pool();
    let n = many(6_000) / 4;
    let killer = Killer::start();
    let threads: Vec<_> = (0..4_u64)
        .map(|i| {
            let pool = pool.clone();
            thread::spawn(move || {
                let outcomes: Vec<_> = match i {
                    0 => pool.imap(work, 0..n).enumerate().map(|(x, outcome)| (x as u64, outcome)).collect(),
                    1 => (0..n).map(|x| (x, pool.apply(work, x))).collect(),
                    2 => {
                        let tasks: Vec<_> = (0..n).map(|x| pool.submit(work, x)).collect();
                        (0..n).rev().zip(tasks.into_iter().rev().map(proc_pool::Task::get)).collect()
                    }
                    _ => pool
                        .with(2_u64)
                        .imap(|by: &u64, x: u64| work(x) / 2 * by, 0..n)
                        .enumerate()
                        .map(|(x, outcome)| (x as u64, outcome))
                        .collect(),
                };
                check(outcomes.into_iter(), n).deaths
            })
        })
        .collect();
    let deaths: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let kills = killer.stop();
    assert!(deaths <= kills, "{deaths} deaths by {kills} kills");
    assert_eq!(pool.retries(3).apply(double, 1).unwrap(), 2);
}
