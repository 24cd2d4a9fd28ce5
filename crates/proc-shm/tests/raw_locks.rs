//! Tests for the two locks that everything is made of.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use proc_shm::{
    raw::{Section, UserLock, UserLockError},
    region::RegionOptions,
};

const SOON: Duration = Duration::from_millis(30);

fn soon() -> Option<Instant> {
    Some(Instant::now() + SOON)
}

#[test]
fn smoke() {
    let section = Section::new();
    let guard = section.lock();
    assert!(!guard.recovered());
    drop(guard);
    assert!(section.try_lock().is_some());

    let lock = UserLock::new();
    // SAFETY: it lives longer than it is locked.
    unsafe {
        assert!(lock.lock(None).unwrap());
        assert!(lock.is_mine());
        lock.unlock();
        assert!(lock.try_lock().unwrap());
        lock.unlock();
    }
    assert_eq!(lock.owner(), 0);
}

#[test]
fn a_section_excludes() {
    let section = Section::new();
    let sum = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..20_000 {
                    let _inside = section.lock();
                    sum.store(sum.load(Relaxed) + 1, Relaxed);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 80_000);
}

#[test]
fn a_user_lock_excludes() {
    let lock = UserLock::new();
    let sum = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..20_000 {
                    // SAFETY: it lives longer than the threads.
                    unsafe {
                        assert!(lock.lock(None).unwrap());
                        sum.store(sum.load(Relaxed) + 1, Relaxed);
                        lock.unlock();
                    }
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 80_000);
}

#[test]
fn a_thread_that_ends_in_a_section_is_noticed() {
    let section = Box::leak(Box::new(Section::new()));
    thread::spawn(|| std::mem::forget(section.lock())).join().unwrap();
    assert!(section.lock().recovered());
    assert!(!section.lock().recovered());
}

#[test]
fn a_thread_that_ends_with_locks_poisons_them() {
    let locks: &[UserLock] = Box::leak((0..100).map(|_| UserLock::new()).collect());
    thread::spawn(move || {
        for lock in locks {
            // SAFETY: they live for ever.
            assert!(unsafe { lock.lock(None) }.unwrap());
        }
        // Some are unlocked, in another order: the list must hold.
        for lock in locks.iter().step_by(3) {
            // SAFETY: locked above.
            unsafe { lock.unlock() };
        }
    })
    .join()
    .unwrap();
    for (i, lock) in locks.iter().enumerate() {
        // SAFETY: they live for ever, and are unlocked if locked.
        unsafe {
            if i % 3 == 0 {
                assert!(lock.lock(None).unwrap());
                lock.unlock();
            } else {
                assert!(lock.is_poisoned());
                assert_eq!(lock.lock(None), Err(UserLockError::Poisoned));
                assert_eq!(lock.try_lock(), Err(UserLockError::Poisoned));
                assert_eq!(lock.lock_dead(None), Ok(Some(true)));
                lock.unlock();
                assert!(lock.try_lock().unwrap());
                lock.unlock();
            }
        }
    }
}

#[test]
fn all_sleepers_learn_of_a_death() {
    let lock: &UserLock = Box::leak(Box::new(UserLock::new()));
    thread::scope(|s| {
        let owner = s.spawn(|| {
            // SAFETY: it lives for ever.
            assert!(unsafe { lock.lock(None) }.unwrap());
            thread::sleep(SOON);
        });
        while lock.owner() == 0 && !lock.is_poisoned() {
            thread::yield_now();
        }
        for _ in 0..5 {
            // SAFETY: as above.
            s.spawn(|| assert_eq!(unsafe { lock.lock(None) }, Err(UserLockError::Poisoned)));
        }
        owner.join().unwrap();
    });
}

#[test]
fn a_thread_does_not_wait_for_itself() {
    let lock = UserLock::new();
    // SAFETY: it lives longer than it is locked.
    unsafe {
        assert!(lock.lock(None).unwrap());
        assert_eq!(lock.lock(None), Err(UserLockError::Deadlock));
        assert_eq!(lock.try_lock(), Err(UserLockError::Deadlock));
        assert_eq!(lock.lock_dead(None), Err(UserLockError::Deadlock));
        lock.unlock();
    }
}

