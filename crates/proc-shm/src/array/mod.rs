//! Many values of one type, shared.

mod layout;
mod part;

pub use self::part::Part;

use std::{
    fmt, io,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull,
    time::{Duration, Instant},
};

use self::layout::Layout;
use crate::{
    Guard, LockError, LockFree, Plain, Shared, deadline,
    gate::{Control, Gate},
    handle::{Handle, crosses},
    held::{Held, always},
    raw::UserLock,
    region::{RegionError, RegionOptions},
    sync::Ordering::Relaxed,
    typing::layout_of,
};

/// An array that processes share: plain data under a lock, or atomics.
///
/// It is a handle: clones and copies that crossed to other processes are the same array. Its length is fixed; 0 is one.
///
/// - Plain data is reached by a guard that is a slice, in place: `a.lock()?[i]`, `a.lock()?.iter()`. One lock guards all of
///   it, or [`parts`](Array::parts) have one each.
/// - Atomics are used as they are (`a[i].fetch_add(1, Relaxed)`), without a lock.
///
/// # When an owner dies
///
/// As for a [`Mutex`](crate::Mutex#when-an-owner-dies). If the owner of a part died, that part is poisoned, and so is the
/// whole.
///
/// # Hidden state
///
/// As for a [`Mutex`](crate::Mutex#hidden-state). An array of atomics remains usable in a forked child.
///
/// # Examples
///
/// ```
/// use proc_shm::Array;
///
/// let squares = Array::from_slice(&[0, 1, 4, 0])?;
/// squares.lock()?[3] = 9;
/// assert_eq!(squares.lock()?.iter().sum::<i32>(), 14);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Array<T> {
    handle: Handle,
    gate: Gate,
    len: usize,
    data: PhantomData<fn() -> T>,
}

impl<T: Shared> Array<T> {
    const OPTIONS: RegionOptions = {
        assert!(align_of::<T>() <= 64, "the alignment of data in shared memory is at most 64");
        assert!(size_of::<T>() > 0, "the elements of a shared array have a size");
        let options = RegionOptions::new(u32::from_ne_bytes(*b"arry")).holds_locks();
        // Atomics belong to no process.
        if T::LOCK_FREE { options.inherited() } else { options }
    };

    /// An array of `len` zeros.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`]: no memory, no address space, RLIMIT_FSIZE, no descriptor, no `/proc`.
    pub fn zeroed(len: usize) -> io::Result<Array<T>> {
        let layout = Layout::of::<T>(len).ok_or(rustix::io::Errno::FBIG)?;
        let options = Self::OPTIONS.layout(layout_of::<T>());
        let region = options.create_sparse(layout.end, layout.first_allocated())?;
        if let Some((start, len)) = layout.rest_allocated() {
            region.allocate(start, len)?;
        }
        let handle = Handle::new(region, 1);
        // SAFETY: it lies there, and nobody else has it yet.
        unsafe { Control::lay(handle.pointer(Layout::control(len)), 0) };
        Ok(Array::of(handle, len))
    }

    /// An array of what `make` makes of each index.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Array::zeroed).
    pub fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> io::Result<Array<T>> {
        let array = Array::zeroed(len)?;
        for i in 0..len {
            // SAFETY: in bounds, and nobody else has the array yet.
            unsafe { array.elements().add(i).write(make(i)) };
        }
        Ok(array)
    }

    /// How many elements it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn of(handle: Handle, len: usize) -> Array<T> {
        let control = handle.pointer(Layout::control(len));
        let table = handle.pointer(layout::PARTS);
        // SAFETY: all lies there, as many slots as there are have memory, and the gate is used together with the handle.
        let gate = unsafe { Gate::new(handle.pointer(0), control, table, Layout::most_parts_of(len), true) };
        Array { handle, gate, len, data: PhantomData }
    }

    fn layout(&self) -> Layout {
        match Layout::of::<T>(self.len) {
            Some(layout) => layout,
            None => unreachable!("the array is there"),
        }
    }

    #[inline]
    fn elements(&self) -> NonNull<T> {
        self.handle.pointer(Layout::data(self.len))
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Array<T>> {
        let region = Self::OPTIONS.layout(layout_of::<T>()).take(ticket)?;
        let len = Layout::len_in::<T>(region.len()).ok_or(RegionError::Size)?;
        Ok(Array::of(Handle::new(region, 1), len))
    }
}

impl<T: Plain> Array<T> {
    /// An array of the elements of `slice`.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Array::zeroed).
    pub fn from_slice(slice: &[T]) -> io::Result<Array<T>> {
        let array = Array::zeroed(slice.len())?;
        // SAFETY: as long as `slice`, and nobody else has the array yet.
        unsafe { array.elements().copy_from_nonoverlapping(NonNull::from(slice).cast(), slice.len()) };
        Ok(array)
    }

