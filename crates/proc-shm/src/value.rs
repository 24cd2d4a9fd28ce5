//! One value, shared.

mod cell;

use std::{
    fmt, io,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use self::cell::Cell;
use crate::{
    LockError, LockFree, Plain, Shared, deadline,
    handle::{Handle, crosses},
    held::{Held, always},
    raw::UserLock,
    region::RegionOptions,
    typing::layout_of,
};

/// A value that processes share: a number, a small struct, or an atomic.
///
/// It is a handle: clones and copies that crossed to other processes are the same value.
///
/// - Plain data is changed under a lock (`*v.lock()? += 1`), and read at any time by [`get`](Value::get), which never waits
///   and never sees half a change: a guard works on a copy of its own, which it puts in place when it is dropped, by one
///   store. A process that is killed before leaves the value as it was.
/// - Atomics are used as they are (`v.fetch_add(1, Relaxed)`), without a lock.
///
/// For data that is too large to be copied at each change, see [`Mutex`](crate::Mutex) and [`Array`](crate::Array).
///
/// # When an owner dies
///
/// As for a [`Mutex`](crate::Mutex#when-an-owner-dies), even though the value itself is whole: what it stands for may not
/// be. [`get`](Value::get) works all the same.
///
/// # Compared with
///
/// Python's `Value`: there `v.value += 1` is two steps with the lock given up in between; here `*v.lock()? += 1` is one.
///
/// # Hidden state
///
/// As for a [`Mutex`](crate::Mutex#hidden-state). An atomic value remains usable in a forked child.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use proc_shm::Value;
///
/// let n = Value::new(40)?;
/// *n.lock()? += 2;
/// assert_eq!(n.get(), 42);
///
/// let hits = Value::new(AtomicU64::new(0))?;
/// hits.fetch_add(1, Relaxed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Value<T> {
    handle: Handle,
    data: PhantomData<fn() -> T>,
}

/// Where the cell is: on lines of its own after the lock. An atomic is at [`cell::START`] in it.
const CELL: usize = size_of::<UserLock>();

impl<T: Shared> Value<T> {
    /// The mapping is inherited by forked children: a value's plain data is never reached by reference, and its atomics
    /// belong to no process.
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"valu")).holds_locks().inherited();
    const SIZE: usize = {
        assert!(align_of::<T>() <= 64, "the alignment of data in shared memory is at most 64");
        CELL + Cell::<T>::SIZE
    };

    /// A value of its own, `value` at first.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`](crate::region::RegionOptions::create): no memory, no descriptor, no `/proc`.
    pub fn new(value: T) -> io::Result<Value<T>> {
        let handle = Handle::new(Self::OPTIONS.layout(layout_of::<T>()).create(Self::SIZE)?, 1);
        // SAFETY: in bounds and aligned by `SIZE`, and nobody else has it yet.
        unsafe { handle.pointer(CELL + cell::START).write(value) };
        Ok(Value { handle, data: PhantomData })
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Value<T>> {
        let handle = Handle::take(Self::OPTIONS.layout(layout_of::<T>()), ticket, 1, Self::SIZE)?;
        Ok(Value { handle, data: PhantomData })
    }
}

