//! Data that is written once and read by many.

use std::{fmt, io, marker::PhantomData, ops::Deref, os::fd::AsFd, slice, sync::Arc};

use memmap2::MmapRaw;
use proc_core::inherit::{LocalFd, NotInherited};

use crate::{Plain, region::RegionError, sys::memory, typing::layout_of};

/// Read-only data that crosses by descriptor: no copy per receiver.
///
/// It is a handle to sealed memory that nobody can change, neither we nor a receiver nor whoever gets the descriptor, so
/// that it is simply a slice. It works across PID namespaces and in forked children, and outlives whoever made it.
///
/// # Hidden state
///
/// One descriptor, close-on-exec and closed in forked children, and one mapping, shared by all clones in a process.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_shm::Frozen;
///
/// # proc_core::init();
/// let table = Frozen::new(&[1.0, 2.0, 3.5])?;
/// let child = Process::spawn(|t: Frozen<[f64]>| t.iter().sum::<f64>(), table.clone())?;
/// assert_eq!(child.join()?, 6.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Frozen<T: ?Sized> {
    inner: Arc<Inner>,
    data: PhantomData<fn() -> Box<T>>,
}

struct Inner {
    fd: LocalFd,
    map: MmapRaw,
}

/// What precedes the elements: a magic number, the layout, and how many there are.
const START: usize = 64;
const MAGIC: u64 = u64::from_ne_bytes(*b"procfrz\x01");

impl<T: Plain> Frozen<[T]> {
    /// A copy of `slice`.
    ///
    /// # Errors
    ///
    /// - it is larger than the limit of file sizes, RLIMIT_FSIZE (`EFBIG`);
    /// - there is not enough memory or address space (`ENOMEM`), or the process is out of descriptors (`EMFILE`).
    pub fn new(slice: &[T]) -> io::Result<Frozen<[T]>> {
        const { assert!(align_of::<T>() <= START, "the alignment of data in shared memory is at most 64") };
        let bytes = size_of_val(slice);
        let size = bytes.checked_add(START).ok_or(rustix::io::Errno::FBIG)?;
        let fd = memory::create("proc-shm", size as u64, size as u64)?;
        let mut head = [0; START];
        for (at, word) in [MAGIC, layout_of::<T>(), slice.len() as u64].into_iter().enumerate() {
            head[at * 8..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        memory::write(fd.as_fd(), &head, 0)?;
        // SAFETY: plain data has no padding, so all its bytes are there to be read.
        let bytes = unsafe { slice::from_raw_parts(slice.as_ptr().cast::<u8>(), bytes) };
        memory::write(fd.as_fd(), bytes, START as u64)?;
        memory::seal(fd.as_fd(), memory::READ_ONLY)?;
        let map = memory::map_read_only(fd.as_fd(), size)?;
        Ok(Frozen { inner: Arc::new(Inner { fd: LocalFd::new(fd), map }), data: PhantomData })
    }

    fn take(ticket: u32) -> io::Result<Frozen<[T]>> {
        let fd = proc_core::transfer::take(ticket)?;
        if !memory::has_seals(fd.as_fd(), memory::READ_ONLY) {
            return Err(RegionError::NotSealed.into());
        }
        // From here on nothing of it changes.
        let size = usize::try_from(memory::size(fd.as_fd())?).map_err(|_| RegionError::Size)?;
        if size < START {
            return Err(RegionError::Foreign.into());
        }
        let map = memory::map_read_only(fd.as_fd(), size)?;
        let frozen = Frozen { inner: Arc::new(Inner { fd: LocalFd::new(fd), map }), data: PhantomData };
        let [magic, layout, len] = [0, 1, 2].map(|at| frozen.inner.word(at));
        if magic != MAGIC {
            return Err(RegionError::Foreign.into());
        }
        if layout != layout_of::<T>() {
            return Err(RegionError::Layout.into());
        }
        let bytes = usize::try_from(len).ok().and_then(|len| len.checked_mul(size_of::<T>()));
        if bytes != Some(size - START) {
            return Err(RegionError::Size.into());
        }
        Ok(frozen)
    }
}

impl<T: ?Sized> Frozen<T> {
    fn give(&self) -> io::Result<u32> {
        let fd = self.inner.fd.get().map_err(|e: NotInherited| io::Error::from(e))?;
        proc_core::transfer::give(fd)
    }
}

impl Inner {
    fn word(&self, at: usize) -> u64 {
        // SAFETY: within the first 64 bytes of the mapping, which are aligned and never change.
        unsafe { self.map.as_ptr().cast::<u64>().add(at).read() }
    }
}

impl<T: Plain> Deref for Frozen<[T]> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let len = self.inner.word(2) as usize;
        // SAFETY: so many elements lie there, aligned to 64, in memory that nobody can change; `new` made it so, and `take`
        // has checked it.
        unsafe { slice::from_raw_parts(self.inner.map.as_ptr().add(START).cast(), len) }
    }
}

impl<T: Plain> AsRef<[T]> for Frozen<[T]> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Plain> serde::Serialize for Frozen<[T]> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ticket = self.give().map_err(serde::ser::Error::custom)?;
        serializer.serialize_u32(ticket)
    }
}

impl<'de, T: Plain> serde::Deserialize<'de> for Frozen<[T]> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticket = <u32 as serde::Deserialize>::deserialize(deserializer)?;
        Self::take(ticket).map_err(serde::de::Error::custom)
    }
}

impl<T: ?Sized> Clone for Frozen<T> {
    fn clone(&self) -> Frozen<T> {
        Frozen { inner: Arc::clone(&self.inner), data: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen")
            .field("type", &std::any::type_name::<T>())
            .field("len", &self.inner.word(2))
            .finish_non_exhaustive()
    }
}
