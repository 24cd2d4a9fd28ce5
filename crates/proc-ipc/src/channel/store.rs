//! The memory of a channel, mapped.

use std::{io, os::fd::OwnedFd, ptr::NonNull};

use proc_core::inherit::NotInherited;
use proc_shm::region::{Region, RegionOptions};

use super::layout::{Header, LEAST_SEGMENTS, MOST_SEGMENTS, Offsets, PAGE, SEGMENT, STEP};
use crate::{
    copy,
    sync::{AtomicU32, AtomicU64, Relaxed},
    sys::{cpus, memory},
};

const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"chan")).layout(1).holds_locks();

/// The mapping, and where things are in it. All access is by atomics and [`copy`].
#[derive(Debug)]
pub(super) struct Store {
    region: Region,
    header: NonNull<Header>,
    map: NonNull<AtomicU32>,
    facts: NonNull<AtomicU32>,
    data: NonNull<u8>,
    segments: usize,
}

// SAFETY: the pointers are into `region`, which belongs to no thread.
unsafe impl Send for Store {}
// SAFETY: as for `Send`.
unsafe impl Sync for Store {}

impl Store {
    /// A fresh one, as large as the limits of the process allow. Its memory is addresses until messages come.
    pub(super) fn new() -> io::Result<Store> {
        let mut segments = MOST_SEGMENTS;
        loop {
            let offsets = Offsets::of(segments);
            match OPTIONS.create_sparse(offsets.end, offsets.map) {
                Ok(region) => return Ok(Store::at(region, segments)),
                Err(e) if segments == LEAST_SEGMENTS => return Err(e),
                Err(_) => segments /= 2,
            }
        }
    }

