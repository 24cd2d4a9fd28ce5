//! Having one of the slots.

use std::time::{Duration, Instant};

use super::{Gate, WAITS};
use crate::{
    LockError,
    raw::{UserLock, UserLockError},
    sync::Ordering::SeqCst,
    sys::futex,
};

/// How long who waits for a slot waits for one of them, until it looks whether another is free.
const AGAIN: Duration = Duration::from_millis(if cfg!(loom) { 1 << 40 } else { 50 });

/// The sleeps of a thread that has a slot and wants another. It must not queue behind somebody who may wait for the one it
/// has, so that nobody wakes it.
struct Naps(Duration);

impl Naps {
    fn new() -> Naps {
        Naps(Duration::from_micros(10))
    }

    /// Sleeps a little, longer each time. False: the time is up.
    fn nap(&mut self, deadline: Option<Instant>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return false;
        }
        self.0 = (self.0 * 2).min(Duration::from_millis(10));
        futex::nap(left.map_or(self.0, |left| left.min(self.0)));
        true
    }
}

impl Gate {
    /// Takes slot `at`. False: the time is up. Poison of the slot is an error.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all), for the slot.
    pub(crate) unsafe fn lock_slot(&self, at: usize, deadline: Option<Instant>) -> Result<bool, LockError> {
        let slot = &self.slots()[at];
        let mut naps = Naps::new();
        loop {
            // SAFETY: by the caller.
            unsafe {
                if !slot.lock(deadline)? {
                    return Ok(false);
                }
                if self.lets_in(slot) {
                    return Ok(true);
                }
                slot.unlock();
                // Whoever has all of it is in the way, and is waited for. Whoever has the slot is waited for above, without
                // the main lock.
                if !self.wait_for_main(deadline, &mut naps)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Takes slot `at`, if that needs no wait.
    ///
    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    pub(crate) unsafe fn try_lock_slot(&self, at: usize) -> Result<bool, LockError> {
        let slot = &self.slots()[at];
        // SAFETY: by the caller.
        unsafe {
            if !slot.try_lock()? {
                return Ok(false);
            }
            if self.lets_in(slot) {
                return Ok(true);
            }
            slot.unlock();
        }
        self.refused_for_good()?;
        Ok(false)
    }

    /// Takes slot `at` though its owner may have died, and says whether it did.
    ///
    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    pub(crate) unsafe fn lock_slot_dead(&self, at: usize) -> Result<bool, LockError> {
        let slot = &self.slots()[at];
        let mut naps = Naps::new();
        loop {
            // SAFETY: by the caller.
            unsafe {
                let Some(died) = slot.lock_dead(None)? else { unreachable!("there is no deadline") };
                if self.lets_in(slot) {
                    return Ok(died);
                }
                if died {
                    slot.unlock_poisoned()
                } else {
                    slot.unlock()
                }
                self.wait_for_main(None, &mut naps)?;
            }
        }
    }

    /// Takes any slot, whoever died with it. `None`: the time is up.
    ///
    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    #[inline]
    pub(crate) unsafe fn lock_any(&self, deadline: Option<Instant>) -> Result<Option<&UserLock>, LockError> {
        // SAFETY: by the caller.
        unsafe {
            if let Some(slot) = self.try_any()? {
                return Ok(Some(slot));
            }
            self.lock_any_slow(deadline)
        }
    }

    /// Takes any slot, if that needs no wait.
    ///
    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    #[inline]
    pub(crate) unsafe fn try_lock_any(&self) -> Result<Option<&UserLock>, LockError> {
        // SAFETY: by the caller.
        match unsafe { self.try_any()? } {
            Some(slot) => Ok(Some(slot)),
            None => {
                self.refused_for_good()?;
                // Nobody but this thread can give one up.
                if self.slots().iter().all(UserLock::is_mine) { Err(LockError::TooMany) } else { Ok(None) }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    #[inline]
    unsafe fn try_any(&self) -> Result<Option<&UserLock>, LockError> {
        // SAFETY: by the caller.
        let Some(slot) = (unsafe { self.free_slot()? }) else { return Ok(None) };
        if self.lets_in(slot) {
            return Ok(Some(slot));
        }
        // SAFETY: just locked.
        unsafe { slot.unlock() };
        Ok(None)
    }

    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    #[cold]
    unsafe fn lock_any_slow(&self, deadline: Option<Instant>) -> Result<Option<&UserLock>, LockError> {
        let slots = self.slots();
        let mut naps = Naps::new();
        loop {
            // A thread that is in already must not queue behind somebody who waits for it.
            if slots.iter().any(UserLock::is_mine) {
                // SAFETY: by the caller.
                if let Some(slot) = unsafe { self.try_lock_any()? } {
                    return Ok(Some(slot));
                }
                if !naps.nap(deadline) {
                    return Ok(None);
                }
                continue;
            }
            // SAFETY: by the caller; with the main lock, nobody has all of it.
            unsafe {
                if !self.lock_main(deadline)? {
                    return Ok(None);
                }
                let free = self.free_slot();
                self.main().unlock();
                if let Some(slot) = free? {
                    return Ok(Some(slot));
                }
                // All are taken: one will be given up, this one or another. It is not kept, as somebody may have taken all
                // since.
                let slot = &slots[self.home()];
                let again = Instant::now().checked_add(AGAIN);
                let first = [deadline, again].into_iter().flatten().min();
                if slot.lock_dead(first)?.is_none() {
                    if first == deadline {
                        return Ok(None);
                    }
                    continue;
                }
                if self.lets_in(slot) {
                    return Ok(Some(slot));
                }
                slot.unlock();
            }
        }
    }

    /// A slot that was free, beginning at that of this thread.
    ///
    /// # Safety
    ///
    /// As for [`lock_slot`](Gate::lock_slot).
    #[inline]
    unsafe fn free_slot(&self) -> Result<Option<&UserLock>, LockError> {
        let slots = self.slots();
        let home = self.home();
        for slot in slots[home..].iter().chain(&slots[..home]) {
            // SAFETY: by the caller.
            match unsafe { slot.try_lock_dead() } {
                Ok(true) => return Ok(Some(slot)),
                // Ours, by another guard of this thread.
                Ok(false) | Err(UserLockError::Deadlock) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    /// Where this thread begins to look for a slot: threads of one process have neighbouring ids.
    #[inline]
    fn home(&self) -> usize {
        crate::raw::thread_id() as usize % self.slots().len().max(1)
    }

    /// With a slot: whether nobody has all of it.
    #[inline]
    fn lets_in(&self, slot: &UserLock) -> bool {
        self.main().is_free() || self.lets_in_slow(slot)
    }

    #[cold]
    fn lets_in_slow(&self, slot: &UserLock) -> bool {
        if self.main().is_ownerless() {
            // A mark, which may mean nothing. Whoever takes the main lock after our look at it sees our slot.
            return !self.counts();
        }
        let another = |other: &UserLock| !std::ptr::eq(other, slot) && other.is_mine();
        self.control().inside.load(SeqCst) == WAITS && self.slots().iter().any(another)
    }

    /// Whether there is more than somebody's having all of it.
    #[cold]
    fn refused_for_good(&self) -> Result<(), LockError> {
        if self.is_poisoned() {
            return Err(LockError::OwnerDied);
        }
        if self.main().is_mine() { Err(LockError::Deadlock) } else { Ok(()) }
    }

    /// Waits until nobody has all of it. False: the time is up.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    #[cold]
    unsafe fn wait_for_main(&self, deadline: Option<Instant>, naps: &mut Naps) -> Result<bool, LockError> {
        if self.slots().iter().any(UserLock::is_mine) {
            // Who has all of it may wait for us: no queueing behind.
            self.refused_for_good()?;
            return Ok(naps.nap(deadline));
        }
        // SAFETY: by the caller.
        unsafe {
            if !self.lock_main(deadline)? {
                return Ok(false);
            }
            self.main().unlock();
        }
        Ok(true)
    }
}
