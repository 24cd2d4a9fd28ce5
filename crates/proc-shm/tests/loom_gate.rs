//! Tests for readers and writers under loom: a gate with two slots, with and without a thread that is killed at any access.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use proc_shm::raw::model::live;
use proc_shm::{LockError, RwLock};

fn check(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// A lock, and what stands for its data: loom sees who reads it beside a writer.
struct Guarded {
    lock: RwLock<u32>,
    data: UnsafeCell<u32>,
}

// SAFETY: loom checks that the data is used under the lock only.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded { lock: RwLock::new(0).unwrap(), data: UnsafeCell::new(0) })
    }

    fn read(&self) -> Result<u32, LockError> {
        let _guard = self.lock.read()?;
        // SAFETY: loom checks that nobody writes meanwhile.
        Ok(self.data.with(|data| unsafe { *data }))
    }

    fn write(&self) -> Result<(), LockError> {
        let _guard = self.lock.write()?;
        // SAFETY: loom checks that nobody else uses it meanwhile.
        self.data.with_mut(|data| unsafe { *data += 1 });
        Ok(())
    }
}

#[test]
fn smoke() {
    loom::model(|| {
        let guarded = Guarded::new();
        guarded.write().unwrap();
        assert_eq!(guarded.read(), Ok(1));
    });
}

#[test]
fn a_writer_is_alone() {
    check(2, || {
        let guarded = Guarded::new();
        let theirs = Arc::clone(&guarded);
        let writer = thread::spawn(move || theirs.write().unwrap());
        assert!(guarded.read().unwrap() <= 1);
        writer.join().unwrap();
        assert_eq!(guarded.read(), Ok(1));
    });
}

#[test]
fn two_writers_are_not_together() {
    check(2, || {
        let guarded = Guarded::new();
        let theirs = Arc::clone(&guarded);
        let writer = thread::spawn(move || theirs.write().unwrap());
        guarded.write().unwrap();
        writer.join().unwrap();
        assert_eq!(guarded.read(), Ok(2));
    });
}

#[test]
fn a_dead_reader_keeps_nobody() {
    for at in 0..12 {
        check(1, move || {
            let guarded = Guarded::new();
            let theirs = Arc::clone(&guarded);
            let victim = thread::spawn(move || live(at, || theirs.read().map(drop)).is_some());
            guarded.write().unwrap();
            victim.join().unwrap();
            assert_eq!(guarded.read(), Ok(1));
            assert!(!guarded.lock.is_poisoned());
        });
    }
}

/// It may have begun to write, which the others learn, or not have.
#[test]
fn a_dead_writer_keeps_nobody() {
    for at in 0..16 {
        check(1, move || {
            let guarded = Guarded::new();
            let theirs = Arc::clone(&guarded);
            let victim = thread::spawn(move || live(at, || drop(theirs.lock.write())).is_some());
            for _ in 0..2 {
                match guarded.read() {
                    Ok(read) => assert_eq!(read, 0),
                    Err(LockError::OwnerDied) => drop(guarded.lock.repair(|_| ()).unwrap()),
                    Err(other) => panic!("{other}"),
                }
            }
            victim.join().unwrap();
            if guarded.lock.is_poisoned() {
                drop(guarded.lock.repair(|_| ()).unwrap());
            }
            guarded.write().unwrap();
        });
    }
}