    /// One that came from another process.
    pub(super) fn open(fd: OwnedFd, segments: usize) -> io::Result<Store> {
        let region = OPTIONS.open(fd)?;
        let sound = segments.is_power_of_two() && (LEAST_SEGMENTS..=MOST_SEGMENTS).contains(&segments);
        if !sound || region.len() != Offsets::of(segments).end {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory of the channel has another size",
            ));
        }
        Ok(Store::at(region, segments))
    }

    fn at(region: Region, segments: usize) -> Store {
        let offsets = Offsets::of(segments);
        let start = region.as_ptr();
        debug_assert!(offsets.end <= region.len());
        memory::keep_out_of_dumps(&region);
        // SAFETY: all lie within the region, whose length was checked.
        let (map, facts, data) =
            unsafe { (start.add(offsets.map), start.add(offsets.facts), start.add(offsets.data)) };
        Store { header: start.cast(), map: map.cast(), facts: facts.cast(), data, segments, region }
    }

    /// # Errors
    ///
    /// This is a forked child of the process that has the memory.
    #[inline]
    pub(super) fn check(&self) -> Result<(), NotInherited> {
        self.region.lineage().check()
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    #[inline]
    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    /// What a channel may be bounded to: a segment that is begun at either end may hold next to nothing.
    pub(super) fn most_bytes(&self) -> u64 {
        (self.segments as u64 - 2) * SEGMENT
    }

    /// To be used after [`check`](Store::check) only.
    #[inline]
    pub(super) fn header(&self) -> &Header {
        debug_assert!(self.check().is_ok());
        // SAFETY: mapped while `region` lives, aligned, nothing but atomics, for which any bytes are valid; all
        // processes reach it by atomics only.
        unsafe { self.header.as_ref() }
    }

    /// The entry of the segment map for a sequence number: a physical segment.
    #[inline]
    pub(super) fn map(&self, sequence: u64) -> &AtomicU32 {
        // SAFETY: the index is below the number of segments, for each of which there is an entry.
        unsafe { self.map.add(sequence as usize % self.segments).as_ref() }
    }

    /// How many steps of a physical segment have pages. `segment` is below [`segments`](Store::segments).
    #[inline]
    fn facts(&self, segment: usize) -> &AtomicU32 {
        assert!(segment < self.segments);
        // SAFETY: as in `map`, and asserted.
        unsafe { self.facts.add(segment).as_ref() }
    }

    /// Whether so many bytes at `offset` of a physical segment, which may go on into the following ones, are within the
    /// memory. The end of a segment is an offset too: the body of an empty message may be there.
    #[inline]
    pub(super) fn contains(&self, segment: u32, offset: u64, len: u64) -> bool {
        (segment as usize) < self.segments
            && offset <= SEGMENT
            && len <= self.segments as u64 * SEGMENT
            && u64::from(segment) * SEGMENT + offset + len <= self.segments as u64 * SEGMENT
    }

    /// A pointer to bytes that [are contained](Store::contains).
    #[inline]
    fn bytes(&self, segment: u32, offset: u64, len: u64) -> *mut u8 {
        assert!(self.contains(segment, offset, len));
        // SAFETY: asserted, so it is in the memory, or at its end.
        unsafe { self.data.add((u64::from(segment) * SEGMENT + offset) as usize).as_ptr() }
    }

    #[inline]
    pub(super) fn word(&self, segment: u32, offset: u64) -> &AtomicU64 {
        debug_assert_eq!(offset % 8, 0);
        // SAFETY: eight bytes within the memory, aligned as segments and offsets are; reached by atomics and `copy`.
        unsafe { &*self.bytes(segment, offset, 8).cast() }
    }

    #[inline]
    pub(super) fn write(&self, segment: u32, offset: u64, bytes: &[u8]) {
        let to = self.bytes(segment, offset, bytes.len() as u64);
        // SAFETY: `bytes` checked the range.
        unsafe { copy::to_shared(bytes, to, copy::is_long(bytes.len()) && cpus::several()) };
    }

    /// Replaces the content of `to`, which has room, by `len` bytes.
    #[inline]
    pub(super) fn read(&self, segment: u32, offset: u64, len: usize, to: &mut Vec<u8>) {
        to.clear();
        assert!(to.capacity() >= len);
        let from = self.bytes(segment, offset, len as u64);
        // SAFETY: `bytes` checked the range, the assertion the room; the copy initialises what `set_len` admits.
        unsafe {
            copy::from_shared(from, to.as_mut_ptr(), len);
            to.set_len(len);
        }
    }

    /// Sees to it that the first `end` bytes from the start of a physical segment, which may go on into the following
    /// ones, have pages. Under the senders' section.
    #[inline]
    pub(super) fn back(&self, segment: u32, end: u64) -> io::Result<()> {
        if end <= SEGMENT && u64::from(self.facts(segment as usize).load(Relaxed)) * STEP >= end {
            return Ok(());
        }
        self.back_slowly(segment as usize, end)
    }

    #[cold]
    fn back_slowly(&self, first: usize, end: u64) -> io::Result<()> {
        let offsets = Offsets::of(self.segments);
        let high_water = &self.header().send.high_water;
        let mut left = end;
        for segment in first..self.segments {
            let facts = self.facts(segment);
            let want = left.min(SEGMENT).next_multiple_of(STEP);
            let have = (u64::from(facts.load(Relaxed)) * STEP).min(SEGMENT);
            if have < want {
                let at = offsets.data + segment * SEGMENT as usize + have as usize;
                high_water.fetch_max(segment as u64 + 1, Relaxed);
                self.region.allocate(at, (want - have) as usize)?;
                facts.store((want / STEP) as u32, Relaxed);
            }
            left = left.saturating_sub(SEGMENT);
            if left == 0 {
                return Ok(());
            }
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// Sees to it that the tables' entries for these segments have pages. Under the senders' section.
    pub(super) fn back_tables(&self, last_sequence: u64, last_segment: usize) -> io::Result<()> {
        let offsets = Offsets::of(self.segments);
        let send = &self.header().send;
        for (table, done, last) in [
            (offsets.map, &send.mapped, last_sequence as usize % self.segments),
            (offsets.facts, &send.known, last_segment),
        ] {
            let have = done.load(Relaxed) as usize;
            let want = ((last + 1) * 4).next_multiple_of(PAGE).min(self.segments * 4);
            if have < want {
                self.region.allocate(table + have, want - have)?;
                done.store(want as u64, Relaxed);
            }
        }
        Ok(())
    }

    /// Gives the pages of a physical segment that holds nothing back to the system. Under the senders' section.
    pub(super) fn punch(&self, segment: usize) {
        // First the fact: whoever dies between leaves pages that are merely not known.
        self.facts(segment).store(0, Relaxed);
        let at = Offsets::of(self.segments).data + segment * SEGMENT as usize;
        let _ = self.region.punch(at, SEGMENT as usize);
    }
}
