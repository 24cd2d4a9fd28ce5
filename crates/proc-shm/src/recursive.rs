//! Data under a lock that its thread may take again.

use std::{
    fmt, io,
    marker::PhantomData,
    ptr::NonNull,
    time::{Duration, Instant},
};

use crate::{
    LockError, Plain, deadline,
    handle::{Handle, crosses},
    held::{Held, always},
    raw::UserLock,
    region::RegionOptions,
    sync::{AtomicU32, AtomicU64, Ordering::Relaxed},
    typing::layout_of,
};

/// Data that one thread of all processes has at a time, and that this thread may lock again.
///
/// As several guards of one thread exist at once, none can give `&mut`: the data is copied out and in, by
/// [`get`](RecursiveGuard::get), [`set`](RecursiveGuard::set) and [`update`](RecursiveGuard::update). All else is as for a
/// [`Mutex`](crate::Mutex).
///
/// # Examples
///
/// ```
/// use proc_shm::RecursiveMutex;
///
/// let n = RecursiveMutex::new(1)?;
/// let outer = n.lock()?;
/// n.lock()?.set(2);
/// assert_eq!(outer.get(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecursiveMutex<T> {
    handle: Handle,
    data: PhantomData<fn() -> T>,
}

/// What the owner keeps: on a line of its own after the lock.
const OWNED: usize = size_of::<UserLock>();
const DATA: usize = OWNED + size_of::<Owned>();

/// What the owner of the lock keeps, and nobody else looks at. A dead one leaves anything.
///
/// | field | meaning | changed by |
/// |---|---|---|
/// | `depth` | how often it has locked beyond once | the owner: 0 with its first guard, then one more or less with each |
/// | `tenure` | which ownership this is, as its guards know it | the owner, when it gets the lock: a new number, or that of before if it only waited for a condition |
/// | `tenures` | the last number that was given | an owner that takes a new one |
#[repr(C, align(64))]
#[cfg_attr(loom, derive(Default))]
struct Owned {
    depth: AtomicU32,
    tenure: AtomicU64,
    tenures: AtomicU64,
}

impl<T: Plain> RecursiveMutex<T> {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"recm")).holds_locks();
    const SIZE: usize = {
        assert!(align_of::<T>() <= 64, "the alignment of data in shared memory is at most 64");
        DATA + size_of::<T>()
    };

    /// A mutex of its own, with `value` in it.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`]: no memory, no descriptor, no `/proc`.
    pub fn new(value: T) -> io::Result<RecursiveMutex<T>> {
        let handle = Handle::new(Self::OPTIONS.layout(layout_of::<T>()).create(Self::SIZE)?, 1);
        // SAFETY: in bounds and aligned by `SIZE`, and nobody else has it yet.
        unsafe {
            #[cfg(loom)]
            handle.pointer(OWNED).write(Owned::default());
            handle.pointer(DATA).write(value);
        }
        Ok(RecursiveMutex { handle, data: PhantomData })
    }

    /// Locks, however long that takes; at once if this thread has it.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::lock`](crate::Mutex::lock), but for `Deadlock`.
    pub fn lock(&self) -> Result<RecursiveGuard<'_, T>, LockError> {
        if let Some(again) = self.again()? {
            return Ok(again);
        }
        Held::lock(&self.handle, None).map(|held| self.first(always(held)))
    }

    /// Locks if it is free or this thread's; `None` if somebody has it.
    ///
    /// # Errors
    ///
    /// As for [`lock`](RecursiveMutex::lock).
    pub fn try_lock(&self) -> Result<Option<RecursiveGuard<'_, T>>, LockError> {
        if let again @ Some(_) = self.again()? {
            return Ok(again);
        }
        Held::try_lock(&self.handle).map(|held| held.map(|held| self.first(held)))
    }

    /// Locks, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](RecursiveMutex::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<RecursiveGuard<'_, T>>, LockError> {
        self.lock_until(deadline::after(timeout))
    }

    /// Locks, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](RecursiveMutex::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Option<RecursiveGuard<'_, T>>, LockError> {
        self.lock_until(Some(deadline))
    }

    /// As [`Mutex::repair`](crate::Mutex::repair).
    ///
    /// # Errors
    ///
    /// As for [`lock`](RecursiveMutex::lock), but for `OwnerDied`.
    pub fn repair(&self, mend: impl FnOnce(&mut T)) -> Result<RecursiveGuard<'_, T>, LockError> {
        if let Some(again) = self.again()? {
            return Ok(again);
        }
        let (held, died) = Held::lock_dead(&self.handle)?;
        let guard = self.first(held);
        if died {
            guard.update(mend);
        }
        Ok(guard)
    }

    /// Whether an owner died and nobody has repaired it; out of date at once. False in a forked child.
    pub fn is_poisoned(&self) -> bool {
        // SAFETY: checked first.
        self.handle.check().is_ok() && unsafe { self.handle.lock() }.is_poisoned()
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<Option<RecursiveGuard<'_, T>>, LockError> {
        if let again @ Some(_) = self.again()? {
            return Ok(again);
        }
        Held::lock(&self.handle, deadline).map(|held| held.map(|held| self.first(held)))
    }

    /// A further guard, if this thread has the lock.
    fn again(&self) -> Result<Option<RecursiveGuard<'_, T>>, LockError> {
        self.handle.check()?;
        // SAFETY: checked.
        if !unsafe { self.handle.lock() }.is_mine() {
            return Ok(None);
        }
        let owned = self.owned();
        let depth = owned.depth.load(Relaxed).checked_add(1).ok_or(LockError::TooMany)?;
        owned.depth.store(depth, Relaxed);
        Ok(Some(RecursiveGuard::new(self, owned.tenure.load(Relaxed))))
    }

    /// The first guard: the lock is given up by the last, whichever that is.
    fn first<'a>(&'a self, held: Held<'a>) -> RecursiveGuard<'a, T> {
        std::mem::forget(held);
        let owned = self.owned();
        let tenure = owned.tenures.load(Relaxed).wrapping_add(1);
        owned.tenures.store(tenure, Relaxed);
        owned.tenure.store(tenure, Relaxed);
        owned.depth.store(0, Relaxed);
        RecursiveGuard::new(self, tenure)
    }

    fn owned(&self) -> &Owned {
        // SAFETY: callers have checked; it lies there, and is atomics.
        unsafe { self.handle.pointer::<Owned>(OWNED).as_ref() }
    }

    /// What the owner keeps, if that is still this thread by this tenure. A condition variable may have failed to take the
    /// lock again for all guards of the thread, which may have it by another one since.
    fn owned_by(&self, tenure: u64) -> Option<&Owned> {
        // SAFETY: checked first.
        let mine = self.handle.check().is_ok() && unsafe { self.handle.lock() }.is_mine();
        if !mine {
            return None;
        }
        let owned = self.owned();
        (owned.tenure.load(Relaxed) == tenure).then_some(owned)
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<RecursiveMutex<T>> {
        let handle = Handle::take(Self::OPTIONS.layout(layout_of::<T>()), ticket, 1, Self::SIZE)?;
        Ok(RecursiveMutex { handle, data: PhantomData })
    }
}

