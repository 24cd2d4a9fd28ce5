//! The sending end of a ring.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use super::{
    SendError,
    bell::{Arrived, Bell, Gone, Rung, SendFdsError},
    memory::View,
    pieces::Cursor,
    record::{FDS, HEAD, Head, Kind, TOTAL, max_body, size},
    spin::Spin,
};
use crate::{copy, given::Given, sys::cpus};

/// The sending end of a ring of byte records.
///
/// A record is made of parts that are written one after the other, and is received whole or not at all. It passes three
/// stages: [`push`](Sender::push) writes it, [`commit`](Sender::commit) makes it visible, [`notify`](Sender::notify) wakes
/// the receiver if it sleeps. [`try_send`](Sender::try_send) and [`send`](Sender::send) do all three; whoever sends many
/// saves most of the cost by doing the later ones once.
///
/// It has one socket and shares a mapping with the receiving end's process; both are closed in forked children. It
/// crosses to another process inside of a message (see [`proc_core::transfer`]); the original should then be dropped, as
/// two processes that use one end corrupt the ring, which the receiver reports.
///
/// A receiving process that was killed is noticed by one of every 256 sends, and when the ring is full; one that dropped
/// its end, at once.
#[derive(Debug)]
pub struct Sender {
    pub(super) view: View,
    pub(super) bell: Bell,
    /// Where the next record goes.
    pub(super) tail: u64,
    /// The tail that the receiver was told.
    pub(super) committed: u64,
    /// The last head that was seen: the receiver is there or further.
    pub(super) head: u64,
    /// Bytes of the first lap that have pages.
    pub(super) allocated: u64,
    /// Of the last message with descriptors.
    pub(super) ticket: u64,
    /// The pieces of a message were committed and its rest never will be: the receiver must be told.
    pub(super) owes_abandoned: bool,
    pub(super) given: Given,
    corrupted: bool,
    /// Sends since the receiver was last known to live.
    unheard: u32,
    /// Bells that are in the socket, or will be.
    stale_bells: u32,
    spin: Spin,
}

/// After so many records without a sign of the receiver one system call asks after it.
const UNHEARD: u32 = 256;

impl Sender {
    pub(super) fn new(view: View, bell: Bell) -> Sender {
        Sender {
            view,
            bell,
            tail: 0,
            committed: 0,
            head: 0,
            allocated: 0,
            ticket: 0,
            owes_abandoned: false,
            given: Given::default(),
            corrupted: false,
            unheard: 0,
            stale_bells: 0,
            spin: Spin::default(),
        }
    }

    /// Bytes of the ring. A record takes eight more than it has, rounded up to eight.
    pub fn capacity(&self) -> usize {
        self.view.capacity() as usize
    }

    /// The longest record that is not passed in pieces: a quarter of the ring less eight.
    pub fn max_whole(&self) -> usize {
        max_body(self.view.capacity()) as usize
    }

    /// Room for records now: a record of `n` bytes, up to [`max_whole`](Sender::max_whole), fits if `n + 8` rounded up to
    /// eight is no more.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send), but for `Full` and `TooLong`.
    pub fn free_space(&mut self) -> Result<usize, SendError> {
        self.check()?;
        self.look_at_head()?;
        let owed = if self.owes_abandoned { HEAD } else { 0 };
        Ok((self.view.capacity() - (self.tail - self.head)).saturating_sub(owed) as usize)
    }

    /// Sends a record, made of `parts`, if there is room for it.
    ///
    /// # Errors
    ///
    /// - `Full`, `TooLong`: there is no room now, or never all at once;
    /// - `Disconnected`: the receiving end is gone;
    /// - `Corrupted`, `NotInherited`, `Io`: see [`SendError`].
    #[inline]
    pub fn try_send(&mut self, parts: &[&[u8]]) -> Result<(), SendError> {
        self.push(parts)?;
        self.flush()
    }

    /// [`try_send`](Sender::try_send) with descriptors, which the receiver gets as duplicates.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send).
    pub fn try_send_with_fds(&mut self, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        self.stage(parts, fds, Some(Instant::now()))?;
        self.flush()
    }

