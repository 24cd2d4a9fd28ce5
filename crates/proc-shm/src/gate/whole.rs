//! Having all of it.

use std::time::Instant;

use super::{ALONE, BAD, Gate, LOOKS, NOBODY, WAITS};
use crate::{
    LockError,
    raw::{UserLock, UserLockError},
    sync::Ordering::{Relaxed, SeqCst},
};

/// What who wants all of it makes of the dead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// It has come for the data.
    No,
    /// It has come to mend; the whole is not poisoned.
    Good,
    /// It has come to mend; the whole is poisoned.
    Bad,
}

impl Gate {
    /// Takes all of it. False: the time is up.
    ///
    /// # Safety
    ///
    /// The memory stays mapped until the main lock is unlocked or the thread has ended.
    #[inline(always)]
    pub(crate) unsafe fn lock_all(&self, deadline: Option<Instant>) -> Result<bool, LockError> {
        // SAFETY: by the caller.
        unsafe {
            Ok(self.lock_main(deadline)? && (self.slots().is_empty() || self.empty(deadline, Repair::No)?))
        }
    }

    /// Takes all of it, if that needs no wait.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    pub(crate) unsafe fn try_lock_all(&self) -> Result<bool, LockError> {
        // SAFETY: by the caller.
        unsafe {
            match self.main().try_lock() {
                Ok(false) => return Ok(false),
                Ok(true) => {}
                Err(UserLockError::Poisoned) if !self.counts() => {
                    if !self.lock_main(Some(Instant::now()))? {
                        return Ok(false);
                    }
                }
                Err(e) => return Err(e.into()),
            }
            Ok(self.slots().is_empty() || self.empty(Some(Instant::now()), Repair::No)?)
        }
    }

    /// Takes all of it though owners may have died, and says whether one did.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    pub(crate) unsafe fn lock_all_dead(&self) -> Result<bool, LockError> {
        // SAFETY: by the caller.
        unsafe {
            let Some(died) = self.main().lock_dead(None)? else { unreachable!("there is no deadline") };
            let died = died && self.counts();
            if self.slots().is_empty() {
                return Ok(died);
            }
            self.empty(None, if died { Repair::Bad } else { Repair::Good })?;
            let mut any = died;
            // From here on our death is the death of who had all of it, so that the marks of the slots can go.
            for slot in self.slots().iter().filter(|slot| self.slots_poison && slot.is_poisoned()) {
                match slot.lock_dead(None) {
                    Ok(died) => {
                        any |= died == Some(true);
                        slot.unlock();
                    }
                    Err(e) => {
                        self.give_up(any);
                        return Err(e.into());
                    }
                }
            }
            Ok(any)
        }
    }

    /// Before the main lock is unlocked by who had all of it.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        if self.control().inside.load(Relaxed) != NOBODY {
            self.control().inside.store(NOBODY, Relaxed);
        }
    }

    /// Takes the main lock. False: the time is up.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    #[inline(always)]
    pub(super) unsafe fn lock_main(&self, deadline: Option<Instant>) -> Result<bool, LockError> {
        // SAFETY: by the caller.
        match unsafe { self.main().lock(deadline) } {
            Ok(taken) => Ok(taken),
            // SAFETY: by the caller.
            Err(e) => unsafe { self.lock_main_slow(e, deadline) },
        }
    }

    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    #[cold]
    unsafe fn lock_main_slow(&self, e: UserLockError, deadline: Option<Instant>) -> Result<bool, LockError> {
        if e != UserLockError::Poisoned || self.counts() {
            return Err(e.into());
        }
        // SAFETY: by the caller.
        unsafe {
            if self.main().lock_dead(deadline)?.is_none() {
                return Ok(false);
            }
            if !self.was_bad() {
                self.leave();
                return Ok(true);
            }
            self.main().unlock_poisoned();
        }
        Err(LockError::OwnerDied)
    }

    /// With the main lock: waits until all slots are free. False: the time is up, and the main lock is given up.
    ///
    /// # Safety
    ///
    /// As for [`lock_all`](Gate::lock_all).
    unsafe fn empty(&self, deadline: Option<Instant>, repair: Repair) -> Result<bool, LockError> {
        let bad = if repair == Repair::Bad { BAD } else { 0 };
        loop {
            self.control().inside.store(LOOKS | bad, SeqCst);
            let Some(slot) = self.slots().iter().find(|slot| self.bars(slot, repair)) else {
                self.control().inside.store(ALONE, Relaxed);
                return Ok(true);
            };
            self.control().inside.store(WAITS | bad, SeqCst);
            // SAFETY: by the caller, and what was just locked is unlocked.
            unsafe {
                match slot.lock_dead(deadline) {
                    Ok(Some(true)) if self.slots_poison => {
                        slot.unlock_poisoned();
                        if repair == Repair::No {
                            self.give_up(bad != 0);
                            return Err(LockError::OwnerDied);
                        }
                    }
                    Ok(Some(_)) => slot.unlock(),
                    Ok(None) => {
                        self.give_up(bad != 0);
                        return Ok(false);
                    }
                    Err(e) => {
                        self.give_up(bad != 0);
                        return Err(e.into());
                    }
                }
            }
        }
    }

    /// Gives the main lock up, without having come to anything; poisoned, if it was.
    ///
    /// # Safety
    ///
    /// This thread has it.
    unsafe fn give_up(&self, bad: bool) {
        // SAFETY: by the caller.
        unsafe {
            if bad {
                self.main().unlock_poisoned();
            } else {
                self.leave();
                self.main().unlock();
            }
        }
    }

    /// Whether a slot keeps who wants all from having it. Both looks acquire: whoever gives the slot up in between has done
    /// what it did before whoever wants all begins.
    #[inline]
    fn bars(&self, slot: &UserLock, repair: Repair) -> bool {
        !slot.is_free() && (!slot.is_ownerless() || (self.slots_poison && repair == Repair::No))
    }
}
