//! Data for many readers or one writer.

use std::{
    fmt, io,
    marker::PhantomData,
    time::{Duration, Instant},
};

use crate::{
    LockError, Plain, ReadGuard, WriteGuard, deadline,
    gate::{Control, Gate},
    handle::{Handle, crosses},
    held::{Held, always},
    raw::UserLock,
    region::RegionOptions,
    typing::layout_of,
};

/// Data that many threads of all processes may read at a time, or one may change.
///
/// It is a handle: clones and copies that crossed to other processes are the same lock. Each reader has a slot of its own,
/// so that readers on different CPUs are not in each other's way.
///
/// A writer that waits keeps new readers out, and so is not starved; a thread that reads already may read again all the
/// same.
///
/// # When an owner dies
///
/// A dead reader's slot is free. A dead writer poisons the lock as in a [`Mutex`](crate::Mutex#when-an-owner-dies), for
/// readers too; one that died while it waited has changed nothing, and poisons nothing.
///
/// # Limits
///
/// 64 read guards exist at a time; who wants more waits for one of them to be dropped. A thread that has all 64 itself gets
/// [`TooMany`](LockError::TooMany).
///
/// # Hidden state
///
/// As for a [`Mutex`](crate::Mutex#hidden-state); the mapping is of 8 KiB at least.
///
/// # Examples
///
/// ```
/// use proc_shm::RwLock;
///
/// let prices = RwLock::new([1.0, 2.0, 3.0])?;
/// prices.write()?[0] = 1.5;
/// let (a, b) = (prices.read()?, prices.read()?);
/// assert_eq!(a[0] + b[1], 3.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RwLock<T> {
    handle: Handle,
    gate: Gate,
    data: PhantomData<fn() -> T>,
}

const READERS: usize = if cfg!(loom) { 2 } else { 64 };
/// The main lock and the slots, side by side; then the control; then the data.
const SLOTS: usize = size_of::<UserLock>();
const CONTROL: usize = SLOTS + READERS * size_of::<UserLock>();
const DATA: usize = CONTROL + size_of::<Control>();

