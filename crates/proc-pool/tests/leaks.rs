//! Tests for what is left of pools that have ended: no descriptor, no thread, no zombie, no mapping.

mod common;

use common::{alone, crash, double, held, nap, signal, wait_until};
use proc_core::StartMethod;
use proc_pool::{Pool, TaskError, as_completed};
use std::time::Duration;

proc_core::init_for_tests!();

/// A pool's life, with everything that may happen in it.
fn life(method: StartMethod, end: u32) {
    let pool = Pool::builder().workers(2).start_method(method).max_tasks_per_worker(200).build().unwrap();
    assert_eq!(pool.map(double, 0..100).unwrap().len(), 100);
    let with = pool.with(vec![1_u8; 100_000]);
    assert_eq!(with.apply(|v: &Vec<u8>, ()| v.len(), ()).unwrap(), 100_000);
    drop(with);
    assert!(matches!(pool.apply(|()| crash(), ()).map(|(): ()| ()), Err(TaskError::WorkerDied { .. })));
    assert_eq!(pool.timeout(Duration::from_millis(20)).apply(nap, 600_000), Err(TaskError::TimedOut));
    assert_eq!(pool.apply(|n: usize| vec![1_u8; n], 1 << 20).unwrap().len(), 1 << 20);
    let file = || proc_core::Fd(std::fs::File::open("/dev/null").unwrap());
    drop(pool.apply(|f: proc_core::Fd<std::fs::File>| f, file()).unwrap());
    drop(pool.submit(|f: proc_core::Fd<std::fs::File>| f, file()));
    assert!(pool.imap(double, 0..).take(3).all(|value| value.is_ok()));
    pool.submit(double, 1).on_done(|_| ());
    assert_eq!(as_completed((0..5).map(|x| pool.submit(double, x))).count(), 5);
    pool.resize(3);
    pool.resize(1);
    match end {
        0 => drop(pool),
        1 => {
            pool.close();
            pool.join().unwrap();
        }
        2 => {
            drop(pool.submit(nap, 600_000));
            pool.terminate();
            pool.join().unwrap();
        }
        _ => {
            let task = pool.submit(nap, 600_000);
            drop(pool);
            assert_eq!(task.get(), Err(TaskError::Closed));
        }
    }
}

fn check(method: StartMethod) {
    // What is made once for the process: the thread of callbacks, a zygote, the allocator's arenas.
    for end in 0..4 {
        life(method, end);
    }
    nap(200);
    let before = held();
    for round in 0..16 {
        life(method, round % 4);
    }
    // The last threads and processes of a dropped pool may take a moment.
    let mut after = held();
    wait_until("all is given back", || {
        after = held();
        after.descriptors <= before.descriptors
            && after.threads <= before.threads
            && after.children <= before.children
    });
    // The allocator maps and unmaps as it likes; a ring that stays behind is one for each worker of each pool.
    assert!(after.mappings < before.mappings + 16, "{before:?} {after:?}");
}

#[test]
fn smoke() {
    alone(|()| check(StartMethod::Spawn));
}

#[test]
fn of_a_zygotes_workers() {
    alone(|()| check(StartMethod::Zygote));
}

/// Each death is cleaned up while the pool goes on.
#[test]
fn of_workers_that_die() {
    alone(|()| {
        let pool = Pool::new(2).unwrap();
        let die = || {
            assert!(matches!(
                pool.apply(|()| crash(), ()).map(|(): ()| ()),
                Err(TaskError::WorkerDied { .. })
            ));
            let pid = pool.apply(common::pid, ()).unwrap();
            signal(pid, libc::SIGKILL);
            wait_until("it is gone", || !common::is_alive(pid));
            assert_eq!(pool.retries(2).apply(double, 1).unwrap(), 2);
        };
        (0..5).for_each(|_| die());
        nap(200);
        let before = held();
        (0..25).for_each(|_| die());
        let mut after = held();
        wait_until("all is given back", || {
            after = held();
            after.descriptors <= before.descriptors
                && after.threads <= before.threads
                && after.children <= before.children
        });
        assert!(after.mappings < before.mappings + 16, "{before:?} {after:?}");
    });
}

/// A pool that can't be built leaves nothing behind.
#[test]
fn of_pools_that_fail() {
    alone(|()| {
        let fail = || {
            assert!(Pool::builder().workers(2).initializer(|()| panic!("no"), ()).build().is_err());
            let exits = Pool::builder().workers(1).crash_limit(2).initializer(|()| std::process::exit(1), ());
            assert!(exits.build().is_err());
            assert!(Pool::new(0).is_err());
        };
        (0..3).for_each(|_| fail());
        nap(200);
        let before = held();
        (0..10).for_each(|_| fail());
        wait_until("all is given back", || {
            let after = held();
            after.descriptors <= before.descriptors
                && after.threads <= before.threads
                && after.children <= before.children
        });
    });
}

/// Descriptors are used up: an error, of the pool or of the task, and nothing hangs or is lost.
#[test]
fn none_when_descriptors_run_out() {
    alone(|()| {
        // What is made once for the process.
        drop(Pool::new(1).unwrap());
        nap(200);
        let limit = libc::rlimit { rlim_cur: 48, rlim_max: 48 };
        // SAFETY: sets a limit of this process from a valid structure.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        let before = held().descriptors;
        let mut pools = Vec::new();
        let error = loop {
            match Pool::new(1) {
                Ok(pool) => pools.push(pool),
                Err(e) => break e,
            }
            assert!(pools.len() < 48);
        };
        assert!(!error.to_string().is_empty());
        for pool in &pools {
            assert_eq!(pool.apply(double, 1).unwrap(), 2);
        }
        // Workers that die now can't be replaced at once, and are once there is room.
        let (last, rest) = pools.split_last().unwrap();
        assert!(matches!(last.apply(|()| crash(), ()).map(|(): ()| ()), Err(TaskError::WorkerDied { .. })));
        assert!(!rest.is_empty());
        drop(pools);
        wait_until("all is given back", || held().descriptors <= before);
        assert_eq!(Pool::new(2).unwrap().apply(double, 1).unwrap(), 2);
    });
}

/// As the documentation says: what one more worker takes here.
#[test]
fn descriptors_of_one_worker() {
    let kinds = alone(|()| {
        let up = |n: usize| {
            let pool = Pool::new(n).unwrap();
            wait_until("all are up", || pool.stats().workers.iter().filter(|w| w.pid.is_some()).count() == n);
            pool.map(|()| nap(5), vec![(); n * 8]).unwrap();
            let mut kinds: Vec<String> = std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .flatten()
                .filter_map(|fd| std::fs::read_link(fd.path()).ok())
                .map(|to| to.to_string_lossy().split([':', '(', ' ']).take(2).collect::<Vec<_>>().join(" "))
                .map(|kind| kind.chars().filter(|c| !c.is_ascii_digit()).collect())
                .collect();
            kinds.sort_unstable();
            kinds
        };
        let mut more = up(3);
        for kind in up(2) {
            if let Some(at) = more.iter().position(|one| *one == kind) {
                more.remove(at);
            }
        }
        more
    });
    let count = |kind: &str| kinds.iter().filter(|one| one.contains(kind)).count();
    let counts = (count("socket"), count("memfd"), count("pidfd"), count("pipe"), kinds.len());
    assert_eq!(counts, (3, 2, 1, 1, 7), "{kinds:?}");
}