crosses!(RecursiveMutex<T: Plain>);

impl<T> Clone for RecursiveMutex<T> {
    fn clone(&self) -> RecursiveMutex<T> {
        RecursiveMutex { handle: self.handle.clone(), data: PhantomData }
    }
}

impl<T> fmt::Debug for RecursiveMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecursiveMutex").field("type", &std::any::type_name::<T>()).finish_non_exhaustive()
    }
}

/// Access to the data of a [`RecursiveMutex`]; dropping the last one of the thread unlocks.
///
/// It is bound to the thread that locked.
///
/// # Panics
///
/// Any use but the drop, if the lock is not this thread's any more by this guard: in a forked child, or after a
/// [`Condvar`](crate::Condvar) could not take it again for another guard of the thread.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct RecursiveGuard<'a, T: Plain> {
    mutex: &'a RecursiveMutex<T>,
    tenure: u64,
    /// The guard was taken while a panic unwinds, by a destructor: that panic is none of its.
    panicking: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a, T: Plain> RecursiveGuard<'a, T> {
    fn new(mutex: &'a RecursiveMutex<T>, tenure: u64) -> RecursiveGuard<'a, T> {
        RecursiveGuard { mutex, tenure, panicking: std::thread::panicking(), not_send: PhantomData }
    }

    /// What the owner keeps. Panics if that is not this guard's thread any more.
    fn owned(&self) -> &Owned {
        let Some(owned) = self.mutex.owned_by(self.tenure) else {
            panic!(
                "the lock was lost: its owner died while this thread waited with it, or this is a forked child"
            )
        };
        owned
    }

    /// Where the data is.
    fn data(&self) -> NonNull<T> {
        self.owned();
        self.mutex.handle.pointer(DATA)
    }

    /// The data, copied out.
    pub fn get(&self) -> T {
        // SAFETY: this thread has the lock, as `data` saw, and makes no reference to the data.
        unsafe { self.data().read() }
    }

    /// Puts `value` in place of the data.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.data().write(value) };
    }

    /// Has `change` work on a copy of the data, and puts that in its place. If it panics, the data stays as it was.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut copy = self.get();
        let result = change(&mut copy);
        self.set(copy);
        result
    }

    /// How often this thread has locked: 1 for the first guard.
    pub fn depth(&self) -> u32 {
        self.owned().depth.load(Relaxed) + 1
    }

    /// Unlocks, however often this thread has locked, while `wait` runs.
    pub(crate) fn unlocked(self, wait: impl FnOnce()) -> Result<RecursiveGuard<'a, T>, LockError> {
        let (mutex, tenure) = (self.mutex, self.tenure);
        // A forked child has nothing to give up.
        mutex.handle.check()?;
        let depth = self.owned().depth.load(Relaxed);
        std::mem::forget(self);
        // SAFETY: this thread has the lock, `depth` says how often, and none of its guards is used meanwhile.
        unsafe { mutex.handle.lock().unlock() };
        wait();
        std::mem::forget(always(Held::lock(&mutex.handle, None)?));
        // The other guards of this thread are good again.
        mutex.owned().tenure.store(tenure, Relaxed);
        mutex.owned().depth.store(depth, Relaxed);
        Ok(RecursiveGuard::new(mutex, tenure))
    }
}

impl<T: Plain> Drop for RecursiveGuard<'_, T> {
    fn drop(&mut self) {
        let Some(owned) = self.mutex.owned_by(self.tenure) else { return };
        // SAFETY: `owned_by` has checked.
        let lock = unsafe { self.mutex.handle.lock() };
        match owned.depth.load(Relaxed) {
            // SAFETY: this thread has it, and gives it up once.
            0 if std::thread::panicking() && !self.panicking => unsafe { lock.unlock_poisoned() },
            // SAFETY: as above.
            0 => unsafe { lock.unlock() },
            n => owned.depth.store(n - 1, Relaxed),
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RecursiveGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}
