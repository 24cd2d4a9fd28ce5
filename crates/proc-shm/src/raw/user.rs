//! The lock under which user code runs.

use std::{error::Error, fmt, time::Instant};

use super::word::{self, Dead, Hungry, Taken};
use crate::{
    sync::{
        AtomicU32, AtomicUsize,
        Ordering::{Relaxed, Release, SeqCst},
    },
    sys::robust::{self, Me},
};

/// A lock between processes under which user code runs: held for long, several at once, and it outlives its owner.
///
/// All zero bytes are a free one. If its owner dies it is *poisoned*: every attempt to lock it says so until one process
/// has [locked it to repair](UserLock::lock_dead) what it guards and unlocked it.
///
/// The interface is the bare mechanism. There are no guards: those belong to the structure around it, which knows what
/// the lock keeps mapped.
#[repr(C, align(64))]
pub struct UserLock {
    /// See the [module](super#the-word).
    word: AtomicU32,
    hungry: Hungry,
    /// The node of the owner's robust list: `prev` and `next`, somewhere in here, as the C library lays them out. Addresses
    /// in the owner's memory, of no meaning to others. Nothing of it means anything while the lock is free.
    _node: [AtomicUsize; 7],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<UserLock>() == 64);

/// Why a [`UserLock`] was not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserLockError {
    /// A former owner died, and nobody has repaired it.
    Poisoned,
    /// This thread has it already.
    Deadlock,
    /// This thread has 2,000 locks already. The kernel would forget those above 2,048 if it died.
    TooMany,
}

impl fmt::Display for UserLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UserLockError::Poisoned => "a former owner of the lock died",
            UserLockError::Deadlock => "this thread has the lock already",
            UserLockError::TooMany => "this thread has too many locks",
        })
    }
}

impl Error for UserLockError {}

impl UserLock {
    /// A free one.
    pub fn new() -> UserLock {
        UserLock { word: AtomicU32::new(0), hungry: AtomicU32::new(0), _node: Default::default() }
    }

    /// Locks, until `deadline` if there is one. False: the time is up.
    ///
    /// # Errors
    ///
    /// A former owner died ([`Poisoned`](UserLockError::Poisoned)); this thread has the lock, or too many.
    ///
    /// # Safety
    ///
    /// The memory of the lock stays mapped where it is until this thread has unlocked it or ended.
    #[inline(always)]
    pub unsafe fn lock(&self, deadline: Option<Instant>) -> Result<bool, UserLockError> {
        let me = robust::me();
        if !me.has_room() {
            return Err(UserLockError::TooMany);
        }
        me.watch(&self.word);
        if self.word.compare_exchange(0, me.tid(), SeqCst, Relaxed).is_ok() {
            // SAFETY: by the caller; just taken, so it is in no list.
            unsafe { self.taken(me) };
            return Ok(true);
        }
        // SAFETY: by the caller.
        unsafe { self.lock_slow(me, Dead::Refuse, deadline) }
    }

    /// Locks if it is free. False: somebody has it, or had it and died without the kernel's telling (it could not read the
    /// list of a process that it ended for want of memory); who waits finds that out after a quarter of a second, and this
    /// never looks.
    ///
    /// # Errors
    ///
    /// As for [`lock`](UserLock::lock).
    ///
    /// # Safety
    ///
    /// As for [`lock`](UserLock::lock).
    #[inline]
    pub unsafe fn try_lock(&self) -> Result<bool, UserLockError> {
        // SAFETY: by the caller.
        unsafe { self.try_lock_as(Dead::Refuse) }
    }

    /// Locks if it is free, whether or not a former owner died. False: somebody has it.
    ///
    /// # Errors
    ///
    /// This thread has the lock, or too many.
    ///
    /// # Safety
    ///
    /// As for [`lock`](UserLock::lock).
    #[inline]
    pub unsafe fn try_lock_dead(&self) -> Result<bool, UserLockError> {
        // SAFETY: by the caller.
        unsafe { self.try_lock_as(Dead::Take) }
    }

    /// # Safety
    ///
    /// As for [`lock`](UserLock::lock).
    #[inline]
    unsafe fn try_lock_as(&self, dead: Dead) -> Result<bool, UserLockError> {
        let me = robust::me();
        if !me.has_room() {
            return Err(UserLockError::TooMany);
        }
        loop {
            let now = self.word.load(Relaxed);
            if now & word::TID == me.tid() {
                return Err(UserLockError::Deadlock);
            }
            if now & word::TID != 0 {
                return Ok(false);
            }
            if now & word::OWNER_DIED != 0 && dead == Dead::Refuse {
                return Err(UserLockError::Poisoned);
            }
            me.watch(&self.word);
            let ours = me.tid() | (now & word::WAITERS);
            if self.word.compare_exchange(now, ours, SeqCst, Relaxed).is_ok() {
                // SAFETY: by the caller; just taken, so it is in no list.
                unsafe { self.taken(me) };
                return Ok(true);
            }
            // Somebody has it by now, or a bit of a free word has changed, which is no reason to say that it is taken.
            me.unwatch();
        }
    }

