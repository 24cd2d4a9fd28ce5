//! A user lock that this thread holds.

use std::{marker::PhantomData, thread, time::Instant};

use proc_core::inherit::Lineage;

use crate::{LockError, gate::Gate, handle::Handle, raw::UserLock};

/// A [`UserLock`] that this thread holds, until it is dropped. A panic in between poisons the lock: what it guards may be
/// half changed, as after a kill.
pub(crate) struct Held<'a> {
    lock: &'a UserLock,
    made_in: Lineage,
    /// The guard was taken while a panic unwinds, by a destructor: that panic is none of its.
    panicking: bool,
    /// [`ALL`], or which slot of the gate; meaningless without one.
    slot: u32,
    /// The gate that it is a lock of, if it must be taken again through that.
    gate: Option<&'a Gate>,
    not_send: PhantomData<*const ()>,
}

/// The main lock of a gate, by who has all of it.
const ALL: u32 = u32::MAX;

impl<'a> Held<'a> {
    /// # Safety
    ///
    /// `lock` lies in the region of `handle`, which has passed its check, and this thread has just locked it.
    #[inline(always)]
    pub(crate) unsafe fn new(lock: &'a UserLock, handle: &'a Handle) -> Held<'a> {
        Held::made(lock, handle.lineage(), None, ALL)
    }

    /// # Safety
    ///
    /// As for [`new`](Held::new), and this thread has just been let through `gate` alone.
    #[inline(always)]
    pub(crate) unsafe fn with_gate(gate: &'a Gate, handle: &'a Handle) -> Held<'a> {
        Held::made(gate.main(), handle.lineage(), Some(gate), ALL)
    }

    /// # Safety
    ///
    /// As for [`new`](Held::new), and this thread has just been let through `gate` with this slot.
    #[inline]
    pub(crate) unsafe fn with_slot(gate: &'a Gate, at: usize, handle: &'a Handle) -> Held<'a> {
        Held::made(&gate.slots()[at], handle.lineage(), Some(gate), at as u32)
    }

    #[inline(always)]
    fn made(lock: &'a UserLock, made_in: Lineage, gate: Option<&'a Gate>, slot: u32) -> Held<'a> {
        Held { lock, made_in, panicking: thread::panicking(), slot, gate, not_send: PhantomData }
    }

    /// Locks the lock at the start of the region. `None`: the time is up.
    #[inline(always)]
    pub(crate) fn lock(handle: &'a Handle, deadline: Option<Instant>) -> Result<Option<Held<'a>>, LockError> {
        handle.check()?;
        // SAFETY: checked; the handles that come here begin with a lock, which stays mapped while one is held: guards
        // borrow the handle, and one that is leaked keeps the region mapped.
        unsafe {
            let lock = handle.lock();
            Ok(if lock.lock(deadline)? { Some(Held::new(lock, handle)) } else { None })
        }
    }

    /// Locks if it is free.
    #[inline]
    pub(crate) fn try_lock(handle: &'a Handle) -> Result<Option<Held<'a>>, LockError> {
        handle.check()?;
        // SAFETY: as in `lock`.
        unsafe {
            let lock = handle.lock();
            Ok(if lock.try_lock()? { Some(Held::new(lock, handle)) } else { None })
        }
    }

    /// Locks though an owner may have died, and says whether one did.
    pub(crate) fn lock_dead(handle: &'a Handle) -> Result<(Held<'a>, bool), LockError> {
        handle.check()?;
        // SAFETY: as in `lock`.
        unsafe {
            let lock = handle.lock();
            match lock.lock_dead(None)? {
                Some(died) => Ok((Held::new(lock, handle), died)),
                None => unreachable!("there is no deadline"),
            }
        }
    }

    /// Whether what it guards may be taken for whole: no panic began since it was taken, and the process is the one that
    /// took it.
    #[inline(always)]
    pub(crate) fn is_sound(&self) -> bool {
        self.made_in.is_current() && (self.panicking || !thread::panicking())
    }

    /// Panics in a forked child, where the memory is not there.
    #[inline(always)]
    pub(crate) fn assert_here(&self) {
        if !self.made_in.is_current() {
            elsewhere();
        }
    }

    /// Unlocks while `wait` runs.
    pub(crate) fn unlocked(self, wait: impl FnOnce()) -> Result<Held<'a>, LockError> {
        let (lock, made_in, gate, slot) = (self.lock, self.made_in, self.gate, self.slot);
        // A forked child has nothing to give up, and would wait with a lock that it can't take.
        made_in.check()?;
        drop(self);
        wait();
        made_in.check()?;
        // SAFETY: as in `lock`: what `self` borrowed is borrowed still.
        unsafe {
            match gate {
                None => lock.lock(None)?,
                Some(gate) if slot == ALL => gate.lock_all(None)?,
                Some(gate) => gate.lock_slot(slot as usize, None)?,
            }
        };
        Ok(Held::made(lock, made_in, gate, slot))
    }
}

#[cold]
fn elsewhere() -> ! {
    panic!("the lock is held by the process from which this one was forked, and what it guards is not here")
}

/// Whether a lock without a deadline was taken.
#[inline(always)]
pub(crate) fn always<G>(taken: Option<G>) -> G {
    match taken {
        Some(guard) => guard,
        None => unreachable!("there is no deadline"),
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // In a forked child the lock is the parent's, and its memory is not even there.
        if !self.made_in.is_current() {
            return;
        }
        // SAFETY: this thread took it, as guards are not `Send`, and it is given up once.
        unsafe {
            if thread::panicking() && !self.panicking {
                self.lock.unlock_poisoned();
            } else {
                if self.slot == ALL {
                    if let Some(gate) = self.gate {
                        gate.leave();
                    }
                }
                self.lock.unlock();
            }
        }
    }
}
