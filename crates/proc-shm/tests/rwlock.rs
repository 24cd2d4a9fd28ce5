//! Tests for the lock of readers and writers.

mod common;

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use common::{LONG, SHORT, eventually};
use proc_core::Process;
use proc_shm::{Event, LockError, ReadGuard, RwLock, WriteGuard};

proc_core::init_for_tests!();

#[test]
fn smoke() {
    let lock = RwLock::new([1, 2]).unwrap();
    let (a, b) = (lock.read().unwrap(), lock.read().unwrap());
    assert_eq!(a[0] + b[1], 3);
    assert_eq!(format!("{lock:?}"), "RwLock { data: [1, 2] }");
    drop((a, b));
    lock.write().unwrap()[0] = 5;
    assert_eq!(*lock.try_read().unwrap().unwrap(), [5, 2]);
    assert_eq!(*lock.read_timeout(LONG).unwrap().unwrap(), [5, 2]);
    assert_eq!(*lock.read_deadline(Instant::now() + LONG).unwrap().unwrap(), [5, 2]);
}

#[test]
fn readers_read_together_and_writers_alone() {
    let lock = RwLock::new(0).unwrap();
    let together = Barrier::new(4);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let _guard = lock.read().unwrap();
                // They would not all come here if they excluded each other.
                together.wait();
                assert!(lock.try_read().unwrap().is_some());
                together.wait();
            });
        }
    });
    let guard = lock.read().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(lock.try_write().unwrap().is_none());
            let start = Instant::now();
            assert!(lock.write_timeout(SHORT).unwrap().is_none());
            assert!(start.elapsed() >= SHORT);
            assert!(lock.write_deadline(start).unwrap().is_none());
            // The attempt left no trace.
            assert!(lock.try_read().unwrap().is_some());
        });
    });
    drop(guard);
    let guard = lock.write().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(lock.try_read().unwrap().is_none());
            assert!(lock.read_timeout(SHORT).unwrap().is_none());
            assert_eq!(format!("{lock:?}"), "RwLock { data: <locked> }");
        });
    });
    drop(guard);
}

#[test]
fn a_thread_does_not_wait_for_itself() {
    let lock = RwLock::new(0).unwrap();
    let read = lock.read().unwrap();
    assert_eq!(lock.write().unwrap_err(), LockError::Deadlock);
    assert_eq!(lock.try_write().unwrap_err(), LockError::Deadlock);
    drop(read);
    let write = lock.write().unwrap();
    assert_eq!(lock.read().unwrap_err(), LockError::Deadlock);
    assert_eq!(lock.try_read().unwrap_err(), LockError::Deadlock);
    assert_eq!(lock.write().unwrap_err(), LockError::Deadlock);
    drop(write);
    assert_eq!(*lock.read().unwrap(), 0);
}

#[test]
fn a_waiting_writer_goes_before_new_readers_but_not_before_nested_ones() {
    let lock = RwLock::new(0).unwrap();
    let outer = lock.read().unwrap();
    let writing = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            let mut guard = lock.write().unwrap();
            writing.store(true, SeqCst);
            *guard = 1;
        });
        // When a newcomer is refused, the writer waits.
        eventually("the writer", || s.spawn(|| lock.try_read().unwrap().is_none()).join().unwrap());
        let inner = lock.read_timeout(LONG).unwrap().expect("a nested reader waits for itself");
        drop(outer);
        thread::sleep(SHORT);
        assert!(!writing.load(SeqCst) && *inner == 0);
        drop(inner);
    });
    assert_eq!(*lock.read().unwrap(), 1);
}

#[test]
fn writers_are_not_starved_and_nor_are_readers() {
    let lock = RwLock::new([0_u64; 8]).unwrap();
    let stop = AtomicBool::new(false);
    let (reads, writes) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !stop.load(SeqCst) {
                    let guard = lock.read().unwrap();
                    assert!(guard.iter().all(|x| *x == guard[0]));
                    reads.fetch_add(1, SeqCst);
                }
            });
            s.spawn(|| {
                while !stop.load(SeqCst) {
                    for x in &mut *lock.write().unwrap() {
                        *x += 1;
                    }
                    writes.fetch_add(1, SeqCst);
                }
            });
        }
        eventually("progress of both", || reads.load(SeqCst) > 200 && writes.load(SeqCst) > 200);
        stop.store(true, SeqCst);
    });
}

