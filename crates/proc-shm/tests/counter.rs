//! Tests for the counter that several processes increase: nothing is lost.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use proc_core::{Process, RemoteError};
use proc_shm::{LockError, Mutex, Value};

proc_core::init_for_tests!();

fn add(n: Value<i32>) -> Result<(), RemoteError> {
    for _ in 0..10_000 {
        *n.lock()? += 1;
    }
    Ok(())
}

#[test]
fn smoke() {
    let n = Value::new(0).unwrap();
    add(n.clone()).unwrap();
    assert_eq!(n.get(), 10_000);
}

#[test]
fn two_processes_of_ten_thousand_make_twenty_thousand() {
    let n = Value::new(0).unwrap();
    let children: Vec<_> = (0..2).map(|_| Process::spawn(add, n.clone()).unwrap()).collect();
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(n.get(), 20_000);
    assert_eq!(*n.lock().unwrap(), 20_000);
}

#[test]
fn eight_processes_of_ten_thousand_make_eighty_thousand() {
    let n = Value::new(0).unwrap();
    let children: Vec<_> = (0..8).map(|_| Process::spawn(add, n.clone()).unwrap()).collect();
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(n.get(), 80_000);
}

#[test]
fn processes_and_threads_inside_them() {
    fn work((n, wide, atomic): (Mutex<u64>, Value<[u64; 3]>, Value<AtomicU64>)) -> Result<(), LockError> {
        thread::scope(|s| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        for _ in 0..500 {
                            *n.lock()? += 1;
                            for x in &mut *wide.lock()? {
                                *x += 1;
                            }
                            atomic.fetch_add(1, Relaxed);
                            let [a, b, c] = wide.get();
                            assert!(a == b && b == c);
                        }
                        Ok(())
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|t| t.join().unwrap())
        })
    }
    let shared =
        (Mutex::new(0).unwrap(), Value::new([0; 3]).unwrap(), Value::new(AtomicU64::new(0)).unwrap());
    let children: Vec<_> = (0..8).map(|_| Process::spawn(work, shared.clone()).unwrap()).collect();
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(*shared.0.lock().unwrap(), 12_000);
    assert_eq!(shared.1.get(), [12_000; 3]);
    assert_eq!(shared.2.load(Relaxed), 12_000);
}
