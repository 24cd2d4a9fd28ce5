//! Sending and receiving under the two sections.

use std::{
    io,
    time::{Duration, Instant},
};

use proc_shm::raw::{Section, SectionGuard};

use super::layout::{
    CLOSED, CLOSING, DATA, HEAD, Header, KIND_SHIFT, MAX_FDS, OPEN, PAD, Place, SEGMENT, SEQUENCES, TICKET,
    UNIT, units,
};
use super::store::Store;
use crate::{
    sync::{Acquire, Relaxed, Release},
    typed::Until,
};

/// What bounds a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Limits {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) store: Store,
    pub(super) limits: Limits,
}

/// Why nothing was sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// No room; or the section was not free in time.
    Full,
    TooLong,
    Closed,
    /// The socket for descriptors is full.
    SideFull,
    /// The receivers are gone.
    Gone,
    Corrupted,
    Io(io::Error),
}

/// The descriptors of a message, off the side socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collected {
    All,
    /// There are others before them, which the caller has no room for.
    Behind,
    /// The table of this process is full.
    Cut,
    /// They are not there: a receiver took them and was killed before it had taken the message, which is the dead one's.
    Gone,
}

/// Why nothing was received.
#[derive(Debug)]
pub(super) enum Unreceived {
    Empty,
    /// The section was not free in time.
    Busy,
    /// The buffers need room for so many bytes and descriptors: to be made outside of the section.
    Buffers(usize, usize),
    Corrupted,
    /// The message was taken, and some of its descriptors could not be.
    Fds,
    /// The message was taken, and this process has no memory for it.
    Memory,
    /// Descriptors that belong to no message were taken: they are to be closed outside of the section, as that may last.
    Orphans,
}

/// Segments that stay in memory although no message is in them.
const KEPT: u64 = 64;

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Unsent {
        Unsent::Io(error)
    }
}

/// Enters, at once if it is free, else by the time that is given, which is at least a moment: the section is held for
/// moments, and a caller that may not wait must not be told that a channel is empty because somebody is in it.
#[inline]
fn enter(section: &Section, until: Until) -> Option<SectionGuard<'_>> {
    section.try_lock().or_else(|| enter_slowly(section, until))
}

#[cold]
fn enter_slowly(section: &Section, until: Until) -> Option<SectionGuard<'_>> {
    let moment = Instant::now() + Duration::from_millis(20);
    section.lock_deadline(match until {
        Until::Now => Some(moment),
        Until::Time(deadline) => deadline.map(|t| t.max(moment)),
    })
}

impl Core {
    /// Whether room depends on the lengths of messages.
    pub(super) fn bounds_bytes(&self) -> bool {
        let (tail, head) = self.places();
        self.limits.bytes < self.store.most_bytes() || tail.messages_from(head) < self.limits.messages
    }

    /// A look at how full it is, which may be outdated when it returns.
    #[inline]
    pub(super) fn places(&self) -> (Place, Place) {
        let header = self.store.header();
        let head = Place(header.head.load(Acquire));
        (Place(header.tail.load(Acquire)), head)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let (tail, head) = self.places();
        tail == head
    }

    pub(super) fn has_room(&self, len: u64) -> bool {
        let (tail, head) = self.places();
        self.fits(tail, head, units(len))
    }

    /// An empty channel takes any message, however few bytes it is bounded to.
    #[inline]
    fn fits(&self, tail: Place, head: Place, need: u64) -> bool {
        let used = tail.units_from(head);
        tail.messages_from(head) < self.limits.messages
            && (used == 0 || (used + need) * UNIT <= self.limits.bytes)
    }