#[test]
fn more_readers_than_slots_wait_for_each_other() {
    let lock = RwLock::new(7).unwrap();
    thread::scope(|s| {
        for _ in 0..100 {
            s.spawn(|| {
                let guard = lock.read().unwrap();
                thread::sleep(Duration::from_millis(5));
                assert_eq!(*guard, 7);
            });
        }
    });
    drop(lock.write().unwrap());
}

/// A process that runs `f`, which sets the event and stays until it is killed.
fn in_a_process(lock: &RwLock<i32>, f: fn((RwLock<i32>, Event))) -> Process<()> {
    let ready = Event::new().unwrap();
    let child = Process::spawn(f, (lock.clone(), ready.clone())).unwrap();
    assert!(ready.wait_timeout(LONG).unwrap());
    child
}

fn read((lock, ready): (RwLock<i32>, Event)) {
    let _guard = lock.read().unwrap();
    ready.set();
    thread::sleep(LONG);
}

fn write((lock, ready): (RwLock<i32>, Event)) {
    ready.set();
    let _guard = lock.write().unwrap();
    thread::sleep(LONG);
}

#[test]
fn a_dead_reader_keeps_no_writer() {
    let lock = RwLock::new(0).unwrap();
    let child = in_a_process(&lock, read);
    assert!(lock.try_write().unwrap().is_none());
    thread::scope(|s| {
        let writer = s.spawn(|| lock.write().map(|mut g| *g = 1));
        thread::sleep(SHORT);
        child.kill().unwrap();
        child.join().unwrap_err();
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
    assert!(!lock.is_poisoned());
    assert_eq!(*lock.read().unwrap(), 1);
}

#[test]
fn a_writer_that_died_waiting_poisons_nothing() {
    let lock = RwLock::new(0).unwrap();
    let reading = lock.read().unwrap();
    let child = in_a_process(&lock, write);
    eventually("the writer", || {
        thread::scope(|s| s.spawn(|| lock.try_read().unwrap().is_none()).join().unwrap())
    });
    child.kill().unwrap();
    child.join().unwrap_err();
    assert!(!lock.is_poisoned());
    thread::scope(|s| s.spawn(|| drop(lock.read().unwrap())).join().unwrap());
    drop(reading);
    *lock.write().unwrap() = 1;
    assert_eq!(*lock.read().unwrap(), 1);
}

#[test]
fn a_dead_writer_poisons_for_readers_too() {
    let lock = RwLock::new(0).unwrap();
    let child = in_a_process(&lock, write);
    eventually("the writer", || lock.try_read().unwrap().is_none());
    thread::scope(|s| {
        let readers: Vec<_> = (0..3).map(|_| s.spawn(|| lock.read().map(drop))).collect();
        thread::sleep(SHORT);
        child.kill().unwrap();
        child.join().unwrap_err();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Err(LockError::OwnerDied));
        }
    });
    assert_eq!(lock.try_read().unwrap_err(), LockError::OwnerDied);
    assert_eq!(*lock.repair(|x| *x = 9).unwrap(), 9);
    assert_eq!(*lock.read().unwrap(), 9);
}

#[test]
fn guards_are_narrowed() {
    let lock = RwLock::new([[1, 2], [3, 4]]).unwrap();
    let part = ReadGuard::map(lock.read().unwrap(), |all| &all[1]);
    assert_eq!(*part, [3, 4]);
    assert!(lock.try_read().unwrap().is_some());
    drop(part);
    *WriteGuard::map(lock.write().unwrap(), |all| &mut all[1][0]) = 9;
    let whole = ReadGuard::filter_map(lock.read().unwrap(), |all| all.get(5)).unwrap_err();
    assert_eq!(*ReadGuard::filter_map(whole, |all| all.get(1)).unwrap(), [9, 4]);
    drop(lock.write().unwrap());
}