    /// Locks all of it, however long that takes.
    ///
    /// # Errors
    ///
    /// - [`OwnerDied`](LockError::OwnerDied): it needs [`repair`](Array::repair);
    /// - [`Deadlock`](LockError::Deadlock): this thread has it, or a part;
    /// - [`TooMany`](LockError::TooMany): this thread has 2,000 locks;
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which it was not given.
    #[inline(always)]
    pub fn lock(&self) -> Result<Guard<'_, [T]>, LockError> {
        self.lock_until(None).map(always)
    }

    /// Locks all of it if it is free; `None` if somebody has it, or a part.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn try_lock(&self) -> Result<Option<Guard<'_, [T]>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: guards keep the memory mapped, as in `Held::lock`.
        Ok(unsafe { gate.try_lock_all()? }.then(|| self.guard(gate)))
    }

    /// Locks all of it, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Guard<'_, [T]>>, LockError> {
        self.lock_until(deadline::after(timeout))
    }

    /// Locks all of it, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Option<Guard<'_, [T]>>, LockError> {
        self.lock_until(Some(deadline))
    }

    /// As [`Mutex::repair`](crate::Mutex::repair), for the whole and all parts.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock), but for `OwnerDied`.
    pub fn repair(&self, mend: impl FnOnce(&mut [T])) -> Result<Guard<'_, [T]>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_lock`.
        let died = unsafe { gate.lock_all_dead()? };
        let mut guard = self.guard(gate);
        if died {
            mend(&mut guard);
        }
        Ok(guard)
    }

    /// Whether an owner of the whole died and nobody has repaired it; out of date at once. False in a forked child.
    pub fn is_poisoned(&self) -> bool {
        self.gate().is_ok_and(|gate| gate.is_poisoned())
    }

    /// A copy of all elements.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Array::lock).
    pub fn to_vec(&self) -> Result<Vec<T>, LockError> {
        self.lock().map(|all| all.to_vec())
    }

    /// The array as `count` parts side by side, nearly equal in length, each with a lock of its own; together they are all
    /// of it. Parts cross to other processes. The array can be locked as a whole still: that waits for all parts.
    ///
    /// It is parted once: every later call must ask for as many parts, and gets the same ones, in any process. Where the
    /// array can't be parted so, every part is empty and locking it says why; [`try_parts`](Array::try_parts) says it at
    /// once. There are never more than 65,536.
    ///
    /// # Examples
    ///
    /// ```
    /// use proc_shm::Array;
    ///
    /// let array = Array::<u8>::zeroed(10)?;
    /// let parts = array.parts(4);
    /// let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    /// assert_eq!(lengths, [3, 3, 2, 2]);
    ///
    /// // Two are locked at once.
    /// let (mut first, mut last) = (parts[0].lock()?, parts[3].lock()?);
    /// first[0] = 1;
    /// last[1] = 2;
    /// drop((first, last));
    /// assert_eq!(*array.lock()?, [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parts(&self, count: usize) -> Vec<Part<T>> {
        self.try_parts(count).unwrap_or_else(|e| {
            let fault = e.get_ref().and_then(|e| e.downcast_ref()).copied().unwrap_or(LockError::NoSuchParts);
            // No more than there could have been, whatever was asked for.
            (0..count.min(Layout::most_parts_of(usize::MAX)))
                .map(|at| Part::faulty(self.clone(), at, fault))
                .collect()
        })
    }

    /// As [`parts`](Array::parts), or an error.
    ///
    /// # Errors
    ///
    /// - `count` is 0, or above the length and 1, or above 65,536, or not that of an earlier call (`InvalidInput`);
    /// - there is no memory for the locks: 64 bytes each (`ENOMEM`);
    /// - as for [`lock`](Array::lock).
    pub fn try_parts(&self, count: usize) -> io::Result<Vec<Part<T>>> {
        if !(1..=self.layout().most_parts()).contains(&count) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let gate = self.gate()?;
        if gate.slots().is_empty() {
            let _all = self.lock()?;
            let slots = &gate.control().slots;
            if slots.load(Relaxed) == 0 {
                self.handle.region().allocate(layout::PARTS, count * size_of::<UserLock>())?;
                slots.store(count as u32, Relaxed);
            }
        }
        if gate.slots().len() != count {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the array has {} parts already", gate.slots().len()),
            ));
        }
        self.handle.has_locks(1 + count);
        Ok((0..count).map(|at| Part::new(self.clone(), at, count)).collect())
    }

    #[inline(always)]
    fn lock_until(&self, deadline: Option<Instant>) -> Result<Option<Guard<'_, [T]>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_lock`.
        Ok(unsafe { gate.lock_all(deadline)? }.then(|| self.guard(gate)))
    }

    #[inline(always)]
    fn guard<'a>(&'a self, gate: &'a Gate) -> Guard<'a, [T]> {
        let all = NonNull::slice_from_raw_parts(self.elements(), self.len);
        // SAFETY: this thread has just been let through alone, and the elements are there.
        unsafe { Guard::new(Held::with_gate(gate, &self.handle), all) }
    }

    #[inline(always)]
    fn gate(&self) -> Result<&Gate, LockError> {
        self.handle.check()?;
        Ok(&self.gate)
    }
}

/// In a forked child too.
///
/// # Panics
///
/// In a forked child to which the handle was not given, if `T` is a type of yours that does not say that it is
/// [`LOCK_FREE`](Shared::LOCK_FREE).
impl<T: LockFree> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        if !T::LOCK_FREE && self.handle.check().is_err() {
            not_inherited();
        }
        // SAFETY: the atomics lie there, mapped while `self` is; in forked children too, if the type says that it is
        // lock-free, and else this is none.
        unsafe { NonNull::slice_from_raw_parts(self.elements(), self.len).as_ref() }
    }
}

#[cold]
fn not_inherited() -> ! {
    panic!("the array belongs to the process from which this one was forked, and was not handed to it")
}

crosses!(Array<T: Shared>);

impl<T> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array { handle: self.handle.clone(), gate: self.gate, len: self.len, data: PhantomData }
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("type", &std::any::type_name::<T>())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