    /// Sends one message. Under the section, `announce` sends descriptors with the ticket it is given, and `ring` rings.
    #[inline]
    pub(super) fn push(
        &self,
        bytes: &[u8],
        fds: usize,
        until: Until,
        announce: impl FnOnce(u64) -> Result<(), Unsent>,
        ring: impl FnOnce() -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        let header = self.store.header();
        let _section = enter(&header.send.section, until).ok_or(Unsent::Full)?;
        if header.rare.closed.load(Relaxed) != OPEN {
            return Err(self.refuse(header, ring));
        }
        let need = units(bytes.len() as u64);
        let tail = Place(header.tail.load(Relaxed));
        let mut head = Place(header.send.head_seen.load(Relaxed));
        if !self.fits(tail, head, need) {
            head = self.look_at_head(header);
            if !self.fits(tail, head, need) {
                return Err(Unsent::Full);
            }
        }
        let mut at = tail;
        let offset = tail.offset();
        if offset == 0 || offset + need * UNIT > SEGMENT {
            at = self.enter_segments(header, tail, need)?;
        }
        let segment = self.store.map(at.sequence()).load(Relaxed);
        if !self.store.contains(segment, at.offset(), need * UNIT) {
            return Err(Unsent::Corrupted);
        }
        self.store.back(segment, at.offset() + need * UNIT)?;
        let mut about_fds = 0;
        if fds != 0 {
            let ticket = header.send.ticket.load(Relaxed).wrapping_add(1) & TICKET;
            header.send.ticket.store(ticket, Relaxed);
            announce(ticket)?;
            about_fds = fds as u64 | ticket << 24;
        }
        let start = at.offset();
        self.store.word(segment, start).store(bytes.len() as u64 | DATA << KIND_SHIFT, Relaxed);
        self.store.word(segment, start + 8).store(about_fds, Relaxed);
        self.store.write(segment, start + HEAD, bytes);
        // First the bell, then the commit: a sender that is killed between them has woken somebody for nothing. The
        // other way round the message would be there and nobody awake.
        if header.send.readers_sleep.load(Relaxed) != 0 {
            ring()?;
            header.send.readers_sleep.store(0, Relaxed);
        }
        header.tail.store(at.plus(1, need).0, Release);
        Ok(())
    }

    /// In the senders' section: ends what a killed process began to [close](Core::close).
    #[cold]
    fn refuse(&self, header: &Header, ring: impl FnOnce() -> Result<(), Unsent>) -> Unsent {
        if header.rare.closed.load(Relaxed) == CLOSING {
            // Nobody to ring is nobody to tell.
            let _ = ring();
            header.rare.closed.store(CLOSED, Release);
        }
        Unsent::Closed
    }

    fn look_at_head(&self, header: &Header) -> Place {
        let head = Place(header.head.load(Acquire));
        header.send.head_seen.store(head.0, Relaxed);
        head
    }

    /// Takes free segments for a record that does not go into the present one; where it goes.
    #[cold]
    fn enter_segments(&self, header: &Header, tail: Place, need: u64) -> Result<Place, Unsent> {
        let head = self.look_at_head(header);
        let used = tail.units_from(head) * UNIT;
        let all = self.store.segments() as u64;
        let wanted = (need * UNIT).div_ceil(SEGMENT);
        if wanted > all - 2 {
            return Err(Unsent::TooLong);
        }
        if used > all * SEGMENT {
            return Err(Unsent::Corrupted);
        }
        if used.div_ceil(SEGMENT) + 2 + wanted > all {
            return Err(Unsent::Full);
        }
        let offset = tail.offset();
        let first = if offset == 0 { tail.sequence() } else { (tail.sequence() + 1) % SEQUENCES };
        let found = self.find_free(head, tail, wanted).ok_or(Unsent::Full)?;
        let last = (first + wanted - 1) % SEQUENCES;
        self.store
            .back_tables(if last < first { SEQUENCES - 1 } else { last }, found + wanted as usize - 1)?;
        if last % all < first % all {
            // The map comes round to its start within these: all of its entries are in use by now.
            self.store.back_tables(all - 1, found + wanted as usize - 1)?;
        }
        for i in 0..wanted {
            self.store.map((first + i) % SEQUENCES).store((found as u64 + i) as u32, Relaxed);
        }
        if offset == 0 {
            return Ok(tail);
        }
        let segment = self.store.map(tail.sequence()).load(Relaxed);
        let rest = SEGMENT - offset;
        if !self.store.contains(segment, offset, rest) {
            return Err(Unsent::Corrupted);
        }
        self.store.back(segment, offset + HEAD)?;
        self.store.word(segment, offset).store((rest - HEAD) | PAD << KIND_SHIFT, Relaxed);
        Ok(tail.plus(0, rest / UNIT))
    }

