//! Tests for the semaphore, the condition variable and the barrier under loom: every order of events, with and without a
//! thread that is killed at any access. Each thread plays a process.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use proc_shm::raw::model::live;
use proc_shm::{Barrier, BarrierError, Condvar, Guard, LockError, Mutex, Semaphore};

fn check(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// What only the holder of a permit touches.
#[derive(Default)]
struct Alone(UnsafeCell<u32>);

// SAFETY: loom checks that nobody touches it beside another.
unsafe impl Sync for Alone {}
// SAFETY: as above.
unsafe impl Send for Alone {}

impl Alone {
    fn touch(&self) {
        // SAFETY: loom checks that nobody else uses it meanwhile.
        self.0.with_mut(|cell| unsafe { *cell += 1 });
    }
}

#[test]
fn smoke() {
    loom::model(|| {
        let semaphore = Semaphore::new(1).unwrap();
        drop(semaphore.acquire().unwrap());
        assert_eq!(Barrier::new(1).unwrap().wait(), Ok(true));
    });
}

#[test]
fn one_permit_excludes() {
    check(2, || {
        let semaphore = Semaphore::new(1).unwrap();
        let alone = Arc::new(Alone::default());
        let (theirs, data) = (semaphore.clone(), Arc::clone(&alone));
        let other = thread::spawn(move || {
            let theirs = theirs.crossed().unwrap();
            let _permit = theirs.acquire().unwrap();
            data.touch();
        });
        {
            let _permit = semaphore.acquire().unwrap();
            alone.touch();
        }
        other.join().unwrap();
    });
}

#[test]
fn the_permit_of_a_dead_one_comes_back() {
    for at in 0..24 {
        check(1, move || {
            let semaphore = Semaphore::new(1).unwrap();
            let theirs = semaphore.clone();
            let victim = thread::spawn(move || {
                live(at, || {
                    let theirs = theirs.crossed().unwrap();
                    drop(theirs.acquire().unwrap());
                });
            });
            drop(semaphore.acquire().unwrap());
            victim.join().unwrap();
            let permit = semaphore.acquire().unwrap();
            assert!(semaphore.try_acquire().unwrap().is_none());
            drop(permit);
        });
    }
}

/// Items under a lock, and a condition that says when there are some.
struct Items {
    items: Mutex<u32>,
    condvar: Condvar,
}

impl Items {
    fn new() -> Arc<Items> {
        Arc::new(Items { items: Mutex::new(0).unwrap(), condvar: Condvar::new().unwrap() })
    }

    /// A number is whole whatever its owner did.
    fn lock(&self) -> Guard<'_, u32> {
        match self.items.lock() {
            Err(LockError::OwnerDied) => self.items.repair(|_| ()),
            other => other,
        }
        .unwrap()
    }

    fn take(&self) {
        loop {
            match self.condvar.wait_while(self.lock(), |items| *items == 0) {
                Ok(mut items) => {
                    *items -= 1;
                    return;
                }
                Err(LockError::OwnerDied) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn put(&self) {
        *self.lock() += 1;
        self.condvar.notify_one();
    }
}

#[test]
fn no_notification_is_lost() {
    check(2, || {
        let items = Items::new();
        let theirs = Arc::clone(&items);
        let waiter = thread::spawn(move || theirs.take());
        items.put();
        waiter.join().unwrap();
    });
}

#[test]
fn a_dead_notifier_blocks_nobody() {
    for at in 0..10 {
        check(1, move || {
            let items = Items::new();
            let theirs = Arc::clone(&items);
            let waiter = thread::spawn(move || theirs.take());
            let theirs = Arc::clone(&items);
            let victim = thread::spawn(move || live(at, || theirs.put()).is_some());
            items.put();
            waiter.join().unwrap();
            victim.join().unwrap();
        });
    }
}

#[test]
fn a_dead_waiter_takes_no_notification_with_it() {
    for at in 0..16 {
        check(1, move || {
            let items = Items::new();
            let theirs = Arc::clone(&items);
            let victim = thread::spawn(move || live(at, || theirs.take()).is_some());
            let theirs = Arc::clone(&items);
            let waiter = thread::spawn(move || theirs.take());
            // One for each; the victim's may be left.
            items.put();
            items.put();
            waiter.join().unwrap();
            victim.join().unwrap();
        });
    }
}

#[test]
fn a_barrier_opens_for_all() {
    check(2, || {
        let barrier = Barrier::new(2).unwrap();
        let theirs = barrier.clone();
        let other = thread::spawn(move || theirs.crossed().unwrap().wait());
        let ours = barrier.wait().unwrap();
        assert_eq!(other.join().unwrap(), Ok(!ours));
    });
}

#[test]
fn a_party_that_arrived_and_died_is_noticed() {
    let noticed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    // After these it would sleep, and nobody would come.
    for at in 0..17 {
        let noticed = noticed.clone();
        check(1, move || {
            let barrier = Barrier::new(3).unwrap();
            let theirs = barrier.clone();
            let victim =
                thread::spawn(move || live(at, || theirs.crossed().unwrap().wait().map(drop)).is_none());
            assert!(victim.join().unwrap());
            if barrier.waiting() == 1 {
                let theirs = barrier.clone();
                let other = thread::spawn(move || theirs.crossed().unwrap().wait().map(drop));
                assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
                noticed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
    }
    assert_ne!(noticed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

/// The one that comes last passes with nobody who had died before.
#[test]
fn nobody_passes_with_the_dead() {
    let noticed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for at in 0..17 {
        let noticed = noticed.clone();
        check(2, move || {
            let barrier = Barrier::new(2).unwrap();
            let theirs = barrier.clone();
            let victim =
                thread::spawn(move || live(at, || theirs.crossed().unwrap().wait().map(drop)).is_none());
            assert!(victim.join().unwrap());
            if barrier.waiting() == 1 {
                assert_eq!(barrier.wait(), Err(BarrierError::Broken));
                noticed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
    }
    assert_ne!(noticed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_death_at_a_barrier_does_not_prevent_its_end() {
    for at in 0..24 {
        check(1, move || {
            let barrier = Barrier::new(2).unwrap();
            let theirs = barrier.clone();
            let other = thread::spawn(move || theirs.crossed().unwrap().wait().map(drop));
            let theirs = barrier.clone();
            let victim =
                thread::spawn(move || live(at, || theirs.crossed().unwrap().wait().map(drop)).is_none());
            let died = victim.join().unwrap();
            if died {
                // It may have died before it arrived.
                barrier.abort().unwrap();
            }
            let result = other.join().unwrap();
            assert!(matches!(result, Ok(()) | Err(BarrierError::Broken)), "{result:?}");
            assert!(died || result.is_ok());
        });
    }
}
