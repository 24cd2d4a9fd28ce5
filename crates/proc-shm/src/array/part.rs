//! A part of an array.

use std::{
    fmt,
    ptr::NonNull,
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::Array;
use crate::{
    Guard, LockError, Plain, deadline,
    gate::Gate,
    held::{Held, always},
};

/// A part of an [`Array`], with a lock of its own. It crosses to other processes.
///
/// Different parts are locked at the same time; the whole array is not locked while a part is, nor the other way round.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_shm::{Array, Part};
///
/// # proc_core::init();
/// let array = Array::<u32>::zeroed(6)?;
/// let children: Vec<_> = array
///     .parts(3)
///     .into_iter()
///     .map(|part| Process::spawn(|p: Part<u32>| p.lock().unwrap().fill(p.index() as u32), part))
///     .collect::<Result<_, _>>()?;
/// for child in children {
///     child.join()?;
/// }
/// assert_eq!(*array.lock()?, [0, 0, 1, 1, 2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Part<T> {
    array: Array<T>,
    at: usize,
    /// Of the elements.
    start: usize,
    len: usize,
    /// Why there is no such part; it is empty then.
    fault: Option<LockError>,
}

impl<T: Plain> Part<T> {
    /// Part `at` of `count`. The first ones are longer by one if the array does not divide.
    pub(super) fn new(array: Array<T>, at: usize, count: usize) -> Part<T> {
        let (each, longer) = (array.len / count, array.len % count);
        let start = at * each + at.min(longer);
        Part { array, at, start, len: each + usize::from(at < longer), fault: None }
    }

    /// A part that there is not.
    #[cold]
    pub(super) fn faulty(array: Array<T>, at: usize, fault: LockError) -> Part<T> {
        Part { array, at, start: 0, len: 0, fault: Some(fault) }
    }

    /// Which part it is, from 0.
    pub fn index(&self) -> usize {
        self.at
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which elements of the array it has.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }

    /// The array of which it is a part.
    pub fn array(&self) -> &Array<T> {
        &self.array
    }

    /// Locks the part, however long that takes.
    ///
    /// # Errors
    ///
    /// As for [`Array::lock`]; `OwnerDied` needs [`repair`](Part::repair), or that of the array.
    pub fn lock(&self) -> Result<Guard<'_, [T]>, LockError> {
        self.lock_until(None).map(always)
    }

    /// Locks the part if it is free; `None` if somebody has it, or the whole array.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Part::lock).
    pub fn try_lock(&self) -> Result<Option<Guard<'_, [T]>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: guards keep the memory mapped, as in `Held::lock`.
        Ok(unsafe { gate.try_lock_slot(self.at)? }.then(|| self.guard(gate)))
    }

    /// Locks the part, or gives up after `timeout`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Part::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Guard<'_, [T]>>, LockError> {
        self.lock_until(deadline::after(timeout))
    }

    /// Locks the part, or gives up at `deadline`, and not before.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Part::lock).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Option<Guard<'_, [T]>>, LockError> {
        self.lock_until(Some(deadline))
    }

    /// As [`Mutex::repair`](crate::Mutex::repair), for the part.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Part::lock); `OwnerDied` if the whole array needs [`repair`](Array::repair).
    pub fn repair(&self, mend: impl FnOnce(&mut [T])) -> Result<Guard<'_, [T]>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_lock`.
        let died = unsafe { gate.lock_slot_dead(self.at)? };
        let mut guard = self.guard(gate);
        if died {
            mend(&mut guard);
        }
        Ok(guard)
    }

    /// Whether an owner of the part died and nobody has repaired it; out of date at once. False in a forked child.
    pub fn is_poisoned(&self) -> bool {
        self.gate().is_ok_and(|gate| gate.slots()[self.at].is_poisoned())
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<Option<Guard<'_, [T]>>, LockError> {
        let gate = self.gate()?;
        // SAFETY: as in `try_lock`.
        Ok(unsafe { gate.lock_slot(self.at, deadline)? }.then(|| self.guard(gate)))
    }

    fn guard<'a>(&'a self, gate: &'a Gate) -> Guard<'a, [T]> {
        // SAFETY: in bounds by `new`; the slot is held, and only its holder or that of all reaches these elements.
        unsafe {
            let first = self.array.elements().add(self.start);
            let part = NonNull::slice_from_raw_parts(first, self.len);
            Guard::new(Held::with_slot(gate, self.at, &self.array.handle), part)
        }
    }

    #[inline]
    fn gate(&self) -> Result<&Gate, LockError> {
        match self.fault {
            None => self.array.gate(),
            Some(fault) => Err(fault),
        }
    }
}

impl<T: Plain> Serialize for Part<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.gate().map_err(ser::Error::custom)?;
        (&self.array, self.at).serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Part<T>, D::Error> {
        let (array, at) = <(Array<T>, usize)>::deserialize(deserializer)?;
        let count = array.gate().map_err(de::Error::custom)?.slots().len();
        if at >= count {
            return Err(de::Error::custom("the array has no such part"));
        }
        array.handle.has_locks(1 + count);
        Ok(Part::new(array, at, count))
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part { array: self.array.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("index", &self.at).field("len", &self.len).finish_non_exhaustive()
    }
}