#[test]
#[should_panic(expected = "while it is in one")]
fn a_section_in_a_section_is_refused() {
    let (a, b) = (Section::new(), Section::new());
    let _outer = a.lock();
    let _inner = b.lock();
}

#[test]
fn deadlines_are_kept_and_never_early() {
    let section = Section::new();
    let lock = UserLock::new();
    let _inside = section.lock();
    // SAFETY: it lives longer than it is locked.
    assert!(unsafe { lock.lock(None) }.unwrap());
    thread::scope(|s| {
        s.spawn(|| {
            let start = Instant::now();
            assert!(section.lock_deadline(soon()).is_none());
            assert!(start.elapsed() >= SOON);
            let start = Instant::now();
            // SAFETY: as above.
            assert!(!unsafe { lock.lock(soon()) }.unwrap());
            assert!(start.elapsed() >= SOON);
            assert!(section.try_lock().is_none());
            // SAFETY: as above.
            assert!(!unsafe { lock.try_lock() }.unwrap());
        });
    });
    // SAFETY: locked above.
    unsafe { lock.unlock() };
}

#[test]
fn a_thread_may_hold_two_thousand_locks_and_no_more() {
    let locks: &[UserLock] = Box::leak((0..2_001).map(|_| UserLock::new()).collect());
    thread::spawn(move || {
        for lock in &locks[..2_000] {
            // SAFETY: they live for ever.
            assert!(unsafe { lock.lock(None) }.unwrap());
        }
        // SAFETY: as above.
        assert_eq!(unsafe { locks[2_000].lock(None) }, Err(UserLockError::TooMany));
    })
    .join()
    .unwrap();
    assert!(locks[..2_000].iter().all(UserLock::is_poisoned));
}

/// A region whose first word was taken by a thread that has ended without the kernel's telling, as it happens when a
/// process is ended for want of memory.
fn taken_by_a_ghost() -> proc_shm::region::Region {
    let region = RegionOptions::new(1).holds_locks().create(256).unwrap();
    let ghost = thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().get() as u32).join().unwrap();
    // SAFETY: the bytes are used as a lock, whose word comes first.
    let word: &AtomicU32 = unsafe { region.at(0) };
    word.store(ghost, Relaxed);
    region
}

#[test]
fn a_death_that_the_kernel_did_not_tell_is_noticed() {
    let region = taken_by_a_ghost();
    // SAFETY: all zero bytes but for the owner are a section.
    let section: &Section = unsafe { region.at(0) };
    assert!(section.lock().recovered());
    assert!(!section.lock().recovered());

    let region = taken_by_a_ghost();
    // SAFETY: as above, a user lock; it is mapped longer than it is locked.
    unsafe {
        let lock: &UserLock = region.at(0);
        assert_eq!(lock.lock(None), Err(UserLockError::Poisoned));
    }

    // Also by who never waits for long.
    let region = taken_by_a_ghost();
    // SAFETY: as above.
    let lock: &UserLock = unsafe { region.at(0) };
    // SAFETY: as above.
    let end = (0..).find_map(|_| match unsafe { lock.lock(soon()) } {
        Ok(false) => None,
        other => Some(other),
    });
    assert_eq!(end, Some(Err(UserLockError::Poisoned)));
}

#[test]
fn a_greedy_thread_starves_nobody() {
    let lock = UserLock::new();
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !stop.load(Relaxed) {
                    // SAFETY: it lives longer than the threads.
                    unsafe {
                        assert!(lock.lock(None).unwrap());
                        (0..100).for_each(|_| std::hint::spin_loop());
                        lock.unlock();
                    }
                }
            });
        }
        for _ in 0..50 {
            // SAFETY: as above.
            unsafe {
                assert!(lock.lock(Some(Instant::now() + Duration::from_secs(20))).unwrap());
                lock.unlock();
            }
        }
        stop.store(true, Relaxed);
    });
}
