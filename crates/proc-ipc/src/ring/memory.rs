//! The memory of one or two rings.

use std::{
    io,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU64 as PlainAtomicU64, Ordering::Relaxed},
    },
};

use proc_core::inherit::NotInherited;
use proc_shm::region::{Region, RegionOptions};

use super::header::Header;
use crate::{copy, sys::memory};

const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"ring")).layout(1);

/// A page for each header: its size is a fact of the layout, whatever the machine's pages are.
const HEADER: usize = 4096;

/// Smallest and largest capacity.
pub(super) const MIN: usize = 4096;
pub(super) const MAX: usize = 1 << 30;

/// Pages are allocated in steps of this many bytes: an idle ring has none but its header's.
const STEP: u64 = 16 * 1024;

/// The memory of a pair of rings, or of a single one (whose second capacity is 0): the headers, then the bytes.
#[derive(Debug)]
pub(super) struct Memory {
    region: Region,
    capacities: [usize; 2],
}

impl Memory {
    pub(super) fn new(capacities: [usize; 2]) -> io::Result<Arc<Memory>> {
        let region = OPTIONS.create_sparse(size(capacities)?, 2 * HEADER)?;
        memory::keep_out_of_dumps(&region);
        Ok(Arc::new(Memory { region, capacities }))
    }

    /// Memory that came from another process.
    pub(super) fn open(file: std::os::fd::OwnedFd, capacities: [usize; 2]) -> io::Result<Arc<Memory>> {
        let size = size(capacities)?;
        let region = OPTIONS.open(file)?;
        if region.len() != size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory of the ring has another size",
            ));
        }
        memory::keep_out_of_dumps(&region);
        Ok(Arc::new(Memory { region, capacities }))
    }

    pub(super) fn capacities(&self) -> [usize; 2] {
        self.capacities
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }
}

/// The size of the file. It also checks the capacities, which may come from another process.
fn size(capacities: [usize; 2]) -> io::Result<usize> {
    let [first, second] = capacities;
    let sound = |c: usize| c.is_power_of_two() && (MIN..=MAX).contains(&c);
    if !sound(first) || (second != 0 && !sound(second)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the capacity of a ring is a power of two from 4 KiB to 1 GiB",
        ));
    }
    Ok(2 * HEADER + first + second)
}

/// One ring in its memory.
#[derive(Debug)]
pub(super) struct View {
    memory: Arc<Memory>,
    header: NonNull<Header>,
    data: NonNull<u8>,
    mask: u64,
    which: usize,
}

// SAFETY: the pointers are into `memory`, which belongs to no thread, and are used for atomics and `copy` only.
unsafe impl Send for View {}
// SAFETY: as for `Send`.
unsafe impl Sync for View {}

impl View {
    /// Ring `which`, if there is one.
    pub(super) fn new(memory: Arc<Memory>, which: usize) -> Option<View> {
        let capacity = *memory.capacities.get(which).filter(|c| **c != 0)?;
        let before = 2 * HEADER + if which == 1 { memory.capacities[0] } else { 0 };
        debug_assert!(before + capacity <= memory.region.len());
        let start = memory.region.as_ptr();
        // SAFETY: both lie within the region, whose size follows from the capacities.
        let (header, data) = unsafe { (start.add(which * HEADER).cast::<Header>(), start.add(before)) };
        Some(View { memory, header, data, mask: capacity as u64 - 1, which })
    }

    /// # Errors
    ///
    /// This is a forked child of the process that has the memory.
    #[inline]
    pub(super) fn check(&self) -> Result<(), NotInherited> {
        self.memory.region.lineage().check()
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(super) fn which(&self) -> usize {
        self.which
    }

    #[inline]
    pub(super) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// To be used after [`check`](View::check) only.
    #[inline]
    pub(super) fn header(&self) -> &Header {
        debug_assert!(self.check().is_ok());
        // SAFETY: mapped as long as `memory` lives, aligned, and nothing but atomics, for which any bytes
        // are valid; all processes reach it by atomics only.
        unsafe { self.header.as_ref() }
    }

    /// Gives the bytes from `from` to `to` (positions of the first lap) pages; the next `from`.
    #[cold]
    pub(super) fn allocate(&self, from: u64, to: u64) -> io::Result<u64> {
        let to = to.next_multiple_of(STEP).min(self.capacity());
        let data = self.data.as_ptr().addr() - self.memory.region.as_ptr().as_ptr().addr();
        self.memory.region.allocate(data + from as usize, (to - from) as usize)?;
        Ok(to)
    }

    /// Stores a word at `position`, a multiple of eight.
    #[inline]
    pub(super) fn write_word(&self, position: u64, word: u64) {
        self.word(position).store(word, Relaxed);
    }

    #[inline]
    pub(super) fn read_word(&self, position: u64) -> u64 {
        self.word(position).load(Relaxed)
    }

    #[inline]
    fn word(&self, position: u64) -> &PlainAtomicU64 {
        debug_assert_eq!(position % 8, 0);
        // SAFETY: the offset is below the capacity, which is a multiple of eight, as is the position; so a word at it
        // is within the data and aligned. All processes reach it by atomics and `copy` only.
        unsafe { self.data.add((position & self.mask) as usize).cast().as_ref() }
    }

    /// Copies `bytes` to `position`, around the end if need be. `far`: the reader may be on another CPU.
    #[inline]
    pub(super) fn write(&self, position: u64, bytes: &[u8], far: bool) {
        debug_assert!(bytes.len() as u64 <= self.capacity());
        let offset = (position & self.mask) as usize;
        let room = (self.mask as usize + 1) - offset;
        // SAFETY: `offset + room` is the capacity; the rest, which is shorter than the capacity, starts at 0.
        unsafe {
            if bytes.len() <= room {
                copy::to_shared(bytes, self.data.add(offset).as_ptr(), far);
            } else {
                let (first, second) = bytes.split_at(room);
                copy::to_shared(first, self.data.add(offset).as_ptr(), far);
                copy::to_shared(second, self.data.as_ptr(), far);
            }
        }
    }

    /// Appends the `len` bytes at `position`, around the end if need be, to `to`, which has room for them.
    #[inline]
    pub(super) fn read(&self, position: u64, len: usize, to: &mut Vec<u8>) {
        assert!(len as u64 <= self.capacity() && to.capacity() - to.len() >= len, "lengths were checked");
        let offset = (position & self.mask) as usize;
        let first = len.min(self.mask as usize + 1 - offset);
        // SAFETY: as in `write`; there is room for `len` bytes behind those of `to`, which are initialised after.
        unsafe {
            let end = to.as_mut_ptr().add(to.len());
            copy::from_shared(self.data.add(offset).as_ptr(), end, first);
            if first < len {
                copy::from_shared(self.data.as_ptr(), end.add(first), len - first);
            }
            to.set_len(to.len() + len);
        }
    }
}
