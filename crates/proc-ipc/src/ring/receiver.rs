//! The receiving end of a ring.

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use rustix::io::Errno;

use super::{
    RecvError,
    bell::{Arrived, Bell, Gone, Rung},
    memory::View,
    record::{FDS, HEAD, Head, Kind, TOTAL, max_body, prefix, size},
    spin::Spin,
};
use crate::{given::Given, sys::cpus};

/// The receiving end of a ring of byte records.
///
/// Records are copied to private memory before anybody looks at them, so their sender can't change them under the
/// reader. [`next`](Receiver::next) takes a record and leaves its room taken, [`release`](Receiver::release) gives the
/// room of all of them back at once; [`try_recv`](Receiver::try_recv) and [`recv`](Receiver::recv) do both.
///
/// It has one socket and shares a mapping with the sending end's process; both are closed in forked children. It crosses
/// to another process inside of a message (see [`proc_core::transfer`]); the original should then be dropped.
#[derive(Debug)]
pub struct Receiver {
    pub(super) view: View,
    pub(super) bell: Bell,
    /// The next record is here.
    pub(super) head: u64,
    /// The head that the sender was told.
    pub(super) released: u64,
    /// The last tail that was seen: all before it is there.
    tail: u64,
    /// What [`next`](Receiver::next) lends.
    buffer: Vec<u8>,
    /// The pieces so far of a message whose rest has not come.
    pub(super) partial: Option<Partial>,
    pub(super) arrived: Arrived,
    /// The sender's process closed its socket, so nothing will be committed any more.
    hung_up: bool,
    corrupted: bool,
    pub(super) given: Given,
    /// Bells that are in the socket, or will be.
    stale_bells: u32,
    /// Records since the ring was last found empty.
    run: u32,
    spin: Spin,
}

/// A message in pieces.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) total: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// This process had no room for a part of it. The rest is taken and dropped, and then it is an error.
    pub(super) lost: Option<Errno>,
}

impl Partial {
    fn lose(&mut self, why: Errno) {
        *self =
            Partial { total: self.total, bytes: Vec::new(), fds: Vec::new(), lost: self.lost.or(Some(why)) };
    }
}

/// A record on loan.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its bytes, which are private to this process.
    pub bytes: &'a [u8],
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// A buffer above this is not kept for the next record.
const KEPT: usize = 4 << 20;

/// No more is reserved on the word of a sender: what goes beyond grows as it comes.
const BELIEVED: u64 = 64 << 20;

impl Receiver {
    pub(super) fn new(view: View, bell: Bell, head: u64) -> Receiver {
        Receiver {
            view,
            bell,
            head,
            released: head,
            tail: head,
            buffer: Vec::new(),
            partial: None,
            arrived: Arrived::default(),
            hung_up: false,
            corrupted: false,
            given: Given::default(),
            stale_bells: 0,
            run: 0,
            spin: Spin::default(),
        }
    }

