//! Regions: pieces of memory that several processes map.
//!
//! This is for authors of structures in shared memory; `Value` and its kin are made of it.
//!
//! A region is an anonymous file (`memfd`) of a size that nobody can change: it is sealed against shrinking, which would
//! be a SIGBUS for whoever reads, against growing, and against further seals. Its memory is allocated when it is made, so
//! that a lack of memory is an error there and never a fault later. The kernel frees it when the last process that has
//! it drops it or ends, however it ends: there are no names and nobody cleans up.
//!
//! It crosses to another process by its descriptor ([`Region::give`], [`RegionOptions::take`]), and whoever receives one
//! checks the seals, the size and the header before it is used.
//!
//! # Hidden state
//!
//! A region is one descriptor, close-on-exec and absent from forked children, and one mapping. Forked children do not
//! have the mapping either, unless it was made [`inherited`](RegionOptions::inherited).

mod error;
mod header;
mod options;

pub use self::{error::RegionError, header::HEADER_SIZE, options::RegionOptions};

use std::{fmt, io, mem::ManuallyDrop, os::fd::BorrowedFd, ptr::NonNull};

use memmap2::MmapRaw;
use proc_core::inherit::{Lineage, LocalFd, NotInherited};

use crate::sys::memory;

/// A piece of memory that several processes map.
///
/// The memory is reached by raw pointer, as another process may change it at any time: plain data in it may be touched
/// under a lock only, and without one through atomics only.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use proc_shm::region::RegionOptions;
///
/// let options = RegionOptions::new(u32::from_ne_bytes(*b"demo"));
/// let ours = options.create(4096)?;
/// let theirs = options.open(ours.fd()?.try_clone_to_owned()?)?;
///
/// // SAFETY: the offset is a multiple of 8, and everybody uses the eight bytes there as an atomic.
/// let (a, b) = unsafe { (ours.at::<AtomicU64>(64), theirs.at::<AtomicU64>(64)) };
/// a.store(7, Relaxed);
/// assert_eq!(b.load(Relaxed), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Region {
    fd: LocalFd,
    map: ManuallyDrop<MmapRaw>,
    inherited: bool,
    /// The mapping stays for as long as the process.
    kept: bool,
}

// SAFETY: a region is a descriptor and an address; what is done with the memory is for the unsafe code that does it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// How many bytes it has, without its header.
    #[inline]
    pub fn len(&self) -> usize {
        self.map.len() - HEADER_SIZE
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first byte, which is aligned to [`HEADER_SIZE`]. The memory is mapped for as long as `self` lives, and in a
    /// forked child not at all unless the region is [inherited](RegionOptions::inherited).
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        // SAFETY: a mapping is not null, and is never shorter than the header.
        unsafe { NonNull::new_unchecked(self.map.as_mut_ptr().add(HEADER_SIZE)) }
    }

    /// What lies at `offset`.
    ///
    /// # Panics
    ///
    /// It does not lie wholly in the region, or is not aligned.
    ///
    /// # Safety
    ///
    /// `T` consists of atomics, any bytes are a valid `T`, and every process uses these bytes in this way. In a forked
    /// child the memory is there only if the region is [inherited](RegionOptions::inherited).
    #[inline]
    pub unsafe fn at<T: Sync>(&self, offset: usize) -> &T {
        let end = offset.checked_add(size_of::<T>());
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{offset} is outside of a region of {} bytes",
            self.len()
        );
        let pointer = self.as_ptr().as_ptr().wrapping_add(offset).cast::<T>();
        assert!(pointer.is_aligned(), "what lies at {offset} is not aligned");
        // SAFETY: in bounds, aligned, mapped while `self` is, and fit for shared references by the caller.
        unsafe { &*pointer }
    }

    /// The process it belongs to.
    #[inline]
    pub fn lineage(&self) -> Lineage {
        self.fd.lineage()
    }

    /// The descriptor.
    ///
    /// # Errors
    ///
    /// This is a forked child of the process that owns it.
    #[inline]
    pub fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.fd.get()
    }

    /// Puts memory behind a part of a region that was made [larger than allocated](RegionOptions::create_sparse), so that
    /// touching it can't fail.
    ///
    /// # Errors
    ///
    /// - there is not enough memory (`ENOMEM`, `ENOSPC`), or the part is not in the region (`InvalidInput`);
    /// - this is a forked child.
    pub fn allocate(&self, offset: usize, len: usize) -> io::Result<()> {
        let (start, len) = self.part(offset, len)?;
        memory::check_limits(0, len)?;
        memory::allocate(self.fd.get()?, start, len)
    }

    /// Gives the memory of a part back to the system, in whole pages: the part reads as zero after, in every process,
    /// and must be [allocated](Region::allocate) before it is used again.
    ///
    /// # Errors
    ///
    /// The part is not in the region (`InvalidInput`), or this is a forked child.
    pub fn punch(&self, offset: usize, len: usize) -> io::Result<()> {
        let (start, len) = self.part(offset, len)?;
        memory::punch(self.fd.get()?, start, len)
    }

    /// Hands a duplicate of the descriptor to the transfer under way in this thread. The result is a ticket for
    /// [`RegionOptions::take`], to be serialized in its place.
    ///
    /// # Errors
    ///
    /// As [`transfer::give`](proc_core::transfer::give), and in a forked child.
    pub fn give(&self) -> io::Result<u32> {
        proc_core::transfer::give(self.fd.get()?)
    }

    /// Has the mapping stay when the region is dropped.
    pub(crate) fn keep_mapped(&mut self) {
        self.kept = true;
    }

    fn part(&self, offset: usize, len: usize) -> io::Result<(u64, u64)> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(((HEADER_SIZE + offset) as u64, len as u64)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // In a forked child the range is free, and may hold a mapping of somebody else by now.
        if !self.kept && (self.inherited || self.lineage().is_current()) {
            // SAFETY: dropped here, once, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}
