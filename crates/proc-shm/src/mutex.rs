//! Data under a lock.

use std::{
    fmt, io,
    marker::PhantomData,
    time::{Duration, Instant},
};

use crate::{
    Guard, LockError, Plain, deadline,
    handle::{Handle, crosses},
    held::{Held, always},
    raw::UserLock,
    region::RegionOptions,
    typing::layout_of,
};

/// Data that one thread of all processes has at a time.
///
/// It is a handle: clones and copies that crossed to other processes are the same mutex. The data lies in shared memory,
/// and a guard works on it in place.
///
/// # When an owner dies
///
/// If a process is killed, or a thread panics, while it has the lock, others never wait for it: each attempt to lock is
/// [`LockError::OwnerDied`], until somebody has [repaired](Mutex::repair) the data.
///
/// # Compared with
///
/// `std::sync::Mutex` shares between threads, and poisons on panics alone. Python's `multiprocessing.Lock` is held for ever
/// if its owner is killed, and may be released by anybody; this one is bound to its thread, as `RLock` is, but is not
/// recursive (see [`RecursiveMutex`](crate::RecursiveMutex)).
///
/// # Hidden state
///
/// One descriptor and one mapping, shared by all clones in a process. A waiter spins for about a microsecond, then sleeps;
/// it wakes up four times a second to see whether the owner lives.
///
/// # Examples
///
/// ```
/// use proc_shm::Mutex;
///
/// let best = Mutex::new([0_u64; 3])?;
/// best.lock()?[1] = 7;
/// assert_eq!(*best.lock()?, [0, 7, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mutex<T> {
    handle: Handle,
    data: PhantomData<fn() -> T>,
}

/// Where the data is: on a line of its own after the lock.
const DATA: usize = size_of::<UserLock>();

impl<T: Plain> Mutex<T> {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"mutx")).holds_locks();
    const SIZE: usize = {
        assert!(align_of::<T>() <= DATA, "the alignment of data in shared memory is at most 64");
        DATA + size_of::<T>()
    };

    /// A mutex of its own, with `value` in it.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`](crate::region::RegionOptions::create): no memory, no descriptor, no `/proc`.
    pub fn new(value: T) -> io::Result<Mutex<T>> {
        let region = Self::OPTIONS.layout(layout_of::<T>()).create(Self::SIZE)?;
        let handle = Handle::new(region, 1);
        // SAFETY: in bounds and aligned by `SIZE`, and nobody else has it yet.
        unsafe { handle.pointer(DATA).write(value) };
        Ok(Mutex { handle, data: PhantomData })
    }

    /// Locks, however long that takes.
    ///
    /// # Errors
    ///
    /// - [`OwnerDied`](LockError::OwnerDied): it needs [`repair`](Mutex::repair);
    /// - [`Deadlock`](LockError::Deadlock): this thread has it;
    /// - [`TooMany`](LockError::TooMany): this thread has 2,000 locks;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    #[inline(always)]
    pub fn lock(&self) -> Result<Guard<'_, T>, LockError> {
        Held::lock(&self.handle, None).map(|held| self.guard(always(held)))
    }

    /// Locks if it is free; `None` if somebody has it.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Mutex::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<Guard<'_, T>>, LockError> {
        Held::try_lock(&self.handle).map(|held| held.map(|held| self.guard(held)))
    }

    /// Locks, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Mutex::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Guard<'_, T>>, LockError> {
        self.lock_until(deadline::after(timeout))
    }

    /// Locks, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Mutex::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Option<Guard<'_, T>>, LockError> {
        self.lock_until(Some(deadline))
    }

    /// Locks after an owner's death: has `mend` make the data whole, and the mutex is as before. If there was no death, or
    /// somebody else has repaired it, `mend` does not run. If `mend` panics, or its process is killed, the mutex stays as
    /// it was.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Mutex::lock), but for `OwnerDied`.
    ///
    /// # Examples
    ///
    /// ```
    /// use proc_shm::{LockError, Mutex};
    ///
    /// let pair = Mutex::new([1, 1])?;
    /// // A panic half-way is as bad as a kill.
    /// let half = std::panic::catch_unwind(|| {
    ///     let mut pair = pair.lock().unwrap();
    ///     pair[0] = 2;
    ///     panic!("something went wrong");
    /// });
    /// assert!(half.is_err() && pair.lock().is_err_and(|e| e == LockError::OwnerDied));
    ///
    /// let mended = pair.repair(|pair| pair[1] = pair[0])?;
    /// assert_eq!(*mended, [2, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(&self, mend: impl FnOnce(&mut T)) -> Result<Guard<'_, T>, LockError> {
        let (held, died) = Held::lock_dead(&self.handle)?;
        let mut guard = self.guard(held);
        if died {
            mend(&mut guard);
        }
        Ok(guard)
    }

    /// Whether an owner died and nobody has repaired it; out of date at once. False in a forked child.
    pub fn is_poisoned(&self) -> bool {
        // SAFETY: checked first.
        self.handle.check().is_ok() && unsafe { self.handle.lock() }.is_poisoned()
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<Option<Guard<'_, T>>, LockError> {
        Held::lock(&self.handle, deadline).map(|held| held.map(|held| self.guard(held)))
    }

    #[inline(always)]
    fn guard<'a>(&'a self, held: Held<'a>) -> Guard<'a, T> {
        // SAFETY: the data lies there, and is reached under this lock only.
        unsafe { Guard::new(held, self.handle.pointer(DATA)) }
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Mutex<T>> {
        let handle = Handle::take(Self::OPTIONS.layout(layout_of::<T>()), ticket, 1, Self::SIZE)?;
        Ok(Mutex { handle, data: PhantomData })
    }
}

crosses!(Mutex<T: Plain>);

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Mutex<T> {
        Mutex { handle: self.handle.clone(), data: PhantomData }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(Some(guard)) => shown.field("data", &*guard).finish(),
            Ok(None) => shown.field("data", &format_args!("<locked>")).finish(),
            Err(e) => shown.field("data", &format_args!("<{e}>")).finish(),
        }
    }
}