    /// Takes the next record, if one is there, and gives its room back. No system call: that the sender was killed is
    /// seen by [`recv`](Receiver::recv), [`wait`](super::wait) and [`is_disconnected`](Receiver::is_disconnected).
    ///
    /// # Errors
    ///
    /// - `Disconnected`, `PeerDied`: the sending end is gone, and all that it sent was received;
    /// - `Corrupted`, `NotInherited`, `Io`: see [`RecvError`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<Option<Record<'_>>, RecvError> {
        let mut bytes = self.lend();
        let taken = self.take(&mut bytes);
        self.release();
        self.buffer = bytes;
        Ok(taken?.map(|fds| Record { bytes: &self.buffer, fds }))
    }

    /// Takes the next record, waiting for it until `deadline` (`None`: for ever), which gives `Ok(None)`.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn recv(&mut self, deadline: Option<Instant>) -> Result<Option<Record<'_>>, RecvError> {
        let mut bytes = self.lend();
        let taken = self.recv_into(&mut bytes, deadline);
        self.buffer = bytes;
        Ok(taken?.map(|fds| Record { bytes: &self.buffer, fds }))
    }

    /// [`try_recv`](Receiver::try_recv), handing the record to `f`, which runs after its room was given back.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_with<R>(&mut self, f: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, RecvError> {
        Ok(self.try_recv()?.map(|record| f(record.bytes)))
    }

    /// [`recv`](Receiver::recv) into a buffer of the caller's, whose content it replaces: one copy, out of the ring. The
    /// result are the descriptors that came with the record, or `None` at the deadline.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn recv_into(
        &mut self,
        bytes: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        loop {
            let taken = self.take(bytes);
            self.release();
            if let Some(fds) = taken? {
                return Ok(Some(fds));
            }
            // The pieces of a long message may come as fast as they are taken.
            if self.partial.is_some() && deadline.is_some_and(|t| Instant::now() >= t) {
                return Ok(None);
            }
            if !self.wait(deadline)? {
                return Ok(None);
            }
        }
    }

    /// [`recv_into`](Receiver::recv_into) without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn try_recv_into(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        let taken = self.take(bytes);
        self.release();
        taken
    }

    /// Takes the next record, if one is there; its room stays taken until [`release`](Receiver::release). For whoever
    /// takes many: the sender's cache line is touched once.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[expect(clippy::should_implement_trait, reason = "it lends, which an iterator can't")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, RecvError> {
        let mut bytes = self.lend();
        let taken = self.take(&mut bytes);
        self.buffer = bytes;
        Ok(taken?.map(|fds| Record { bytes: &self.buffer, fds }))
    }

    /// [`next`](Receiver::next) into a buffer of the caller's, whose content it replaces. The result are the descriptors
    /// that came with the record, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv).
    #[inline]
    pub fn next_into(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.take(bytes)
    }

    /// Gives the room of all records that were taken back to the sender, and wakes it if it waits for that much.
    #[inline]
    pub fn release(&mut self) {
        if self.released != self.head && self.view.check().is_ok() {
            self.released = self.head;
            let header = self.view.header();
            header.release(self.head);
            if header.must_wake_writer(self.head) {
                // A sender that is gone needs no room.
                let _: Result<(), Gone> = self.bell.ring();
            }
        }
    }

    /// Waits until a record is there or the end, or `deadline` (`None`: for ever), which gives false. It may also return
    /// true for nothing, as when the first piece of a long record came.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Receiver::try_recv), but never for the end.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<bool, RecvError> {
        self.view.check()?;
        self.release();
        self.spin.caught_up(mem::take(&mut self.run));
        loop {
            if self.is_ready() {
                return Ok(true);
            }
            if deadline.is_some_and(|t| Instant::now() >= t) {
                return Ok(false);
            }
            let (header, tail) = (self.view.header(), self.tail);
            if self.spin.has_to_ask() {
                header.tell_reader_cpu(cpus::current());
            }
            if self.spin.until(|| header.tail() != tail || header.sender_closed()) {
                return Ok(true);
            }
            self.collect_stale_bells()?;
            let header = self.view.header();
            header.arm_reader();
            let rung = if header.tail() != tail || header.sender_closed() {
                None
            } else {
                Some(self.spin.learn(|| self.bell.wait(deadline)))
            };
            self.stale_bells += u32::from(header.disarm_reader());
            match rung.transpose()? {
                Some(rung) => self.rung(rung)?,
                None => return Ok(true),
            }
        }
    }

    /// Whether the sending end is gone and everything was received: one system call, unless it was dropped.
    ///
    /// # Errors
    ///
    /// `NotInherited`, `Io`.
    pub fn is_disconnected(&mut self) -> Result<bool, RecvError> {
        self.view.check()?;
        if !self.hung_up && !self.view.header().sender_closed() {
            self.hung_up = self.bell.is_hung_up()?;
        }
        let ended = self.hung_up || self.view.header().sender_closed();
        Ok(ended && self.view.header().tail() == self.head)
    }

    /// Whether a wait would return at once.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        let header = self.view.header();
        self.hung_up || header.tail() != self.head || header.sender_closed()
    }

    /// What the end of a sleep says.
    pub(super) fn rung(&mut self, rung: Rung) -> io::Result<()> {
        match rung {
            Rung::HungUp => self.hung_up = true,
            Rung::Bell => {
                if self.bell.collect(&mut self.arrived)? {
                    self.stale_bells = self.stale_bells.saturating_sub(1);
                }
            }
            Rung::TimedOut => {}
        }
        Ok(())
    }

    /// Takes bells off the socket that rang while nobody slept, so that they don't end the next sleep.
    pub(super) fn collect_stale_bells(&mut self) -> io::Result<()> {
        while self.stale_bells > 0 {
            self.stale_bells -= 1;
            self.bell.collect(&mut self.arrived)?;
        }
        Ok(())
    }

    pub(super) fn disarm(&mut self) {
        self.stale_bells += u32::from(self.view.header().disarm_reader());
    }

    fn lend(&mut self) -> Vec<u8> {
        let bytes = mem::take(&mut self.buffer);
        if bytes.capacity() > KEPT { Vec::new() } else { bytes }
    }

    /// Moves the next message to `bytes`; `None` when it is not there, or not all of it, or so much of it came while it was
    /// taken that the caller should look at the clock.
    #[inline]
    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.view.check()?;
        self.given.keep();
        let start = self.head;
        loop {
            if self.head == self.tail && !self.look_at_tail()? {
                return Ok(None);
            }
            if self.corrupted {
                return Err(RecvError::Corrupted);
            }
            let (head, at) = self.open()?;
            if head.kind == Kind::Whole && !head.has_fds && self.partial.is_none() {
                self.head += size(head.len);
                self.run = self.run.saturating_add(1);
                bytes.clear();
                self.copy(at, head.len, bytes).map_err(io::Error::from)?;
                return Ok(Some(Vec::new()));
            }
            if let Some(fds) = self.take_rare(head, at, bytes)? {
                self.run = self.run.saturating_add(1);
                return Ok(Some(fds));
            }
            if self.head - start >= self.view.capacity() {
                return Ok(None);
            }
        }
    }

    /// A record with descriptors, or a piece.
    ///
    /// A message that this process has no room for is passed over, and is an error once its end has been taken: what
    /// stayed in the ring would be the error of every receive from now on.
    #[cold]
    fn take_rare(
        &mut self,
        head: Head,
        mut at: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        let end = at + head.len;
        let starts = matches!(head.kind, Kind::Whole | Kind::First);
        if starts == self.partial.is_some() {
            // A start before the end of the last message, or a continuation of nothing.
            return Err(self.corrupt());
        }
        let fds = if head.has_fds { self.take_fds(at)? } else { Ok(Vec::new()) };
        at += if head.has_fds { FDS } else { 0 };
        match (head.kind, self.partial.take()) {
            (Kind::Whole, _) => {
                self.head += size(head.len);
                bytes.clear();
                self.copy(at, end - at, bytes).map_err(io::Error::from)?;
                return Ok(Some(fds.map_err(io::Error::from)?));
            }
            (Kind::First, _) => {
                let total = self.view.read_word(at);
                at += TOTAL;
                if total <= end - at {
                    return Err(self.corrupt());
                }
                let mut pieces = mem::take(bytes);
                pieces.clear();
                let room = pieces.try_reserve(total.min(BELIEVED) as usize);
                let mut partial = Partial { total, bytes: pieces, fds: Vec::new(), lost: None };
                match fds {
                    Ok(fds) if room.is_ok() => partial.fds = fds,
                    Ok(_) => partial.lose(Errno::NOMEM),
                    Err(e) => partial.lose(e),
                }
                self.append(&mut partial, at, end - at);
                self.partial = Some(partial);
                self.head += size(head.len);
            }
            (Kind::Abandoned, _) => self.head += size(0),
            (kind, Some(mut partial)) => {
                self.append(&mut partial, at, end - at);
                self.head += size(head.len);
                let len = partial.bytes.len() as u64;
                if kind == Kind::Last {
                    if let Some(why) = partial.lost {
                        return Err(RecvError::Io(why.into()));
                    }
                    if len != partial.total {
                        return Err(self.corrupt());
                    }
                    *bytes = partial.bytes;
                    return Ok(Some(partial.fds));
                }
                if len >= partial.total {
                    return Err(self.corrupt());
                }
                self.partial = Some(partial);
            }
            (Kind::Middle | Kind::Last, None) => return Err(self.corrupt()),
        }
        // A sender with a long message waits for the room of its pieces.
        self.release();
        Ok(None)
    }

    /// Reads the sender's position, once, and believes it only if it is ahead by no more than the ring holds.
    #[inline]
    fn look_at_tail(&mut self) -> Result<bool, RecvError> {
        let header = self.view.header();
        let mut tail = header.tail();
        if tail == self.tail {
            if !self.hung_up && !header.sender_closed() {
                return Ok(false);
            }
            // What was committed before the end must be seen after it.
            tail = header.tail();
            if tail == self.tail {
                let dropped = header.sender_closed();
                return Err(if dropped { RecvError::Disconnected } else { RecvError::PeerDied });
            }
        }
        if tail < self.tail || tail - self.head > self.view.capacity() || tail % 8 != 0 {
            return Err(self.corrupt());
        }
        self.tail = tail;
        Ok(true)
    }

    /// The head of the next record, and where its body starts.
    #[inline]
    fn open(&mut self) -> Result<(Head, u64), RecvError> {
        match Head::parse(self.view.read_word(self.head)) {
            Some(head)
                if head.len <= max_body(self.view.capacity())
                    && head.len >= prefix(head.kind, head.has_fds)
                    && size(head.len) <= self.tail - self.head =>
            {
                Ok((head, self.head + HEAD))
            }
            _ => Err(self.corrupt()),
        }
    }

    #[inline]
    fn copy(&self, at: u64, len: u64, to: &mut Vec<u8>) -> Result<(), Errno> {
        to.try_reserve(len as usize).map_err(|_| Errno::NOMEM)?;
        self.view.read(at, len as usize, to);
        Ok(())
    }

    /// Adds a piece to the message, unless some of that is lost already.
    fn append(&self, partial: &mut Partial, at: u64, len: u64) {
        if partial.lost.is_none() {
            if let Err(why) = self.copy(at, len, &mut partial.bytes) {
                partial.lose(why);
            }
        }
    }

    /// The descriptors of the record whose body starts at `at`. They were sent before it was committed, so they are all
    /// there. What came with smaller tickets belongs to messages that were never committed; those of greater ones stay
    /// where they are until there may be room for them.
    fn take_fds(&mut self, at: u64) -> Result<Result<Vec<OwnedFd>, Errno>, RecvError> {
        let (ticket, count) = (self.view.read_word(at), self.view.read_word(at + 8));
        while self.bell.collect_to(ticket, &mut self.arrived)? {
            self.stale_bells = self.stale_bells.saturating_sub(1);
        }
        match self.arrived.take(ticket) {
            None => Ok(Err(Errno::MFILE)),
            Some(fds) if fds.len() as u64 == count => Ok(Ok(fds)),
            Some(_) => Err(self.corrupt()),
        }
    }

    #[cold]
    fn corrupt(&mut self) -> RecvError {
        self.corrupted = true;
        RecvError::Corrupted
    }
}

/// The sender's next attempt is `Disconnected`. A copy that crossed to another process keeps the ring open.
impl Drop for Receiver {
    fn drop(&mut self) {
        if self.view.check().is_ok() && !self.given.is_given() {
            self.view.header().close_receiver();
        }
    }
}

/// # Panics
///
/// In a forked child of the process that has the end.
impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