    /// The first of `wanted` physical segments in a row that hold nothing: the lowest, which are the ones in the cache.
    /// On the way it gives memory back that a backlog has left behind.
    fn find_free(&self, head: Place, tail: Place, wanted: u64) -> Option<usize> {
        let all = self.store.segments();
        let mut taken = [0_u64; super::layout::MOST_SEGMENTS / 64];
        let mut sequence = head.sequence();
        let end = if tail.offset() == 0 { tail.sequence() } else { (tail.sequence() + 1) % SEQUENCES };
        let mut count = 0;
        while sequence != end && count <= all {
            let segment = self.store.map(sequence).load(Relaxed) as usize % all;
            taken[segment / 64] |= 1 << (segment % 64);
            sequence = (sequence + 1) % SEQUENCES;
            count += 1;
        }
        let is_taken = |segment: usize| taken[segment / 64] >> (segment % 64) & 1 == 1;
        let mut run = 0;
        let found = (0..all).find_map(|segment| {
            run = if is_taken(segment) { 0 } else { run + 1 };
            (run == wanted).then(|| segment + 1 - wanted as usize)
        })?;
        let high_water = &self.store.header().send.high_water;
        for _ in 0..8 {
            let top = high_water.load(Relaxed).min(all as u64);
            let kept = (found as u64 + wanted).max(count as u64 * 2 + KEPT);
            if top <= kept || is_taken(top as usize - 1) {
                break;
            }
            self.store.punch(top as usize - 1);
            high_water.store(top - 1, Relaxed);
        }
        Some(found)
    }

    /// Receives one message into `bytes`, which it does not let grow, for as many descriptors as `fds`. If it is to `skip`,
    /// a message that needs more is taken and lost. Under the section, `collect` gets the ticket and number of the
    /// message's descriptors, and `ring` rings.
    #[inline]
    pub(super) fn pop(
        &self,
        bytes: &mut Vec<u8>,
        fds: usize,
        skip: bool,
        until: Until,
        mut collect: impl FnMut(u64, usize) -> Collected,
        ring: impl Fn(),
    ) -> Result<(), Unreceived> {
        let header = self.store.header();
        let _section = enter(&header.recv.section, until).ok_or(Unreceived::Busy)?;
        let mut head = Place(header.head.load(Relaxed));
        let capacity = self.store.segments() as u64 * SEGMENT;
        loop {
            let mut tail = Place(header.recv.tail_seen.load(Relaxed));
            let mut there = tail.units_from(head) * UNIT;
            if there == 0 || there > capacity {
                tail = Place(header.tail.load(Acquire));
                header.recv.tail_seen.store(tail.0, Relaxed);
                there = tail.units_from(head) * UNIT;
            }
            if there == 0 {
                return Err(Unreceived::Empty);
            }
            let segment = self.store.map(head.sequence()).load(Relaxed);
            let offset = head.offset();
            if there > capacity || !self.store.contains(segment, offset, HEAD) {
                return Err(Unreceived::Corrupted);
            }
            let word = self.store.word(segment, offset).load(Relaxed);
            let (kind, len) = (word >> KIND_SHIFT, word & ((1 << KIND_SHIFT) - 1));
            let size = units(len) * UNIT;
            // Only what starts a segment goes on behind its end.
            let in_one = offset == 0 || offset + size <= SEGMENT;
            if size > there || !in_one || !self.store.contains(segment, offset, size) {
                return Err(Unreceived::Corrupted);
            }
            match kind {
                PAD if offset + size == SEGMENT => {
                    head = head.plus(0, size / UNIT);
                    continue;
                }
                DATA => {}
                _ => return Err(Unreceived::Corrupted),
            }
            let about_fds = self.store.word(segment, offset + 8).load(Relaxed);
            let (count, ticket) = ((about_fds & MAX_FDS) as usize, about_fds >> 24);
            let fits = len as usize <= bytes.capacity() && count <= fds;
            if !fits && !skip {
                return Err(Unreceived::Buffers(len as usize, count));
            }
            // The descriptors of one that is passed over are closed when others are looked for.
            let collected = if count == 0 || !fits { Collected::All } else { collect(ticket, count) };
            if collected == Collected::Behind {
                return Err(Unreceived::Orphans);
            }
            if fits {
                self.store.read(segment, offset + HEAD, len as usize, bytes);
            }
            let next = head.plus(1, size / UNIT);
            if header.recv.writers_sleep.load(Relaxed) != 0 {
                let tail = Place(header.tail.load(Acquire));
                let left = tail.units_from(next) * UNIT;
                if left <= header.recv.wanted_use.load(Relaxed) || left == 0 {
                    ring();
                    header.recv.writers_sleep.store(0, Relaxed);
                }
            }
            header.head.store(next.0, Release);
            return match collected {
                _ if !fits => Err(Unreceived::Memory),
                Collected::All => Ok(()),
                Collected::Cut => Err(Unreceived::Fds),
                Collected::Behind | Collected::Gone => Err(Unreceived::Orphans),
            };
        }
    }

