//! What lies where in the memory of a channel.

use crossbeam_utils::CachePadded;
use proc_shm::raw::Section;

use crate::sync::{AtomicU32, AtomicU64};

/// Bytes of a segment. A message that does not fit into the rest of one starts the next; one longer than a segment has
/// several that lie one after the other.
pub(super) const SEGMENT: u64 = 256 * 1024;

/// Pages are allocated in steps of this many bytes: a fresh channel has none for messages.
pub(super) const STEP: u64 = 32 * 1024;

/// Positions count units of this many bytes.
pub(super) const UNIT: u64 = 16;

/// Bytes of a record's head: `len | kind << 56`, then `fds | ticket << 24`.
pub(super) const HEAD: u64 = 16;

pub(super) const DATA: u64 = 1;
/// The rest of the segment is empty.
pub(super) const PAD: u64 = 2;
pub(super) const KIND_SHIFT: u32 = 56;
pub(super) const MAX_FDS: u64 = (1 << 24) - 1;
pub(super) const TICKET: u64 = (1 << 40) - 1;

/// Segments of the largest channel: 16 GiB of addresses. Memory is only what messages are in.
pub(super) const MOST_SEGMENTS: usize = 1 << 16;
pub(super) const LEAST_SEGMENTS: usize = 1 << 6;

/// At the start of the memory.
///
/// | word | meaning | changed by |
/// |---|---|---|
/// | `tail` | messages sent and the position behind the last | a sender, under `send.section`: the commit |
/// | `head` | messages received and the position of the next | a receiver, under `recv.section`: the release |
/// | `send.readers_sleep` | 1: ring before the next commit | 1 by a receiver that is about to sleep; 0 by a sender that rang; both under `send.section` |
/// | `recv.writers_sleep` | not 0: ring before the release that makes so many bytes free | a sender that is about to sleep; a receiver that rang; both under `recv.section` |
/// | `rare.senders`, `rare.receivers` | processes with such an end, and ends on their way; a killed one is never subtracted | [`Ends`](super::ends) |
/// | `rare.closed` | [`OPEN`] | |
/// | | [`CLOSING`]: senders don't wait any more, and the next of them closes | `close`, under `recv.section` |
/// | | [`CLOSED`]: nothing is sent any more | `close`, or a sender, under `send.section` |
/// | `rare.done` | messages that `task_done` was called for | anybody |
/// | `rare.joiners` | a futex word, changed when `done` reaches `tail` | who calls the last `task_done` |
///
/// What else is in a side's line is for that side alone, under its section. Whoever dies in a section leaves nothing to be
/// mended: what it wrote beyond `tail`, or took at `head`, counts only by the one store of that word.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) send: CachePadded<SendSide>,
    pub(super) tail: CachePadded<AtomicU64>,
    pub(super) recv: CachePadded<RecvSide>,
    pub(super) head: CachePadded<AtomicU64>,
    pub(super) rare: CachePadded<Rare>,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct SendSide {
    pub(super) section: Section,
    pub(super) readers_sleep: AtomicU32,
    /// The head as it was last seen: the receivers are there or further.
    pub(super) head_seen: AtomicU64,
    /// Of the last message with descriptors.
    pub(super) ticket: AtomicU64,
    /// All descriptors up to this ticket were taken off the side socket.
    pub(super) clean_ticket: AtomicU64,
    /// Entries of the segment map that have pages.
    pub(super) mapped: AtomicU64,
    /// Physical segments whose facts have pages.
    pub(super) known: AtomicU64,
    /// No physical segment from here on has pages.
    pub(super) high_water: AtomicU64,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct RecvSide {
    pub(super) section: Section,
    pub(super) writers_sleep: AtomicU32,
    /// The smallest use, in bytes, that all sleeping writers would find room at.
    pub(super) wanted_use: AtomicU64,
    /// The tail as it was last seen: all before it is there.
    pub(super) tail_seen: AtomicU64,
}

pub(super) const OPEN: u32 = 0;
pub(super) const CLOSING: u32 = 1;
pub(super) const CLOSED: u32 = 2;

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) senders: AtomicU32,
    pub(super) receivers: AtomicU32,
    pub(super) closed: AtomicU32,
    pub(super) joiners: AtomicU32,
    pub(super) done: AtomicU64,
}

/// A word that commits a number of messages and a position by one store: `count:28 | position:36`, both modular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u64);

const POSITION_BITS: u32 = 36;
const POSITION: u64 = (1 << POSITION_BITS) - 1;
pub(super) const COUNT: u64 = (1 << (64 - POSITION_BITS)) - 1;

/// Positions come round after so many segments.
pub(super) const SEQUENCES: u64 = ((POSITION + 1) * UNIT) / SEGMENT;

impl Place {
    pub(super) fn count(self) -> u64 {
        self.0 >> POSITION_BITS
    }

    pub(super) fn position(self) -> u64 {
        self.0 & POSITION
    }

    /// Which segment of the endless row it is in.
    pub(super) fn sequence(self) -> u64 {
        self.position() * UNIT / SEGMENT
    }

    /// Bytes from the start of its segment.
    pub(super) fn offset(self) -> u64 {
        self.position() * UNIT % SEGMENT
    }

    /// So many messages and units further.
    pub(super) fn plus(self, messages: u64, units: u64) -> Place {
        Place(self.count().wrapping_add(messages) << POSITION_BITS | (self.position() + units) & POSITION)
    }

    /// Units from `earlier` to here.
    pub(super) fn units_from(self, earlier: Place) -> u64 {
        self.0.wrapping_sub(earlier.0) & POSITION
    }

    /// Messages from `earlier` to here.
    pub(super) fn messages_from(self, earlier: Place) -> u64 {
        self.count().wrapping_sub(earlier.count()) & COUNT
    }
}

/// Units of a record with `len` bytes.
pub(super) fn units(len: u64) -> u64 {
    HEAD.saturating_add(len).div_ceil(UNIT)
}

/// Where things start, for `segments` of them; and the bytes of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    pub(super) map: usize,
    pub(super) facts: usize,
    pub(super) data: usize,
    pub(super) end: usize,
}

pub(super) const PAGE: usize = 4096;

impl Offsets {
    pub(super) fn of(segments: usize) -> Offsets {
        // A region starts behind its own header, so these are pages in the file.
        let map = PAGE - proc_shm::region::HEADER_SIZE;
        let table = (segments * 4).next_multiple_of(PAGE);
        let facts = map + table;
        let data = facts + table;
        Offsets { map, facts, data, end: data + segments * SEGMENT as usize }
    }
}

const _: () = assert!(size_of::<Header>() + proc_shm::region::HEADER_SIZE <= PAGE);
