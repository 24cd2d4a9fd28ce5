//! The two locks that everything is made of, bare in a region.

use super::locking::Kit;
use super::memory::Memory;
use crate::scenario::Scenario;
use crate::stage::{Outcome, ensure};
use proc_shm::raw::{Section, UserLock, UserLockError};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const SECTION: usize = 0;
const USER_LOCK: usize = 64;
const LEFT: usize = 256;
const RIGHT: usize = 320;

fn number(memory: &Memory, offset: usize) -> &AtomicU64 {
    // SAFETY: all scenarios here use these offsets for atomics of this width.
    unsafe { memory.at(offset) }
}

fn section(memory: &Memory) -> &Section {
    // SAFETY: nothing else is at this offset.
    unsafe { memory.at(SECTION) }
}

fn user_lock(memory: &Memory) -> &UserLock {
    // SAFETY: nothing else is at this offset.
    unsafe { memory.at(USER_LOCK) }
}

/// Adds to both numbers, which are guarded.
fn add(memory: &Memory, recovered: bool, middle: &mut dyn FnMut()) -> Outcome {
    let (left, right) = (number(memory, LEFT), number(memory, RIGHT));
    if recovered {
        right.store(left.load(Relaxed), Relaxed);
    }
    let seen = (left.load(Relaxed), right.load(Relaxed));
    ensure(seen.0 == seen.1, || format!("torn, and nobody said that an owner died: {seen:?}"))?;
    left.store(seen.0 + 1, Relaxed);
    middle();
    right.store(seen.1 + 1, Relaxed);
    Ok(())
}

fn sum(memory: &Memory) -> Result<u64, String> {
    Ok(number(memory, LEFT).load(Relaxed))
}

fn add_in_section(memory: &Memory, middle: &mut dyn FnMut()) -> Outcome {
    let guard = section(memory).lock();
    add(memory, guard.recovered(), middle)
}

fn add_under_user_lock(memory: &Memory, middle: &mut dyn FnMut()) -> Outcome {
    let lock = user_lock(memory);
    // SAFETY: the memory stays mapped while the actor lives, and each way out of here unlocks.
    unsafe {
        let recovered = match lock.lock(None) {
            Ok(locked) => !locked,
            Err(UserLockError::Poisoned) => {
                lock.lock_dead(None).map_err(|e| e.to_string())?.ok_or("the time was up")?
            }
            Err(other) => return Err(other.to_string()),
        };
        let outcome = add(memory, recovered, middle);
        lock.unlock();
        outcome
    }
}

fn try_section(memory: &Memory) -> Result<bool, String> {
    let Some(inside) = section(memory).try_lock() else { return Ok(false) };
    add(memory, inside.recovered(), &mut || ()).map(|()| true)
}

fn try_user_lock(memory: &Memory) -> Result<bool, String> {
    let lock = user_lock(memory);
    // SAFETY: the memory stays mapped while the actor lives; unlocked once by who locked.
    unsafe {
        let recovered = match lock.try_lock() {
            Ok(false) => return Ok(false),
            Ok(true) => false,
            Err(UserLockError::Poisoned) => {
                lock.lock_dead(None).map_err(|e| e.to_string())?.ok_or("the time was up")?
            }
            Err(other) => return Err(other.to_string()),
        };
        let outcome = add(memory, recovered, &mut || ());
        lock.unlock();
        outcome.map(|()| true)
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(1))
}

fn section_in_vain(memory: &Memory) -> Outcome {
    ensure(section(memory).lock_deadline(soon()).is_none(), || "the section was free".into())
}

fn user_lock_in_vain(memory: &Memory) -> Outcome {
    // SAFETY: the memory stays mapped while the actor lives.
    let locked = unsafe { user_lock(memory).lock(soon()) };
    ensure(locked == Ok(false), || format!("the lock was free: {locked:?}"))
}

pub(super) fn all() -> Vec<Scenario> {
    let make = || Ok(Memory::new()?);
    let mut all = Kit {
        name: "section",
        make,
        add: add_in_section,
        try_add: try_section,
        in_vain: section_in_vain,
        sum,
    }
    .all();
    let user_lock = Kit {
        name: "user-lock",
        make,
        add: add_under_user_lock,
        try_add: try_user_lock,
        in_vain: user_lock_in_vain,
        sum,
    };
    all.extend(user_lock.all());
    all
}