#[test]
fn a_thread_that_has_all_places_of_readers_is_told() {
    let lock = RwLock::new(7).unwrap();
    let mut guards: Vec<_> = (0..64).map(|_| lock.read().unwrap()).collect();
    for _ in 0..2 {
        assert_eq!(lock.read().unwrap_err(), LockError::TooMany);
        assert_eq!(lock.try_read().unwrap_err(), LockError::TooMany);
        assert_eq!(lock.read_timeout(LONG).unwrap_err(), LockError::TooMany);
        // It can do with one less.
        drop(guards.pop());
        guards.push(lock.read().unwrap());
    }
    drop(guards);
    *lock.write().unwrap() = 8;
}

/// The time that this thread has used a processor.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[test]
fn a_reader_that_waits_for_a_second_place_sleeps() {
    let lock = RwLock::new(7).unwrap();
    let first = lock.read().unwrap();
    let (ready, done) = (Event::new().unwrap(), Event::new().unwrap());
    thread::scope(|s| {
        s.spawn(|| {
            let _all_others: Vec<_> = (0..63).map(|_| lock.read().unwrap()).collect();
            ready.set();
            assert!(done.wait_timeout(LONG).unwrap());
        });
        assert!(ready.wait_timeout(LONG).unwrap());
        let (start, used) = (Instant::now(), cpu_time());
        assert!(lock.read_timeout(SHORT * 10).unwrap().is_none());
        let (waited, used) = (start.elapsed(), cpu_time() - used);
        assert!(waited >= SHORT * 10);
        assert!(used < waited / 4, "{used:?} of {waited:?}");
        let second = s.spawn(|| done.set());
        assert_eq!(*lock.read().unwrap(), *first);
        second.join().unwrap();
    });
}

#[test]
fn a_place_that_is_given_up_is_found_whichever_it_is() {
    let lock = RwLock::new(7).unwrap();
    let mut keys: Vec<_> = Vec::new();
    let ready = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..64 {
            let (key, turn) = std::sync::mpsc::channel::<()>();
            keys.push(key);
            let (lock, ready) = (&lock, &ready);
            s.spawn(move || {
                let guard = lock.read().unwrap();
                ready.fetch_add(1, SeqCst);
                let _ = turn.recv();
                drop(guard);
            });
        }
        eventually("64 readers", || ready.load(SeqCst) == 64);
        let late = s.spawn(|| *lock.read().unwrap());
        thread::sleep(SHORT);
        assert!(!late.is_finished());
        // One of 64, and hardly that which the late one sleeps on.
        drop(keys.pop());
        assert_eq!(late.join().unwrap(), 7);
        keys.clear();
    });
}

#[test]
fn read_limits_are_kept() {
    let lock = RwLock::new(7).unwrap();
    let writer = lock.write().unwrap();
    common::under_signals(|| {
        let start = Instant::now();
        assert!(lock.read_timeout(SHORT * 3).unwrap().is_none());
        assert!(start.elapsed() >= SHORT * 3);
    });
    thread::scope(|s| {
        s.spawn(|| {
            assert!(lock.read_timeout(Duration::ZERO).unwrap().is_none());
            let deadline = Instant::now() + SHORT;
            assert!(lock.read_deadline(deadline).unwrap().is_none());
            assert!(Instant::now() >= deadline);
        });
    });
    thread::scope(|s| {
        let reader = s.spawn(|| lock.read_timeout(Duration::MAX).map(|guard| guard.map(|g| *g)));
        thread::sleep(SHORT);
        drop(writer);
        assert_eq!(reader.join().unwrap(), Ok(Some(7)));
    });
    assert!(lock.read_timeout(Duration::ZERO).unwrap().is_some());
}

#[test]
fn a_thread_that_ends_with_a_read_guard_keeps_no_writer() {
    let lock = RwLock::new(7).unwrap();
    thread::scope(|s| s.spawn(|| std::mem::forget(lock.read().unwrap())).join().unwrap());
    *lock.write_timeout(LONG).unwrap().unwrap() = 8;
    assert_eq!(*lock.read().unwrap(), 8);
}
