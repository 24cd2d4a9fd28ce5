//! Tests for state that goes wrong or goes away: the task that first uses it is the guilty one, and workers drop what
//! nothing needs any more.

mod common;

use common::{crash, double, is_first, nap, no_hang, pid, wait_until};
use proc_pool::{Pool, TaskError};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

proc_core::init_for_tests!();

/// What its decoding does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
enum Way {
    Error,
    Panic,
    Exit,
    Abort,
    Hang,
}

#[derive(Clone, Debug, Serialize)]
struct Bad(Way);

impl<'de> Deserialize<'de> for Bad {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Way::deserialize(d)? {
            Way::Error => Err(serde::de::Error::custom("it is not read")),
            Way::Panic => panic!("it is not read"),
            Way::Exit => std::process::exit(3),
            Way::Abort => crash(),
            Way::Hang => {
                nap(600_000);
                Err(serde::de::Error::custom("too late"))
            }
        }
    }
}

/// How a task that needs the state has to end.
fn is_right(way: Way, result: &Result<u64, TaskError>) -> bool {
    match (way, result) {
        (Way::Error, Err(TaskError::Decode(why))) => why.contains("it is not read"),
        (Way::Panic, Err(TaskError::Panicked(panic))) => panic.message == "it is not read",
        // The next one in the same worker.
        (Way::Panic, Err(TaskError::Decode(why))) => why.contains("panicked"),
        (Way::Exit, Err(TaskError::WorkerDied { status, .. })) => status.code() == Some(3),
        (Way::Abort, Err(TaskError::WorkerDied { status, .. })) => status.signal().is_some(),
        (Way::Hang, Err(TaskError::TimedOut)) => true,
        _ => false,
    }
}

fn check(way: Way) {
    no_hang(move || {
        let limit = if way == Way::Hang { Duration::from_millis(200) } else { Duration::from_secs(100) };
        for made in [false, true] {
            let pool = Pool::builder().workers(2).task_timeout(limit).build().unwrap();
            let pool = &pool;
            let run = || {
                if made {
                    pool.with_init(|_: Bad| 1_u64, Bad(way)).apply(|n: &mut u64, ()| *n, ())
                } else {
                    pool.with(Bad(way)).apply(|_: &Bad, ()| 1, ())
                }
            };
            for round in 0..5 {
                let result = run();
                assert!(is_right(way, &result), "{way:?} {made} {round}: {result:?}");
                assert_eq!(pool.apply(double, round).unwrap(), round * 2);
            }
            // Several tasks of one handle, beside others.
            let with = pool.with(Bad(way));
            let bad: Vec<_> = (0..4).map(|_| with.submit(|_: &Bad, ()| 1_u64, ())).collect();
            let good: Vec<_> = (0..20).map(|x| pool.submit(double, x)).collect();
            for task in bad {
                let result = task.get();
                assert!(is_right(way, &result), "{way:?}: {result:?}");
            }
            for (x, task) in good.into_iter().enumerate() {
                assert_eq!(task.get().unwrap(), x as u64 * 2);
            }
        }
    });
}

#[test]
fn smoke() {
    check(Way::Error);
}

#[test]
fn decoding_that_panics_is_the_tasks_error() {
    check(Way::Panic);
}

#[test]
fn decoding_that_exits_is_the_tasks_death() {
    check(Way::Exit);
}

#[test]
fn decoding_that_aborts_is_the_tasks_death() {
    check(Way::Abort);
}

#[test]
fn decoding_that_hangs_is_under_the_tasks_time_limit() {
    check(Way::Hang);
}

/// A state is announced in pieces to a worker that is busy: the value of what it runs is none the worse for it.
#[test]
fn a_big_state_on_its_way_to_a_busy_worker() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        for round in 0..5 {
            let slow = pool.submit(common::sleep, 100);
            let with = pool.with(vec![round; 1 << 20]);
            let big = with.submit(|state: &Vec<u8>, ()| (state.len(), state[7]), ());
            assert_eq!(slow.get().unwrap(), 100);
            assert_eq!(big.get().unwrap(), (1 << 20, round));
        }
        assert_eq!(pool.apply(pid, ()).unwrap(), worker, "nobody died");
    });
}

/// What lies in the worker behind the running task can still be taken back while a state is on its way.
#[test]
fn a_cancel_while_a_big_state_is_on_its_way() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let slow = pool.submit(common::sleep, 200);
        wait_until("it runs", || slow.is_running());
        let behind = pool.submit(double, 1);
        let big = pool.with(vec![1_u8; 1 << 20]).submit(|state: &Vec<u8>, ()| state.len(), ());
        assert!(behind.cancel());
        assert_eq!(slow.get().unwrap(), 200);
        assert_eq!(big.get().unwrap(), 1 << 20);
        assert_eq!(behind.get().unwrap_err(), TaskError::Cancelled);
    });
}