    /// Before a receiver sleeps: true if the channel is empty and the next sender will ring. `drain` empties the bell,
    /// and, told so, first the side socket, in which there are only descriptors of messages that were never committed;
    /// false if it did not.
    pub(super) fn arm_reader(&self, until: Until, drain: impl FnOnce(bool) -> bool) -> bool {
        let header = self.store.header();
        // In the senders' section, so that none of them is between its look at the flag and its commit.
        let Some(_section) = enter(&header.send.section, until) else { return false };
        if !self.is_empty() || header.rare.closed.load(Relaxed) == CLOSED {
            return false;
        }
        header.send.readers_sleep.store(1, Relaxed);
        let ticket = header.send.ticket.load(Relaxed);
        let orphans = header.send.clean_ticket.load(Relaxed) != ticket;
        if !drain(orphans) {
            return false;
        }
        header.send.clean_ticket.store(ticket, Relaxed);
        true
    }

    /// Before a sender sleeps: true if there is no room for `len` bytes, and the receiver that makes it will ring.
    pub(super) fn arm_writer(&self, len: u64, until: Until, drain: impl FnOnce() -> bool) -> bool {
        let header = self.store.header();
        let Some(_section) = enter(&header.recv.section, until) else { return false };
        let (tail, head) = self.places();
        let need = units(len);
        if self.fits(tail, head, need) || header.rare.closed.load(Relaxed) != OPEN {
            return false;
        }
        // One that is bounded by its messages has room after the next release, whatever that frees.
        let room = if tail.messages_from(head) >= self.limits.messages {
            u64::MAX
        } else {
            self.limits.bytes.saturating_sub(need * UNIT)
        };
        let others_sleep = header.recv.writers_sleep.load(Relaxed) != 0;
        let others = header.recv.wanted_use.load(Relaxed);
        header.recv.wanted_use.store(room.max(others), Relaxed);
        header.recv.writers_sleep.store(1, Relaxed);
        // A byte that was taken off was for somebody who has not looked yet and may want less room: what they want counts
        // on. Too much is never wrong, only a bell too many.
        if !drain() && !others_sleep {
            header.recv.wanted_use.store(room, Relaxed);
        }
        true
    }

    /// Nothing is sent from now on.
    ///
    /// In each side's own section its sleepers are rung before the word that they look at changes: who arms itself before
    /// is rung, who does after sees the word. If the caller is killed between the two, the next sender ends it.
    pub(super) fn close(&self, ring_writers: impl FnOnce(), ring_readers: impl FnOnce()) {
        let Header { send, recv, rare, .. } = self.store.header();
        {
            let _section = recv.section.lock();
            if rare.closed.load(Relaxed) == OPEN {
                ring_writers();
                rare.closed.store(CLOSING, Relaxed);
            }
        }
        let _section = send.section.lock();
        if rare.closed.load(Relaxed) == CLOSING {
            ring_readers();
            rare.closed.store(CLOSED, Release);
        }
    }

    /// Whether nothing more is sent: what is there by now is all.
    pub(super) fn is_closed(&self) -> bool {
        self.store.header().rare.closed.load(Acquire) == CLOSED
    }

    /// Whether a sender has nothing to wait for.
    pub(super) fn refuses(&self) -> bool {
        self.store.header().rare.closed.load(Relaxed) != OPEN
    }
}