impl<T: Plain> Value<T> {
    /// Locks, however long that takes.
    ///
    /// # Errors
    ///
    /// - [`OwnerDied`](LockError::OwnerDied): it needs [`repair`](Value::repair);
    /// - [`Deadlock`](LockError::Deadlock): this thread has it;
    /// - [`TooMany`](LockError::TooMany): this thread has 2,000 locks;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    #[inline(always)]
    pub fn lock(&self) -> Result<ValueGuard<'_, T>, LockError> {
        Held::lock(&self.handle, None).map(|held| self.guard(always(held)))
    }

    /// Locks if it is free; `None` if somebody has it.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Option<ValueGuard<'_, T>>, LockError> {
        Held::try_lock(&self.handle).map(|held| held.map(|held| self.guard(held)))
    }

    /// Locks, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<ValueGuard<'_, T>>, LockError> {
        self.lock_until(deadline::after(timeout))
    }

    /// Locks, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Option<ValueGuard<'_, T>>, LockError> {
        self.lock_until(Some(deadline))
    }

    /// Locks after an owner's death: has `mend` put things right, and the lock is as before. If there was no death, or
    /// somebody else has repaired it, `mend` does not run. If `mend` panics, or its process is killed, all stays as it
    /// was.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock), but for `OwnerDied`.
    pub fn repair(&self, mend: impl FnOnce(&mut T)) -> Result<ValueGuard<'_, T>, LockError> {
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

    /// The value as it is now, whole. It neither locks nor waits; at most it copies again, if the value was changed twice
    /// meanwhile.
    #[inline]
    pub fn get(&self) -> T {
        self.cell().load()
    }

    /// Changes the value, under the lock.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Value::lock).
    #[inline(always)]
    pub fn set(&self, value: T) -> Result<(), LockError> {
        let _held = always(Held::lock(&self.handle, None)?);
        // SAFETY: the lock is held.
        unsafe { self.cell().store(value) };
        Ok(())
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<Option<ValueGuard<'_, T>>, LockError> {
        Held::lock(&self.handle, deadline).map(|held| held.map(|held| self.guard(held)))
    }

    #[inline(always)]
    fn guard<'a>(&'a self, held: Held<'a>) -> ValueGuard<'a, T> {
        ValueGuard { copy: self.get(), changed: false, value: self, held: Some(held) }
    }

    #[inline(always)]
    fn cell(&self) -> Cell<T> {
        // SAFETY: the cell lies there, mapped while `self` is, in forked children too.
        unsafe { Cell::at(self.handle.pointer(CELL)) }
    }
}

/// In a forked child too.
impl<T: LockFree> Deref for Value<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the atomic lies there, mapped while `self` is, in forked children too.
        unsafe { self.handle.pointer(CELL + cell::START).as_ref() }
    }
}

crosses!(Value<T: Shared>);

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value { handle: self.handle.clone(), data: PhantomData }
    }
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("type", &std::any::type_name::<T>()).finish_non_exhaustive()
    }
}

/// The value under its lock; dropping it puts the changed value in place and unlocks.
///
/// What it gives access to is a copy in this process. If the guard is dropped by a panic, the value stays as it was and
/// the lock is poisoned. A guard that is leaked changes nothing, and keeps the lock until its thread ends.
#[must_use = "if it is not used, the lock is given up at once"]
pub struct ValueGuard<'a, T: Plain> {
    copy: T,
    changed: bool,
    value: &'a Value<T>,
    /// `None` only when the guard is taken apart.
    held: Option<Held<'a>>,
}

impl<'a, T: Plain> ValueGuard<'a, T> {
    /// Unlocks, with what was changed in place, while `wait` runs.
    pub(crate) fn unlocked(mut self, wait: impl FnOnce()) -> Result<ValueGuard<'a, T>, LockError> {
        // In a forked child the lock is the parent's, and so is the right to change the value.
        self.value.handle.check()?;
        self.commit();
        let value = self.value;
        match self.held.take() {
            Some(held) => held.unlocked(wait).map(|held| value.guard(held)),
            None => unreachable!("the guard is whole"),
        }
    }

    #[inline(always)]
    fn commit(&mut self) {
        if self.changed {
            self.changed = false;
            // SAFETY: the lock is held.
            unsafe { self.value.cell().store(self.copy) };
        }
    }
}

impl<T: Plain> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.copy
    }
}

impl<T: Plain> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.copy
    }
}

impl<T: Plain> Drop for ValueGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.held.as_ref().is_some_and(Held::is_sound) {
            self.commit();
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.copy, f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.copy, f)
    }
}