    /// Locks whether or not a former owner died, to make whole what it guards. True: it was poisoned. `None`: the time is
    /// up.
    ///
    /// # Errors
    ///
    /// This thread has the lock, or too many.
    ///
    /// # Safety
    ///
    /// As for [`lock`](UserLock::lock).
    pub unsafe fn lock_dead(&self, deadline: Option<Instant>) -> Result<Option<bool>, UserLockError> {
        let me = robust::me();
        if !me.has_room() {
            return Err(UserLockError::TooMany);
        }
        me.watch(&self.word);
        match word::acquire_slow(&self.word, Some(&self.hungry), me, Dead::Take, deadline) {
            taken @ (Taken::Clean | Taken::OwnerDied) => {
                // SAFETY: by the caller; just taken, so it is in no list.
                unsafe { self.taken(me) };
                Ok(Some(taken == Taken::OwnerDied))
            }
            Taken::TimedOut | Taken::Poisoned => {
                me.unwatch();
                Ok(None)
            }
            Taken::Deadlock => {
                me.unwatch();
                Err(UserLockError::Deadlock)
            }
        }
    }

    /// Unlocks.
    ///
    /// # Safety
    ///
    /// This thread locked it, in this process, and has not unlocked it since.
    #[inline(always)]
    pub unsafe fn unlock(&self) {
        // It has locked, so it is known.
        // SAFETY: by the caller.
        unsafe { self.unlock_by(robust::known()) };
    }

    /// # Safety
    ///
    /// As for [`unlock`](UserLock::unlock), and `me` is the calling thread.
    #[inline(always)]
    unsafe fn unlock_by(&self, me: Me) {
        me.watch(&self.word);
        // SAFETY: by the caller it is linked.
        unsafe { me.unlink(&self.word) };
        if self.word.compare_exchange(me.tid(), 0, Release, Relaxed).is_err() {
            word::release_slow(&self.word, Some(&self.hungry));
        }
        me.unwatch();
    }

    /// Unlocks, and leaves it poisoned as if this thread had died.
    ///
    /// # Safety
    ///
    /// As for [`unlock`](UserLock::unlock).
    #[cold]
    pub unsafe fn unlock_poisoned(&self) {
        let me = robust::me();
        me.watch(&self.word);
        // SAFETY: by the caller it is linked.
        unsafe { me.unlink(&self.word) };
        word::release_poisoned(&self.word);
        me.unwatch();
    }

    /// Whether a former owner died and nobody has repaired it; out of date at once.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.word.load(Relaxed) & word::OWNER_DIED != 0
    }

    /// The id of the thread that has it, 0 for none; out of date at once, unless it is the caller's.
    #[inline]
    pub fn owner(&self) -> u32 {
        self.word.load(Relaxed) & word::TID
    }

    /// Whether nobody has it, and nobody died with it. It takes part in the order of all lockings: of two threads that each
    /// lock one lock and then look at the other's, one sees the other.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.word.load(SeqCst) & !word::WAITERS == 0
    }

    /// Whether nobody has it, in the same order as [`is_free`](UserLock::is_free).
    #[inline]
    pub(crate) fn is_ownerless(&self) -> bool {
        self.word.load(SeqCst) & word::TID == 0
    }

    /// Whether the calling thread has it.
    #[inline]
    pub fn is_mine(&self) -> bool {
        self.owner() == robust::me().tid()
    }

    /// # Safety
    ///
    /// As for [`lock`](UserLock::lock), and the word is watched.
    #[cold]
    unsafe fn lock_slow(&self, me: Me, dead: Dead, deadline: Option<Instant>) -> Result<bool, UserLockError> {
        let result = match word::acquire_slow(&self.word, Some(&self.hungry), me, dead, deadline) {
            Taken::Clean | Taken::OwnerDied => {
                // SAFETY: by the caller; just taken, so it is in no list.
                unsafe { self.taken(me) };
                return Ok(true);
            }
            Taken::TimedOut => Ok(false),
            Taken::Poisoned => Err(UserLockError::Poisoned),
            Taken::Deadlock => Err(UserLockError::Deadlock),
        };
        me.unwatch();
        result
    }

    /// # Safety
    ///
    /// `me` has just taken the word and watches it, and the caller's promise.
    #[inline(always)]
    unsafe fn taken(&self, me: Me) {
        // SAFETY: by the caller; the 64 bytes are this struct.
        unsafe { me.link(&self.word) };
        me.unwatch();
    }
}

impl Default for UserLock {
    fn default() -> UserLock {
        UserLock::new()
    }
}

impl fmt::Debug for UserLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserLock")
            .field("owner", &self.owner())
            .field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The id of the calling thread, as lock words have it.
#[inline]
pub(crate) fn thread_id() -> u32 {
    robust::me().tid()
}