impl<T: Plain> RwLock<T> {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"rwlo")).holds_locks();
    const SIZE: usize = {
        assert!(align_of::<T>() <= 64, "the alignment of data in shared memory is at most 64");
        DATA + size_of::<T>()
    };

    /// A lock of its own, with `value` in it.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`]: no memory, no descriptor, no `/proc`.
    pub fn new(value: T) -> io::Result<RwLock<T>> {
        let region = Self::OPTIONS.layout(layout_of::<T>()).create(Self::SIZE)?;
        let handle = Handle::new(region, 1 + READERS);
        // SAFETY: in bounds and aligned by `SIZE`, and nobody else has it yet.
        unsafe {
            handle.pointer(DATA).write(value);
            Control::lay(handle.pointer(CONTROL), READERS as u32);
        }
        Ok(RwLock { gate: gate(&handle), handle, data: PhantomData })
    }

    /// Waits until nobody writes, and reads.
    ///
    /// # Errors
    ///
    /// - [`OwnerDied`](LockError::OwnerDied): a writer died, and it needs [`repair`](RwLock::repair);
    /// - [`Deadlock`](LockError::Deadlock): this thread writes;
    /// - [`TooMany`](LockError::TooMany): this thread has 2,000 locks, or all 64 places of readers;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    #[inline(always)]
    pub fn read(&self) -> Result<ReadGuard<'_, T>, LockError> {
        self.read_until(None).map(always)
    }

    /// Reads if nobody writes; `None` if somebody does, or waits to.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    pub fn try_read(&self) -> Result<Option<ReadGuard<'_, T>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: guards keep the memory mapped, as in `Held::lock`.
        Ok(unsafe { gate.try_lock_any()? }.map(|slot| self.reader(slot)))
    }

    /// Reads, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Option<ReadGuard<'_, T>>, LockError> {
        self.read_until(deadline::after(timeout))
    }

    /// Reads, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    pub fn read_deadline(&self, deadline: Instant) -> Result<Option<ReadGuard<'_, T>>, LockError> {
        self.read_until(Some(deadline))
    }

    /// Waits until nobody else reads or writes, and writes.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read); also `Deadlock` if this thread reads.
    pub fn write(&self) -> Result<WriteGuard<'_, T>, LockError> {
        self.write_until(None).map(always)
    }

    /// Writes if nobody else reads or writes; `None` if somebody does.
    ///
    /// # Errors
    ///
    /// As for [`write`](RwLock::write).
    pub fn try_write(&self) -> Result<Option<WriteGuard<'_, T>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_read`.
        Ok(unsafe { gate.try_lock_all()? }.then(|| self.writer(gate)))
    }

    /// Writes, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`write`](RwLock::write).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Option<WriteGuard<'_, T>>, LockError> {
        self.write_until(deadline::after(timeout))
    }

    /// Writes, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`write`](RwLock::write).
    pub fn write_deadline(&self, deadline: Instant) -> Result<Option<WriteGuard<'_, T>>, LockError> {
        self.write_until(Some(deadline))
    }

    /// As [`Mutex::repair`](crate::Mutex::repair), after a writer's death.
    ///
    /// # Errors
    ///
    /// As for [`write`](RwLock::write), but for `OwnerDied`.
    pub fn repair(&self, mend: impl FnOnce(&mut T)) -> Result<WriteGuard<'_, T>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_read`.
        let died = unsafe { gate.lock_all_dead()? };
        let mut guard = self.writer(gate);
        if died {
            mend(&mut guard);
        }
        Ok(guard)
    }

    /// Whether a writer died and nobody has repaired it; out of date at once. False in a forked child.
    pub fn is_poisoned(&self) -> bool {
        self.gate().is_ok_and(|gate| gate.is_poisoned())
    }

    #[inline(always)]
    fn read_until(&self, deadline: Option<Instant>) -> Result<Option<ReadGuard<'_, T>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_read`.
        Ok(unsafe { gate.lock_any(deadline)? }.map(|slot| self.reader(slot)))
    }

    fn write_until(&self, deadline: Option<Instant>) -> Result<Option<WriteGuard<'_, T>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_read`.
        Ok(unsafe { gate.lock_all(deadline)? }.then(|| self.writer(gate)))
    }

    #[inline(always)]
    fn reader<'a>(&'a self, slot: &'a UserLock) -> ReadGuard<'a, T> {
        // SAFETY: just locked; nobody changes the data while a slot is held.
        unsafe { ReadGuard::new(Held::new(slot, &self.handle), self.handle.pointer(DATA)) }
    }

    #[inline]
    fn writer<'a>(&'a self, gate: &'a Gate) -> WriteGuard<'a, T> {
        // SAFETY: this thread has just been let through alone.
        unsafe { WriteGuard::new(Held::with_gate(gate, &self.handle), self.handle.pointer(DATA)) }
    }

    #[inline(always)]
    fn gate(&self) -> Result<&Gate, LockError> {
        self.handle.check()?;
        Ok(&self.gate)
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<RwLock<T>> {
        let options = Self::OPTIONS.layout(layout_of::<T>());
        let handle = Handle::take(options, ticket, 1 + READERS, Self::SIZE)?;
        Ok(RwLock { gate: gate(&handle), handle, data: PhantomData })
    }
}

/// The pieces of a lock.
fn gate(handle: &Handle) -> Gate {
    // SAFETY: all lies there, and the gate is used together with the handle.
    unsafe { Gate::new(handle.pointer(0), handle.pointer(CONTROL), handle.pointer(SLOTS), READERS, false) }
}

crosses!(RwLock<T: Plain>);

impl<T> Clone for RwLock<T> {
    fn clone(&self) -> RwLock<T> {
        RwLock { handle: self.handle.clone(), gate: self.gate, data: PhantomData }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(Some(guard)) => shown.field("data", &*guard).finish(),
            Ok(None) => shown.field("data", &format_args!("<locked>")).finish(),
            Err(e) => shown.field("data", &format_args!("<{e}>")).finish(),
        }
    }
}
