//! Tests for the two locks under loom: every order of events, with and without a thread that is killed at any access.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::thread;
use proc_shm::raw::{Section, UserLock, UserLockError, model};

/// Accesses that a thread makes at most in these models; killing it later is not killing it.
const ACCESSES: usize = 14;

fn check(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Two numbers that are equal whenever they are left whole. To add is to add to one, to be killed perhaps, and to add to
/// the other.
#[derive(Default)]
struct Pair {
    left: UnsafeCell<u32>,
    right: UnsafeCell<u32>,
}

// SAFETY: the numbers are touched under a lock only; loom checks that.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

impl Pair {
    fn add(&self) {
        assert_eq!(get(&self.left), get(&self.right), "torn, and nobody said that an owner died");
        set(&self.left, get(&self.left) + 1);
        model::access();
        set(&self.right, get(&self.right) + 1);
    }

    fn mend(&self) {
        set(&self.right, get(&self.left));
    }
}

fn get(cell: &UnsafeCell<u32>) -> u32 {
    // SAFETY: loom checks that nobody writes meanwhile.
    cell.with(|cell| unsafe { *cell })
}

fn set(cell: &UnsafeCell<u32>, value: u32) {
    // SAFETY: loom checks that nobody else uses it meanwhile.
    cell.with_mut(|cell| unsafe { *cell = value });
}

/// A pair under a section.
#[derive(Default)]
struct Inside {
    section: Section,
    pair: Pair,
}

impl Inside {
    /// Adds, after mending what a dead one left.
    fn add(&self) {
        let guard = self.section.lock();
        if guard.recovered() {
            self.pair.mend();
        }
        self.pair.add();
    }

    fn sum(&self) -> u32 {
        get(&self.pair.left)
    }
}

#[test]
fn smoke() {
    loom::model(|| {
        let inside = Inside::default();
        inside.add();
        assert_eq!(inside.sum(), 1);
    });
}

#[test]
fn a_section_excludes() {
    check(3, || {
        let inside = Arc::new(Inside::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let inside = Arc::clone(&inside);
                thread::spawn(move || {
                    inside.add();
                })
            })
            .collect();
        inside.add();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(inside.sum(), 3);
    });
}

#[test]
fn a_death_anywhere_in_a_section_blocks_nobody() {
    for at in 0..ACCESSES {
        check(2, move || {
            let inside = Arc::new(Inside::default());
            let victim = {
                let inside = Arc::clone(&inside);
                thread::spawn(move || model::live(at, || inside.add()).is_some())
            };
            let other = {
                let inside = Arc::clone(&inside);
                thread::spawn(move || inside.add())
            };
            // Twice: who is woken and killed must not leave the other asleep when this thread takes the lock in between.
            inside.add();
            inside.add();
            other.join().unwrap();
            let lived = victim.join().unwrap();
            // It may have died after its addition.
            assert!((3..=4).contains(&inside.sum()));
            assert!(!lived || inside.sum() == 4);
        });
    }
}

/// A pair under a user lock.
#[derive(Default)]
struct Held {
    lock: UserLock,
    pair: Pair,
}

impl Held {
    /// Adds; an error if an owner died.
    fn add(&self) -> Result<(), UserLockError> {
        // SAFETY: the lock outlives the threads, and is unlocked below.
        assert!(unsafe { self.lock.lock(None) }?);
        self.pair.add();
        // SAFETY: locked above.
        unsafe { self.lock.unlock() };
        Ok(())
    }

    /// Mends the pair if an owner died; says whether one did.
    fn repair(&self) -> bool {
        // SAFETY: as in `add`.
        let died = unsafe { self.lock.lock_dead(None) }.unwrap().unwrap();
        self.pair.mend();
        // SAFETY: locked above.
        unsafe { self.lock.unlock() };
        died
    }
}

#[test]
fn a_death_anywhere_in_a_user_lock_is_told_to_all() {
    for at in 0..ACCESSES {
        check(2, move || {
            let held = Arc::new(Held::default());
            let victim = {
                let held = Arc::clone(&held);
                thread::spawn(move || model::live(at, || held.add().unwrap()).is_some())
            };
            let other = {
                let held = Arc::clone(&held);
                thread::spawn(move || held.add())
            };
            let (ours, theirs) = (held.add(), other.join().unwrap());
            let lived = victim.join().unwrap();
            let told = [ours, theirs].iter().any(|r| *r == Err(UserLockError::Poisoned));
            assert!(!(lived && told), "nobody died");
            let died = held.repair();
            // Once somebody was told, everybody is until it is repaired.
            assert!(!told || died);
            assert_eq!(held.add(), Ok(()));
        });
    }
}

#[test]
fn who_repairs_and_dies_leaves_it_to_the_next() {
    for at in 0..ACCESSES {
        check(2, move || {
            let held = Arc::new(Held::default());
            // Dies with the lock, in the middle of the data.
            let first = Arc::clone(&held);
            let died = thread::spawn(move || model::live(1, || first.add()).is_none()).join().unwrap();
            assert!(died && held.lock.is_poisoned());
            let second = Arc::clone(&held);
            let repairer = thread::spawn(move || model::live(at, || second.repair()).is_some());
            held.repair();
            repairer.join().unwrap();
            held.repair();
            assert_eq!(held.add(), Ok(()));
        });
    }
}

/// The last step of an unlock clears a bit of a word that is free already: whoever tries just then gets the lock.
#[test]
fn a_free_lock_is_refused_to_nobody_who_tries() {
    check(3, || {
        let lock = Arc::new(UserLock::default());
        let had = Arc::new(AtomicBool::new(false));
        // SAFETY: the lock outlives the threads.
        unsafe { lock.lock(None).unwrap() };
        let (theirs, they_had) = (Arc::clone(&lock), Arc::clone(&had));
        // If it sleeps it leaves the bit when it unlocks, and clears it then, as nobody sleeps any more.
        let waiter = thread::spawn(move || {
            // SAFETY: as above; unlocked once by who locked.
            unsafe {
                theirs.lock(None).unwrap();
                they_had.store(true, SeqCst);
                theirs.unlock();
            }
        });
        // SAFETY: as above.
        unsafe { lock.unlock() };
        if had.load(SeqCst) && lock.owner() == 0 {
            // SAFETY: as above.
            unsafe {
                assert_eq!(lock.try_lock(), Ok(true));
                lock.unlock();
            }
        }
        waiter.join().unwrap();
    });
}

#[test]
fn a_section_with_nobody_inside_is_refused_to_nobody_who_tries() {
    check(3, || {
        let section = Arc::new(Section::default());
        let left = Arc::new(AtomicBool::new(false));
        let inside = section.lock();
        let (theirs, they_left) = (Arc::clone(&section), Arc::clone(&left));
        let waiter = thread::spawn(move || {
            let inside = theirs.lock();
            they_left.store(true, SeqCst);
            drop(inside);
        });
        drop(inside);
        // It is inside no more when the section can be seen to be free.
        if left.load(SeqCst) && format!("{section:?}").contains("owner: 0") {
            assert!(section.try_lock().is_some());
        }
        waiter.join().unwrap();
    });
}
