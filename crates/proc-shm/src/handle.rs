//! What all handles of shared objects are made of.

use std::{
    io,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use proc_core::inherit::{Lineage, NotInherited};

use crate::{
    raw::UserLock,
    region::{Region, RegionError, RegionOptions},
    sys::tasks,
};

/// A reference-counted region with the locks in it, and what every call needs of it at hand.
pub(crate) struct Handle {
    /// The first byte of data, where the first lock is.
    data: NonNull<u8>,
    made_in: Lineage,
    inner: Arc<Inner>,
}

struct Inner {
    region: Region,
    /// How many locks lie at the start of the data, side by side, as far as this process knows.
    ///
    /// | value | meaning | left by |
    /// |---|---|---|
    /// | n | the first n have memory, and perhaps a guard in this process | whoever parts the array, or receives a part: to more |
    ///
    /// Relaxed: it is read when the last handle is dropped, which all others happen before.
    locks: AtomicUsize,
}

// SAFETY: the pointer is into the region, which is `Send` and `Sync`; what is done with it is for the structures above.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Clone for Handle {
    fn clone(&self) -> Handle {
        Handle { data: self.data, made_in: self.made_in, inner: Arc::clone(&self.inner) }
    }
}

impl Handle {
    /// `locks` [`UserLock`]s lie at the start of the region.
    pub(crate) fn new(region: Region, locks: usize) -> Handle {
        debug_assert!(locks * size_of::<UserLock>() <= region.len());
        #[cfg(loom)]
        for i in 0..locks {
            // SAFETY: as asserted; models make each region once.
            unsafe { region.as_ptr().cast::<UserLock>().add(i).write(UserLock::new()) };
        }
        Handle {
            data: region.as_ptr(),
            made_in: region.lineage(),
            inner: Arc::new(Inner { region, locks: AtomicUsize::new(locks) }),
        }
    }

    /// Constructs what zeros are not, see [`sync`](crate::sync).
    #[cfg(loom)]
    pub(crate) fn constructed<T: Default>(self) -> Handle {
        // SAFETY: callers have made a region of this size, and nobody else has it yet.
        unsafe { self.pointer::<T>(0).write(T::default()) };
        self
    }

    /// Zeros are what is wanted.
    #[cfg(not(loom))]
    pub(crate) fn constructed<T>(self) -> Handle {
        debug_assert!(size_of::<T>() <= self.region().len());
        self
    }

    /// Receives a region of `len` bytes.
    pub(crate) fn take(options: RegionOptions, ticket: u32, locks: usize, len: usize) -> io::Result<Handle> {
        let region = options.take(ticket)?;
        if region.len() != len {
            return Err(RegionError::Size.into());
        }
        Ok(Handle::new(region, locks))
    }

    /// There are so many locks now.
    pub(crate) fn has_locks(&self, locks: usize) {
        self.inner.locks.fetch_max(locks, Relaxed);
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), NotInherited> {
        self.made_in.check()
    }

    #[inline]
    pub(crate) fn lineage(&self) -> Lineage {
        self.made_in
    }

    pub(crate) fn region(&self) -> &Region {
        &self.inner.region
    }

    /// The address `offset` bytes into the data. Not to be followed before [`check`](Handle::check).
    #[inline]
    pub(crate) fn pointer<T>(&self, offset: usize) -> NonNull<T> {
        debug_assert!(offset <= self.region().len());
        // SAFETY: callers ask for what is in the region.
        unsafe { self.data.add(offset).cast() }
    }

    /// The lock at the start.
    ///
    /// # Safety
    ///
    /// There is one, and [`check`](Handle::check) has passed.
    #[inline]
    pub(crate) unsafe fn lock(&self) -> &UserLock {
        // SAFETY: by the caller; a lock is atomics, and any bytes are one.
        unsafe { self.data.cast().as_ref() }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let current = self.region.lineage().is_current();
        let base = self.region.as_ptr().cast::<UserLock>();
        // A guard that was leaked keeps its lock in the list of its thread: the memory must stay where it is until that
        // thread ends. There can be no other guard, as guards borrow their object.
        // SAFETY: there are so many locks, and the mapping is there in the process that made it.
        let leaked = current
            && (0..*self.locks.get_mut()).any(|i| tasks::is_ours(unsafe { base.add(i).as_ref() }.owner()));
        if leaked {
            self.region.keep_mapped();
        }
    }
}

/// Implements serde for a handle by `give(&self) -> io::Result<u32>` and `take(u32) -> io::Result<Self>`.
macro_rules! crosses {
    ($t:ident $(<$p:ident: $bound:path>)?) => {
        impl $(<$p: $bound>)? serde::Serialize for $t $(<$p>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let ticket = self.give().map_err(serde::ser::Error::custom)?;
                serializer.serialize_u32(ticket)
            }
        }

        impl<'de $(, $p: $bound)?> serde::Deserialize<'de> for $t $(<$p>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let ticket = <u32 as serde::Deserialize>::deserialize(deserializer)?;
                Self::take(ticket).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use crosses;
