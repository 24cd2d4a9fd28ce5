//! Making and receiving regions.

use std::{
    io,
    mem::ManuallyDrop,
    os::fd::{AsFd, OwnedFd},
};

use proc_core::inherit::LocalFd;

use super::{
    HEADER_SIZE, Region, RegionError,
    header::{Facts, Header},
};
use crate::sys::{memory, namespace};

/// What both sides must agree on about a region.
///
/// # Examples
///
/// ```
/// use proc_shm::region::RegionOptions;
///
/// let ring = RegionOptions::new(1).layout(64).create(1 << 18)?;
/// assert_eq!(ring.len(), 1 << 18);
///
/// // Another structure is not taken for it.
/// let fd = ring.fd()?.try_clone_to_owned()?;
/// assert!(RegionOptions::new(2).layout(64).open(fd).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RegionOptions {
    kind: u32,
    layout: u64,
    thread_ids: bool,
    inherited: bool,
}

impl RegionOptions {
    /// A region that holds the structure `kind`: a number of your choice, such as `u32::from_ne_bytes(*b"ring")`.
    pub const fn new(kind: u32) -> RegionOptions {
        RegionOptions { kind, layout: 0, thread_ids: false, inherited: false }
    }

    /// A number that tells layouts of one structure apart, such as the size of its elements. 0 unless said otherwise.
    #[must_use]
    pub const fn layout(mut self, layout: u64) -> RegionOptions {
        self.layout = layout;
        self
    }

    /// The region holds locks: opening it in another PID namespace is an error, as thread ids mean other threads there.
    #[must_use]
    pub const fn holds_locks(mut self) -> RegionOptions {
        self.thread_ids = true;
        self
    }

    /// Forked children have the mapping too. It is right for what belongs to no process: read-only data, and atomics.
    #[must_use]
    pub const fn inherited(mut self) -> RegionOptions {
        self.inherited = true;
        self
    }

    /// Makes a region of `len` bytes, all zero and all allocated.
    ///
    /// # Errors
    ///
    /// - `len` is above the process's limit of file sizes, RLIMIT_FSIZE (`EFBIG`);
    /// - there is not enough memory, or address space (`ENOMEM`), or the process is out of descriptors (`EMFILE`);
    /// - for a region with locks, `/proc` is missing.
    ///
    /// A control group's limit of memory is not an error: the kernel ends a process of the group.
    pub fn create(&self, len: usize) -> io::Result<Region> {
        self.create_sparse(len, len)
    }

    /// Makes a region of `len` bytes of which only the first `allocated` have memory. The rest takes none until it is
    /// [allocated](Region::allocate); touching it before can be a SIGBUS.
    ///
    /// # Errors
    ///
    /// As for [`create`](RegionOptions::create).
    pub fn create_sparse(&self, len: usize, allocated: usize) -> io::Result<Region> {
        let whole = |len: usize| len.checked_add(HEADER_SIZE).ok_or(rustix::io::Errno::FBIG);
        let size = whole(len)?;
        let namespace = if self.thread_ids { Some(namespace::own()?) } else { None };
        let fd = memory::create("proc-shm", size as u64, whole(allocated.min(len))? as u64)?;
        memory::seal(fd.as_fd(), memory::FIXED_SIZE)?;
        let region = self.map(fd, size)?;
        let facts = Facts { size: size as u64, kind: self.kind, layout: self.layout, namespace };
        // SAFETY: the mapping is `size` bytes and outlives the reference.
        unsafe { Header::of(region.map.as_mut_ptr()) }.write(&facts);
        Ok(region)
    }

    /// Opens a region that came from another process.
    ///
    /// # Errors
    ///
    /// - a [`RegionError`], as the source of an `InvalidData`, or of an `Unsupported` if the PID namespace is another:
    ///   what was received is not such a region;
    /// - there is not enough address space (`ENOMEM`).
    pub fn open(&self, fd: OwnedFd) -> io::Result<Region> {
        if !memory::has_seals(fd.as_fd(), memory::FIXED_SIZE) {
            return Err(RegionError::NotSealed.into());
        }
        // From here on the size can't change.
        let size = memory::size(fd.as_fd())?;
        let len = usize::try_from(size).map_err(|_| RegionError::Size)?;
        if len < HEADER_SIZE {
            return Err(RegionError::Foreign.into());
        }
        let namespace = if self.thread_ids { Some(namespace::own()?) } else { None };
        let region = self.map(fd, len)?;
        let wanted = Facts { size, kind: self.kind, layout: self.layout, namespace };
        // SAFETY: the mapping is at least a header long and outlives the reference.
        unsafe { Header::of(region.map.as_mut_ptr()) }.check(&wanted)?;
        Ok(region)
    }

    /// [Opens](RegionOptions::open) the region behind a ticket of [`Region::give`], in an implementation of
    /// `Deserialize`.
    ///
    /// # Errors
    ///
    /// As [`open`](RegionOptions::open) and [`transfer::take`](proc_core::transfer::take).
    pub fn take(&self, ticket: u32) -> io::Result<Region> {
        self.open(proc_core::transfer::take(ticket)?)
    }

    fn map(&self, fd: OwnedFd, size: usize) -> io::Result<Region> {
        let map = memory::map(fd.as_fd(), size)?;
        if !self.inherited {
            memory::keep_from_children(&map)?;
        }
        Ok(Region {
            fd: LocalFd::new(fd),
            map: ManuallyDrop::new(map),
            inherited: self.inherited,
            kept: false,
        })
    }
}