    /// Sends a record of any size, waiting for room until `deadline` (`None`: for ever). What doesn't fit into a quarter
    /// of the ring passes in pieces, which the receiver puts together.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send), but that `Full` means until the deadline, and there is no `TooLong`.
    pub fn send(&mut self, parts: &[&[u8]], deadline: Option<Instant>) -> Result<(), SendError> {
        self.send_with_fds(parts, &[], deadline)
    }

    /// [`send`](Sender::send) with descriptors, which the receiver gets as duplicates.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    #[inline]
    pub fn send_with_fds(
        &mut self,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), SendError> {
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let body = total + if fds.is_empty() { 0 } else { FDS };
        if body > max_body(self.view.capacity()) {
            return self.send_in_pieces(parts, total, fds, deadline);
        }
        loop {
            match self.stage(parts, fds, deadline) {
                Ok(()) => return self.flush(),
                // It is the socket that had no room for the descriptors, until the deadline.
                Err(SendError::Full) if self.is_free(self.need(body)) => return Err(SendError::Full),
                Err(SendError::Full) => self.wait_for_room(self.need(body), deadline)?,
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes a record, made of `parts`, which the receiver sees after the next [`commit`](Sender::commit).
    ///
    /// # Errors
    ///
    /// As [`try_send`](Sender::try_send).
    #[inline]
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<(), SendError> {
        self.stage(parts, &[], None)
    }

    /// Makes all records that were pushed visible, by one store. A receiver that sleeps goes on sleeping until
    /// [`notify`](Sender::notify).
    #[inline]
    pub fn commit(&mut self) {
        if self.committed != self.tail && self.view.check().is_ok() {
            self.view.header().commit(self.tail);
            self.committed = self.tail;
        }
    }

    /// Wakes the receiver if it sleeps. Without a sleeper it costs a fence, 7 ns.
    ///
    /// # Errors
    ///
    /// - `Disconnected`: it slept, and was killed;
    /// - `NotInherited`.
    #[inline]
    pub fn notify(&mut self) -> Result<(), SendError> {
        self.view.check()?;
        if self.view.header().must_wake_reader() {
            self.bell.ring().map_err(|Gone| SendError::Disconnected)?;
        }
        Ok(())
    }

    /// [`commit`](Sender::commit), then [`notify`](Sender::notify).
    ///
    /// # Errors
    ///
    /// As [`notify`](Sender::notify).
    #[inline]
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.commit();
        self.notify()
    }

    /// Waits until a record of `len` bytes, up to [`max_whole`](Sender::max_whole), fits. Flushes first.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn wait_for(&mut self, len: usize, deadline: Option<Instant>) -> Result<(), SendError> {
        let need = self.need(len as u64);
        if need > self.view.capacity() {
            return Err(SendError::TooLong);
        }
        self.check()?;
        self.wait_for_room(need, deadline)
    }

    /// Whether the receiving end is gone: one system call, unless it was dropped.
    ///
    /// # Errors
    ///
    /// `NotInherited`.
    pub fn is_disconnected(&self) -> Result<bool, SendError> {
        self.view.check()?;
        Ok(self.view.header().receiver_closed() || self.bell.is_hung_up()?)
    }

    /// Writes a record, or several pieces, that fit now.
    #[inline]
    fn stage(
        &mut self,
        parts: &[&[u8]],
        fds: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), SendError> {
        self.check()?;
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let body = total + if fds.is_empty() { 0 } else { FDS };
        if body > max_body(self.view.capacity()) || self.owes_abandoned {
            return self.stage_slowly(parts, total, fds, deadline);
        }
        self.reserve(size(body))?;
        let mut at = self.tail + HEAD;
        if !fds.is_empty() {
            self.send_fds(fds, deadline)?;
            self.write_fds(at, fds.len());
            at += FDS;
        }
        for part in parts {
            let far = self.is_far(part.len());
            self.view.write(at, part, far);
            at += part.len() as u64;
        }
        let head = Head { kind: Kind::Whole, has_fds: !fds.is_empty(), len: body };
        self.view.write_word(self.tail, head.word());
        self.tail += size(body);
        Ok(())
    }

    /// [`stage`](Sender::stage) for what is rare: several pieces, or something to settle first.
    #[cold]
    fn stage_slowly(
        &mut self,
        parts: &[&[u8]],
        total: u64,
        fds: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), SendError> {
        let mut cursor = Cursor::new(parts, total, fds.len(), max_body(self.view.capacity()));
        let mut need = if self.owes_abandoned { HEAD } else { 0 };
        let mut sizes = cursor.clone();
        while let Some(piece) = sizes.next_piece() {
            sizes.skip(piece);
            need += size(piece.1);
            if need > self.view.capacity() {
                return Err(SendError::TooLong);
            }
        }
        self.reserve(need)?;
        self.send_fds(fds, deadline)?;
        self.settle();
        while let Some(piece) = cursor.next_piece() {
            self.write_piece(&mut cursor, piece);
        }
        Ok(())
    }

    #[cold]
    fn send_in_pieces(
        &mut self,
        parts: &[&[u8]],
        total: u64,
        fds: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), SendError> {
        self.check()?;
        let mut cursor = Cursor::new(parts, total, fds.len(), max_body(self.view.capacity()));
        let mut started = false;
        let result = loop {
            let Some((kind, body)) = cursor.next_piece() else { break Ok(()) };
            let need = self.need(body);
            match self.reserve(need) {
                Ok(()) => {}
                Err(SendError::Full) => match self.wait_for_room(need, deadline) {
                    Ok(()) => continue,
                    Err(e) => break Err(e),
                },
                Err(e) => break Err(e),
            }
            if !started {
                if let Err(e) = self.send_fds(fds, deadline) {
                    break Err(e);
                }
                self.settle();
                started = true;
            }
            self.write_piece(&mut cursor, (kind, body));
            if let Err(e) = self.flush() {
                break Err(e);
            }
        };
        self.owes_abandoned |= started && result.is_err();
        result
    }

    /// Whether the reader may be on another CPU, if that matters for so many bytes. A thread that is pinned goes by what
    /// the reader has told.
    #[inline]
    fn is_far(&mut self, len: usize) -> bool {
        let reader_is_elsewhere =
            || self.view.header().reader_cpu().is_some_and(|cpu| cpu != cpus::current());
        copy::is_long(len) && (self.spin.is_far() || reader_is_elsewhere())
    }

    /// Tells the receiver that the pieces before belong to nothing. There is room for it.
    fn settle(&mut self) {
        if self.owes_abandoned {
            let head = Head { kind: Kind::Abandoned, has_fds: false, len: 0 };
            self.view.write_word(self.tail, head.word());
            self.tail += HEAD;
            self.owes_abandoned = false;
        }
    }

    fn write_piece(&mut self, cursor: &mut Cursor<'_>, (kind, body): (Kind, u64)) {
        let has_fds = cursor.has_fds(kind);
        let mut at = self.tail + HEAD;
        if has_fds {
            self.write_fds(at, cursor.fds);
            at += FDS;
        }
        if kind == Kind::First {
            self.view.write_word(at, cursor.total);
            at += TOTAL;
        }
        let end = self.tail + HEAD + body;
        cursor.skip((kind, body));
        let len = (end - at) as usize;
        let far = self.is_far(len);
        cursor.copy(len, |bytes| {
            self.view.write(at, bytes, far);
            at += bytes.len() as u64;
        });
        self.view.write_word(self.tail, Head { kind, has_fds, len: body }.word());
        self.tail += size(body);
    }

    /// Room for a record with such a body, and what must go before it. Not a byte more: a receiver that has made just
    /// that room may be waiting for the record.
    pub(super) fn need(&self, body: u64) -> u64 {
        size(body) + if self.owes_abandoned { HEAD } else { 0 }
    }

    fn send_fds(&mut self, fds: &[BorrowedFd<'_>], deadline: Option<Instant>) -> Result<(), SendError> {
        if fds.is_empty() {
            return Ok(());
        }
        self.ticket += 1;
        match self.bell.send_fds(self.ticket, fds, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SendError::Full),
            Err(SendFdsError::Gone) => Err(SendError::Disconnected),
            Err(SendFdsError::Io(e)) => Err(e.into()),
        }
    }

    fn write_fds(&self, at: u64, count: usize) {
        self.view.write_word(at, self.ticket);
        self.view.write_word(at + 8, count as u64);
    }

    #[inline]
    fn check(&mut self) -> Result<(), SendError> {
        self.view.check()?;
        if self.view.header().receiver_closed() {
            return Err(SendError::Disconnected);
        }
        if self.corrupted {
            return Err(SendError::Corrupted);
        }
        self.given.keep();
        self.unheard += 1;
        if self.unheard >= UNHEARD {
            self.ask_after_receiver()?;
        }
        Ok(())
    }

    #[cold]
    fn ask_after_receiver(&mut self) -> Result<(), SendError> {
        self.unheard = 0;
        if self.bell.is_hung_up()? { Err(SendError::Disconnected) } else { Ok(()) }
    }

    /// Sees to it that `need` bytes at the tail are free and have pages.
    #[inline]
    fn reserve(&mut self, need: u64) -> Result<(), SendError> {
        if !self.is_free(need) {
            self.look_at_head()?;
            if !self.is_free(need) {
                return Err(SendError::Full);
            }
        }
        let end = self.tail + need;
        if end > self.allocated && self.allocated < self.view.capacity() {
            self.allocated = self.view.allocate(self.allocated, end)?;
        }
        Ok(())
    }

    /// Whether `need` bytes at the tail are free, as far as was seen.
    #[inline]
    fn is_free(&self, need: u64) -> bool {
        self.tail + need - self.head <= self.view.capacity()
    }

    /// Reads the receiver's position, once, and believes it only if it lies between what it said before and what was
    /// committed.
    fn look_at_head(&mut self) -> Result<(), SendError> {
        let head = self.view.header().head();
        if head == self.head {
            return Ok(());
        }
        if head < self.head || head > self.committed {
            self.corrupted = true;
            return Err(SendError::Corrupted);
        }
        self.head = head;
        self.unheard = 0;
        Ok(())
    }

    /// Waits until `need` bytes are free. What was pushed is flushed first: the receiver can't make room out of what it
    /// does not see.
    #[cold]
    fn wait_for_room(&mut self, need: u64, deadline: Option<Instant>) -> Result<(), SendError> {
        self.flush()?;
        let wanted = (self.tail + need).saturating_sub(self.view.capacity());
        loop {
            self.look_at_head()?;
            if self.head >= wanted {
                return Ok(());
            }
            let header = self.view.header();
            if header.receiver_closed() {
                return Err(SendError::Disconnected);
            }
            if deadline.is_some_and(|t| Instant::now() >= t) {
                return Err(SendError::Full);
            }
            if self.spin.until(|| header.head() >= wanted || header.receiver_closed()) {
                continue;
            }
            while self.stale_bells > 0 {
                self.stale_bells -= 1;
                self.bell.collect(&mut Arrived::default())?;
            }
            header.arm_writer(wanted);
            let rung = if header.head() >= wanted || header.receiver_closed() {
                None
            } else {
                Some(self.spin.learn(|| self.bell.wait(deadline)))
            };
            self.stale_bells += u32::from(header.disarm_writer());
            match rung.transpose()? {
                Some(Rung::HungUp) => return Err(SendError::Disconnected),
                Some(Rung::Bell) => {
                    self.bell.collect(&mut Arrived::default())?;
                    self.stale_bells = self.stale_bells.saturating_sub(1);
                }
                Some(Rung::TimedOut) | None => {}
            }
        }
    }

    /// For [`Readiness`](super::Readiness): goes to sleep until `need` bytes are free.
    pub(super) fn arm(&mut self, need: u64) -> io::Result<()> {
        self.flush()?;
        while self.stale_bells > 0 {
            self.stale_bells -= 1;
            self.bell.collect(&mut Arrived::default())?;
        }
        self.view.header().arm_writer((self.tail + need).saturating_sub(self.view.capacity()));
        Ok(())
    }

    pub(super) fn disarm(&mut self) {
        self.stale_bells += u32::from(self.view.header().disarm_writer());
    }

    /// For [`Readiness`](super::Readiness): whether a record of `need` bytes with its head fits, or never will.
    pub(super) fn has_room(&self, need: u64) -> bool {
        let header = self.view.header();
        let used = self.tail.wrapping_sub(header.head());
        header.receiver_closed() || self.view.capacity().wrapping_sub(used) >= need
    }
}

/// Closes the ring: the receiver gets what was committed, then the end. A copy that crossed to another process keeps it
/// open.
impl Drop for Sender {
    fn drop(&mut self) {
        if self.view.check().is_ok() && !self.given.is_given() {
            self.view.header().close_sender();
        }
    }
}

/// # Panics
///
/// In a forked child of the process that has the end.
impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