/// States that live in a worker.
static LIVE: AtomicI64 = AtomicI64::new(0);

#[derive(Serialize)]
struct Counted(Vec<u8>);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Counted(Vec::deserialize(d)?))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

fn len(state: &Counted, x: usize) -> usize {
    state.0.len() + x
}

#[track_caller]
fn none_live(pool: &Pool) {
    let live = || pool.map(|()| LIVE.load(Ordering::SeqCst), [(); 8]).unwrap();
    wait_until("no state lives", || live().iter().all(|n| *n == 0));
}

#[test]
fn the_state_of_a_temporary_handle_goes_with_its_tasks() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for size in [10, 1 << 20] {
            // Queued behind another when the handle goes.
            let slow = pool.submit(common::sleep, 50);
            let task = pool.with(Counted(vec![0; size])).submit(len, 1);
            assert_eq!(task.get().unwrap(), size + 1);
            slow.get().unwrap();
            none_live(&pool);
            // An iterator outlives its handle.
            let mut values = pool.with(Counted(vec![0; size])).imap(len, 0..100);
            assert_eq!(values.next().unwrap().unwrap(), size);
            assert_eq!(values.by_ref().map(Result::unwrap).max(), Some(size + 99));
            drop(values);
            none_live(&pool);
            let values = pool.with(Counted(vec![0; size])).imap_unordered(len, 0..100);
            assert_eq!(values.map(Result::unwrap).min(), Some(size));
            none_live(&pool);
            assert_eq!(pool.with(Counted(vec![0; size])).map(len, [1, 2]).unwrap(), [size + 1, size + 2]);
            none_live(&pool);
        }
    });
}

/// Dropped when the worker has no room to be told, and when the state is half-way to it.
#[test]
fn a_state_that_is_dropped_while_its_worker_is_busy() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let big = |bytes: Vec<u8>| bytes.len() as u64;
        // Both are known as cheap, so that much is written ahead.
        pool.map(common::sleep, [0; 200]).unwrap();
        for _ in 0..100 {
            pool.apply(big, vec![0; 50_000]).unwrap();
        }
        for size in [10, 1 << 20] {
            let with = pool.with(Counted(vec![0; size]));
            assert_eq!(with.apply(len, 1).unwrap(), size + 1);
            let slow = pool.submit(common::sleep, 100);
            wait_until("it runs", || slow.is_running());
            let full: Vec<_> = (0..20).map(|_| pool.submit(big, vec![0; 50_000])).collect();
            drop(with);
            // On its way when nobody wants it any more.
            let task = pool.with(Counted(vec![0; size])).submit(len, 1);
            assert!(task.cancel());
            drop(task);
            slow.get().unwrap();
            assert!(full.into_iter().all(|task| task.get().unwrap() == 50_000));
            none_live(&pool);
        }
    });
}

/// One that is cancelled when its argument is on its way is not run, and what comes after it is.
#[test]
fn a_cancel_while_a_big_argument_is_on_its_way() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for round in 0..40_u64 {
            let big = pool.submit(|bytes: Vec<u8>| bytes.len(), vec![1; 4 << 20]);
            if round % 2 == 1 {
                std::thread::sleep(Duration::from_micros(round * 20));
            }
            let cancelled = big.cancel();
            let next = pool.submit(|bytes: Vec<u8>| bytes[bytes.len() - 1], vec![round as u8; 1 << 20]);
            assert_eq!(pool.apply(double, round).unwrap(), round * 2);
            match big.get() {
                Ok(n) => assert!(!cancelled && n == 4 << 20),
                Err(e) => assert!(cancelled && e == TaskError::Cancelled, "{e}"),
            }
            assert_eq!(next.get().unwrap(), round as u8);
        }
    });
}

/// A worker that dies while it drops a state is nobody's death.
#[test]
fn a_drop_that_ends_the_process_costs_no_task() {
    #[derive(Serialize, Deserialize)]
    struct Deadly(PathBuf);
    impl Drop for Deadly {
        fn drop(&mut self) {
            if is_first(&self.0) {
                return;
            }
            std::process::exit(1);
        }
    }
    no_hang(|| {
        let folder = common::Folder::new();
        let pool = Pool::new(1).unwrap();
        for i in 0..12_u64 {
            // The first drop is the one in this process.
            let with = pool.with(Deadly(folder.file(&i.to_string())));
            assert_eq!(with.apply(|_: &Deadly, x: u64| x, i).unwrap(), i);
            drop(with);
            assert_eq!(pool.apply(double, i).unwrap(), i * 2);
        }
    });
}
