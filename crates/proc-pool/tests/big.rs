//! Tests for arguments and values larger than what the link to a worker holds, both ways at once, and cut off half-way.

mod common;

use common::{double, nap, no_hang, pid, signal, wait_until};
use proc_pool::{Pool, TaskError};
use serde::{Deserialize, Serialize};
use std::thread;
use std::time::Duration;

proc_core::init_for_tests!();

/// Bytes that tell their place: a block of a prime length, again and again, so that it is quick without optimisation.
fn bytes(n: usize, seed: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..251).map(|i| (i + seed) as u8).collect();
    let mut all = block.repeat(n / 251 + 1);
    all.truncate(n);
    all
}

/// Exchanges the ends: done twice it is undone.
fn swap_ends(mut data: Vec<u8>) -> Vec<u8> {
    let last = data.len().saturating_sub(1);
    if last > 0 {
        data.swap(0, last);
    }
    data
}

#[test]
fn smoke() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let data = bytes(1 << 20, 1);
        assert!(swap_ends(pool.apply(swap_ends, data.clone()).unwrap()) == data);
    });
}

/// Sizes around every border that a ring of some power of two may have.
#[test]
fn of_every_size() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let mut sizes = vec![0, 1];
        for power in 10..22 {
            sizes.extend([
                (1 << power) - 64,
                (1 << power) - 17,
                (1 << power) - 1,
                1 << power,
                (1 << power) + 1,
            ]);
        }
        let back = pool.map(swap_ends, sizes.iter().map(|n| bytes(*n, *n))).unwrap();
        for (n, back) in sizes.iter().zip(back) {
            assert!(swap_ends(back) == bytes(*n, *n), "{n}");
        }
    });
}

/// Both directions are full at once: neither side may wait for the other.
#[test]
fn both_ways_at_once() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let tasks: Vec<_> = (0..24).map(|i| pool.submit(swap_ends, bytes(2 << 20, i))).collect();
        for (i, task) in tasks.into_iter().enumerate().rev() {
            assert!(swap_ends(task.get().unwrap()) == bytes(2 << 20, i));
        }
        let back = pool.imap_unordered(swap_ends, (0..100).map(|i| bytes(150_000, i)));
        assert!(back.into_iter().all(|back| back.unwrap().len() == 150_000));
    });
}

#[test]
fn small_ones_between_big_ones() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let size = |i: usize| if i % 5 == 0 { 1_000_000 } else { i };
        let back = pool.map(swap_ends, (0..200).map(|i| bytes(size(i), i))).unwrap();
        for (i, back) in back.into_iter().enumerate() {
            assert!(swap_ends(back) == bytes(size(i), i), "{i}");
        }
    });
}

/// A worker is not held by a value that nobody has asked for yet.
#[test]
fn nobody_need_ask_for_a_value() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        let tasks: Vec<_> = (0..16).map(|_| pool.submit(|n: usize| vec![1_u8; n], 4 << 20)).collect();
        assert_eq!(pool.apply(double, 1).unwrap(), 2);
        pool.close();
        pool.join().unwrap();
        assert!(tasks.into_iter().all(|task| task.get().unwrap().len() == 4 << 20));
    });
}

#[test]
fn of_structure() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        name: String,
        numbers: Vec<f64>,
        next: Option<Box<Row>>,
    }
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let row = |i: usize| Row {
            name: "n".repeat(i % 50),
            numbers: vec![i as f64; i % 20],
            next: (i % 3 == 0).then(|| Box::new(Row { name: "next".into(), numbers: vec![], next: None })),
        };
        let table: Vec<Row> = (0..5_000).map(row).collect();
        let back = pool
            .apply(
                |mut table: Vec<Row>| {
                    table.reverse();
                    table
                },
                table.clone(),
            )
            .unwrap();
        assert!(back.iter().rev().eq(&table));
    });
}

#[test]
fn a_map_of_borrowed_ones() {
    no_hang(|| {
        let pool = Pool::new(2).unwrap();
        let data: Vec<Vec<u8>> = (0..8).map(|i| bytes(1 << 20, i)).collect();
        let looks = pool.map_ref(|v: &Vec<u8>| (v.len(), v[v.len() - 1]), &data).unwrap();
        assert_eq!(looks, data.iter().map(|v| (v.len(), v[v.len() - 1])).collect::<Vec<_>>());
    });
}

/// Python's executor waits for ever for the rest of a value whose worker was killed half-way through it.
#[test]
fn a_worker_that_is_killed_while_it_writes_a_value() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for round in 0..25_u64 {
            let worker = pool.apply(pid, ()).unwrap();
            let task = pool.submit(|n: usize| vec![3_u8; n], 8 << 20);
            wait_until("it runs", || task.is_running() || task.is_done());
            thread::sleep(Duration::from_micros(round * 150));
            signal(worker, libc::SIGKILL);
            match task.get() {
                Ok(value) => assert!(value == vec![3; 8 << 20]),
                Err(TaskError::WorkerDied { pid, .. }) => assert_eq!(pid, worker),
                Err(e) => panic!("{e}"),
            }
            wait_until("it is gone", || !common::is_alive(worker));
            assert_eq!(pool.retries(1).apply(double, round).unwrap(), round * 2);
        }
    });
}

/// The same for an argument: the caller is in the middle of writing it.
#[test]
fn a_worker_that_is_killed_while_it_reads_an_argument() {
    no_hang(|| {
        let pool = Pool::new(1).unwrap();
        for round in 0..25_u64 {
            let worker = pool.apply(pid, ()).unwrap();
            let killer = thread::spawn(move || {
                thread::sleep(Duration::from_micros(round * 200));
                signal(worker, libc::SIGKILL);
            });
            match pool.apply(|v: Vec<u8>| v.len(), vec![5; 8 << 20]) {
                Ok(n) => assert_eq!(n, 8 << 20),
                Err(TaskError::WorkerDied { pid, .. }) => assert_eq!(pid, worker),
                Err(e) => panic!("{e}"),
            }
            killer.join().unwrap();
            wait_until("it is gone", || !common::is_alive(worker));
            assert_eq!(pool.retries(1).apply(double, round).unwrap(), round * 2);
        }
    });
}

/// Memory that was lent to a value goes back with it.
#[test]
fn what_they_took_is_given_back() {
    let grown = common::alone(|()| {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let pool = Pool::new(1).unwrap();
        let round = || pool.apply(swap_ends, vec![1; 4 << 20]).unwrap().len();
        for _ in 0..5 {
            round();
        }
        let before = resident();
        for _ in 0..40 {
            round();
        }
        nap(50);
        resident().saturating_sub(before)
    });
    assert!(grown < 64 << 10, "{grown} KiB more");
}

#[test]
fn a_pool_is_dropped_while_they_are_under_way() {
    no_hang(|| {
        for _ in 0..5 {
            let pool = Pool::new(2).unwrap();
            let tasks: Vec<_> = (0..8).map(|i| pool.submit(swap_ends, bytes(4 << 20, i))).collect();
            nap(5);
            drop(pool);
            for task in tasks {
                assert!(matches!(task.get(), Ok(_) | Err(TaskError::Closed)));
            }
        }
    });
}
