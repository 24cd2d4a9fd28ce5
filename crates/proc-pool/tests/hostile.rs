//! Tests for workers whose tasks write over the memory that they share with the pool.

mod common;

use common::{double, no_hang};
use proc_pool::{Pool, TaskError};
use std::time::{Duration, Instant};

proc_core::init_for_tests!();

/// Writes random words over everything that is mapped here and shared.
fn scribble(seed: u64) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for line in maps.lines().filter(|line| line.contains(" rw-s ") || line.contains("memfd:")) {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        if !rest.starts_with("rw") {
            continue;
        }
        let (from, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        for at in (from..to).step_by(8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            // Some words only, as what is wrong everywhere is easily seen.
            if x % (seed % 7 + 1) == 0 {
                let word: *mut u64 = std::ptr::with_exposed_provenance_mut(at);
                // SAFETY: mapped writable, as the kernel says, and of this process's own rings and table. That the
                // memory makes no sense afterwards is the point.
                unsafe { word.write_volatile(x) };
            }
        }
    }
    seed
}

/// Slots alone: the small mapping. The ring is as it should be then, but nobody knows who an item belongs to.
fn scribble_slots(seed: u64) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for line in maps.lines().filter(|line| line.contains(" rw-s ")) {
        let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let (from, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        if to - from <= 16 * 1024 {
            for at in (from + 128..to).step_by(8) {
                let word: *mut u64 = std::ptr::with_exposed_provenance_mut(at);
                // SAFETY: as in `scribble`.
                unsafe { word.write_volatile(seed.wrapping_mul(at as u64)) };
            }
        }
    }
    seed
}

const SCRIBBLERS: u64 = 14;

/// `spoils_results`: what it has written over may be the results of tasks before it, and how far it was.
fn check(guilty: fn(u64) -> u64, spoils_results: bool) {
    no_hang(move || {
        let pool = Pool::new(2).unwrap();
        let mut failed = 0;
        for seed in 1..=SCRIBBLERS {
            let before: Vec<_> = (0..200).map(|x| pool.submit(double, x)).collect();
            let bad = pool.submit(guilty, seed);
            let after: Vec<_> = (0..200).map(|x| pool.submit(double, x)).collect();
            for tasks in [before, after] {
                for (x, task) in tasks.into_iter().enumerate() {
                    match task.get() {
                        Ok(value) => assert_eq!(value, x as u64 * 2),
                        // Beside the guilty task in the same worker, when that was found out.
                        Err(TaskError::WorkerDied { .. }) => failed += 1,
                        Err(e) => panic!("{e}"),
                    }
                }
            }
            match bad.get() {
                Ok(value) => assert_eq!(value, seed),
                Err(TaskError::WorkerDied { .. }) => failed += 1,
                Err(e) => panic!("{e}"),
            }
        }
        let died: u64 = pool.stats().workers.iter().map(|worker| worker.ends).sum();
        assert!(died > 0, "nothing was written over");
        // Each of them ends its own worker and is not run again; and with it one task at most, if only one can have begun.
        assert!(died <= SCRIBBLERS, "{died} workers");
        assert!(spoils_results || failed <= SCRIBBLERS, "{failed} tasks");
        // The pool is none the worse for it.
        let start = Instant::now();
        while pool.map(double, 0..1000).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60));
        }
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn smoke() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(|x: u64| x, 1).unwrap(), 1);
    let died = |result: Result<u64, TaskError>| {
        assert!(matches!(result, Ok(3) | Err(TaskError::WorkerDied { .. })));
    };
    died(pool.apply(scribble, 3));
    assert_eq!(pool.retries(1).apply(double, 4).unwrap(), 8);
}

#[test]
fn one_that_overwrites_all_that_it_maps_harms_itself_alone() {
    check(scribble, true);
}

#[test]
fn one_that_overwrites_its_slots_harms_itself_alone() {
    check(scribble_slots, false);
}
