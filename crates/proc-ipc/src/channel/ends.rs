//! One side of a channel in one process: its memory, its bell, its counter.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proc_core::inherit::LocalFd;
use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
};

use super::{
    core::{Collected, Core, Unreceived, Unsent},
    layout::{MAX_FDS, Rare, TICKET},
};
use crate::{
    error::{Cause, RecvError},
    ring::{
        bell::{Rung, outcome},
        spin::Spin,
    },
    sync::{Acquire, AtomicU32, Relaxed, Release},
    sys::{
        poll,
        socket::{self, Next},
    },
    typed::Until,
};

/// The senders' side, shared by all senders of this process.
#[derive(Debug)]
pub(super) struct SendEnd {
    pub(super) core: Arc<Core>,
    pub(super) bell: LocalFd,
    pub(super) side: LocalFd,
    spin: Mutex<Spin>,
    /// Sends since somebody asked after the receivers: up by a send, back to 0 by who asks. Threads may lose counts of each
    /// other; it orders nothing.
    unheard: AtomicU32,
}

/// The receivers' side, shared by all receivers of this process.
#[derive(Debug)]
pub(super) struct RecvEnd {
    pub(super) core: Arc<Core>,
    pub(super) bell: LocalFd,
    pub(super) side: LocalFd,
    spin: Mutex<Spin>,
    /// Messages since the channel was last found empty: up by a receive, back to 0 by who found it empty. Threads may lose
    /// counts of each other; it orders nothing.
    run: AtomicU32,
}

/// After so many messages one system call asks after the receivers.
const UNHEARD: u32 = 256;

/// Between attempts when there is room in all, but none in one piece for a very long message.
const FRAGMENTED: Duration = Duration::from_millis(1);

/// The longest sleep of a sender without a look, where senders may want different room: who wants more may take the bell
/// off the socket before who wants less has seen it.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// The counters of ends. An end counts from when it is made, or serialized for another process, until it is dropped; the
/// ends of a killed process count for ever, and are noticed by the hang-up of the socket. So zero is certain, and more is
/// not.
///
/// Who reads zero must see all that was sent before: the steps down are releases, the look is an acquire, and the steps
/// between, being exchanges, pass it on.
pub(super) fn count(counter: fn(&Rare) -> &AtomicU32, core: &Core) {
    counter(&core.store.header().rare).fetch_add(1, Relaxed);
}

fn uncount(counter: fn(&Rare) -> &AtomicU32, core: &Core) {
    if core.store.check().is_ok() {
        counter(&core.store.header().rare).fetch_sub(1, Release);
    }
}

pub(super) fn senders(rare: &Rare) -> &AtomicU32 {
    &rare.senders
}

pub(super) fn receivers(rare: &Rare) -> &AtomicU32 {
    &rare.receivers
}

/// Rings by one byte. A socket full of bytes is as good as one more.
fn ring(bell: BorrowedFd<'_>) -> Result<(), Unsent> {
    match socket::send(bell, &[1]) {
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(Unsent::Gone),
        _ => Ok(()),
    }
}

fn sleep(bell: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<Rung> {
    let mut fds = [PollFd::from_borrowed_fd(bell, PollFlags::IN)];
    Ok(if poll::wait(&mut fds, deadline)? { outcome(fds[0].revents()) } else { Rung::TimedOut })
}

fn is_hung_up(bell: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(bell, PollFlags::empty())];
    Ok(poll::look(&mut fds)? && outcome(fds[0].revents()) == Rung::HungUp)
}

pub(super) fn late(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|t| Instant::now() >= t)
}

fn deadline(until: Until) -> Option<Instant> {
    match until {
        // The past, of which there is always some.
        Until::Now => Some(Instant::now()),
        Until::Time(deadline) => deadline,
    }
}

impl SendEnd {
    /// An end that is counted already.
    pub(super) fn new(core: Arc<Core>, bell: OwnedFd, side: OwnedFd) -> SendEnd {
        let (bell, side) = (LocalFd::new(bell), LocalFd::new(side));
        SendEnd { core, bell, side, spin: Mutex::default(), unheard: AtomicU32::new(0) }
    }

    #[inline]
    pub(super) fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause> {
        self.core.store.check()?;
        let unheard = self.unheard.load(Relaxed);
        self.unheard.store(unheard + 1, Relaxed);
        if unheard >= UNHEARD {
            self.ask_after_receivers()?;
        }
        match self.push(bytes, fds, until) {
            Ok(()) => Ok(()),
            Err(unsent) => self.send_slowly(bytes, fds, until, unsent),
        }
    }

    #[inline]
    fn push(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Unsent> {
        if self.core.store.header().rare.receivers.load(Relaxed) == 0 {
            return Err(Unsent::Gone);
        }
        if fds.len() as u64 > MAX_FDS {
            return Err(Unsent::TooLong);
        }
        let announce = |ticket: u64| {
            for some in fds.chunks(socket::MAX_FDS) {
                match socket::send_fds(self.side.as_fd(), &ticket.to_ne_bytes(), some) {
                    Ok(()) => {}
                    Err(Errno::AGAIN) => return Err(Unsent::SideFull),
                    Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(Unsent::Gone),
                    Err(e) => return Err(Unsent::Io(e.into())),
                }
            }
            Ok(())
        };
        self.core.push(bytes, fds.len(), until, announce, || ring(self.bell.as_fd()))
    }

    #[cold]
    fn ask_after_receivers(&self) -> Result<(), Cause> {
        self.unheard.store(0, Relaxed);
        if is_hung_up(self.bell.get()?)? { Err(Cause::Disconnected) } else { Ok(()) }
    }

    /// After a first attempt that was in vain.
    #[cold]
    fn send_slowly(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        until: Until,
        mut unsent: Unsent,
    ) -> Result<(), Cause> {
        let deadline = deadline(until);
        loop {
            match unsent {
                Unsent::Full => self.wait_for_room(bytes.len() as u64, deadline)?,
                Unsent::SideFull if late(deadline) => return Err(Cause::Full),
                Unsent::SideFull => self.wait_for_side(deadline)?,
                Unsent::TooLong => return Err(Cause::TooLong),
                Unsent::Closed | Unsent::Gone => return Err(Cause::Disconnected),
                Unsent::Corrupted => return Err(Cause::Corrupted),
                Unsent::Io(e) => return Err(Cause::Io(e)),
            }
            unsent = match self.push(bytes, fds, until) {
                Ok(()) => return Ok(()),
                Err(unsent) => unsent,
            };
        }
    }

    fn wait_for_room(&self, len: u64, deadline: Option<Instant>) -> Result<(), Cause> {
        let bell = self.bell.get()?;
        if late(deadline) {
            return Err(if is_hung_up(bell)? { Cause::Disconnected } else { Cause::Full });
        }
        if self.core.has_room(len) {
            std::thread::sleep(FRAGMENTED);
            return Ok(());
        }
        let mut spin = self.spin.lock().clone();
        let rare = &self.core.store.header().rare;
        let over = || self.core.refuses() || rare.receivers.load(Relaxed) == 0;
        if spin.until(|| self.core.has_room(len) || over()) {
            *self.spin.lock() = spin;
            return Ok(());
        }
        if over() || !self.core.arm_writer(len, Until::Time(deadline), || socket::drain(bell)) {
            return Ok(());
        }
        let until = if self.core.bounds_bytes() {
            let slice = Instant::now() + SLICE;
            Some(deadline.map_or(slice, |t| t.min(slice)))
        } else {
            deadline
        };
        let rung = spin.learn(|| sleep(bell, until))?;
        *self.spin.lock() = spin;
        if rung == Rung::HungUp { Err(Cause::Disconnected) } else { Ok(()) }
    }

    /// Waits for room for descriptors, for [`SLICE`] at most.
    ///
    /// A close rings the bell. But a bell that another sender has not taken yet is no news, so it is only a look, and the
    /// sleep after it is on the other socket alone.
    fn wait_for_side(&self, deadline: Option<Instant>) -> Result<(), Cause> {
        let (side, bell) = (self.side.get()?, self.bell.get()?);
        let slice = Instant::now() + SLICE;
        let until = Some(deadline.map_or(slice, |t| t.min(slice)));
        let mut fds =
            [PollFd::from_borrowed_fd(side, PollFlags::OUT), PollFd::from_borrowed_fd(bell, PollFlags::IN)];
        poll::wait(&mut fds, until)?;
        if fds[0].revents().is_empty() && !self.core.refuses() {
            poll::wait(&mut fds[..1], until)?;
        }
        Ok(())
    }

    /// Wakes all receivers that sleep.
    pub(super) fn ring(&self) {
        let _ = ring(self.bell.as_fd());
    }
}

impl Drop for SendEnd {
    fn drop(&mut self) {
        uncount(senders, &self.core);
    }
}

impl RecvEnd {
    /// An end that is counted already.
    pub(super) fn new(core: Arc<Core>, bell: OwnedFd, side: OwnedFd) -> RecvEnd {
        let (bell, side) = (LocalFd::new(bell), LocalFd::new(side));
        RecvEnd { core, bell, side, spin: Mutex::default(), run: AtomicU32::new(0) }
    }

    #[inline]
    pub(super) fn recv(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.core.store.check()?;
        let mut fds = Vec::new();
        if self.pop(bytes, &mut fds, until)? {
            self.run.store(self.run.load(Relaxed).wrapping_add(1), Relaxed);
            return Ok(Some(fds));
        }
        self.recv_slowly(bytes, fds, until)
    }

    /// After a first attempt that was in vain.
    #[cold]
    fn recv_slowly(
        &self,
        bytes: &mut Vec<u8>,
        mut fds: Vec<OwnedFd>,
        until: Until,
    ) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        let deadline = deadline(until);
        let mut spin = self.spin.lock().clone();
        spin.caught_up(self.run.swap(0, Relaxed));
        let result = loop {
            let over = self.is_over(late(deadline))?;
            if self.pop(bytes, &mut fds, until)? {
                self.run.store(1, Relaxed);
                break Ok(Some(fds));
            }
            if over {
                break Err(RecvError::Disconnected);
            }
            if late(deadline) {
                break Ok(None);
            }
            self.wait_for_message(&mut spin, deadline)?;
        };
        *self.spin.lock() = spin;
        result
    }

    /// Waits until there may be something.
    fn wait_for_message(&self, spin: &mut Spin, deadline: Option<Instant>) -> Result<(), RecvError> {
        let bell = self.bell.get()?;
        let rare = &self.core.store.header().rare;
        let over = || self.core.is_closed() || rare.senders.load(Relaxed) == 0;
        if spin.until(|| !self.core.is_empty() || over()) || !self.arm(deadline) {
            return Ok(());
        }
        if spin.learn(|| sleep(bell, deadline))? == Rung::HungUp {
            // Everything that will ever be sent is there: the processes with the other ends have left user mode.
            self.core.store.header().rare.senders.store(0, Release);
        }
        Ok(())
    }

    /// Before a sleep on the bell: true if the channel is empty, and the next sender will ring it.
    pub(super) fn arm(&self, deadline: Option<Instant>) -> bool {
        let Ok(bell) = self.bell.get() else { return false };
        let mut orphans = Vec::new();
        loop {
            let mut are_left = false;
            let armed = self.core.arm_reader(Until::Time(deadline), |may_be| {
                are_left = may_be && self.take_orphans(&mut orphans);
                if !are_left {
                    socket::drain(bell);
                }
                !are_left
            });
            if !are_left || late(deadline) {
                return armed;
            }
            // Closed here and not in the section: who knows what they are of, and how long that lasts.
            orphans.clear();
            if orphans.try_reserve(socket::MAX_FDS).is_err() {
                return false;
            }
        }
    }

    /// Takes what is in the side socket, as long as there is room for another packet; true if some is left.
    fn take_orphans(&self, orphans: &mut Vec<OwnedFd>) -> bool {
        let side = self.side.as_fd();
        while socket::next(side) != Next::None {
            if orphans.capacity() - orphans.len() < socket::MAX_FDS {
                return true;
            }
            if socket::recv_with(side, |fd| orphans.push(fd)).is_err() {
                return false;
            }
        }
        false
    }

    /// Whether nothing more can be sent. Only if told to `ask` it notices senders that were killed.
    pub(super) fn is_over(&self, ask: bool) -> Result<bool, RecvError> {
        let rare = &self.core.store.header().rare;
        Ok(self.core.is_closed() || rare.senders.load(Acquire) == 0 || ask && is_hung_up(self.bell.get()?)?)
    }

    /// Waits until there is something to receive, or the end; false at the deadline.
    pub(super) fn poll(&self, deadline: Option<Instant>) -> Result<bool, RecvError> {
        self.core.store.check()?;
        let mut spin = self.spin.lock().clone();
        loop {
            if !self.core.is_empty() || self.is_over(late(deadline))? {
                return Ok(true);
            }
            if late(deadline) {
                return Ok(false);
            }
            self.wait_for_message(&mut spin, deadline)?;
        }
    }

    /// Takes one message; false if there is none.
    #[inline]
    fn pop(&self, bytes: &mut Vec<u8>, fds: &mut Vec<OwnedFd>, until: Until) -> Result<bool, RecvError> {
        // A message that there is no memory for is lost: what stayed would be the error of every receive from now on.
        let mut skip = false;
        let mut orphans = Vec::new();
        loop {
            let room = fds.capacity();
            let collect = |ticket, count| self.collect(ticket, count, fds, &mut orphans);
            let result = self.core.pop(bytes, room, skip, until, collect, || {
                let _ = ring(self.bell.as_fd());
            });
            match result {
                Ok(()) => return Ok(true),
                Err(Unreceived::Empty | Unreceived::Busy) => return Ok(false),
                Err(Unreceived::Buffers(len, count)) => {
                    bytes.clear();
                    skip = bytes.try_reserve(len).is_err() || fds.try_reserve_exact(count).is_err();
                }
                Err(Unreceived::Orphans) => {
                    fds.clear();
                    orphans.clear();
                    orphans.try_reserve(socket::MAX_FDS).map_err(io::Error::from)?;
                }
                Err(Unreceived::Memory) => return Err(RecvError::Os(libc::ENOMEM)),
                Err(Unreceived::Corrupted) => return Err(RecvError::Corrupted),
                Err(Unreceived::Fds) => return Err(RecvError::Os(libc::EMFILE)),
            }
        }
    }

    /// Takes the descriptors of a message off the side socket, where they were before it was committed. Those of smaller
    /// tickets belong to messages that never were, and go to `orphans`; those of greater ones are not ours to take.
    ///
    /// Nothing may allocate here, nor close what is somebody's.
    fn collect(
        &self,
        ticket: u64,
        count: usize,
        fds: &mut Vec<OwnedFd>,
        orphans: &mut Vec<OwnedFd>,
    ) -> Collected {
        let side = self.side.as_fd();
        while fds.len() < count {
            let ours = match socket::next(side) {
                Next::Fds(next) if next == ticket => true,
                Next::Fds(next) if next.wrapping_sub(ticket) & TICKET > TICKET / 2 => false,
                _ => break,
            };
            let to = if ours { &mut *fds } else { &mut *orphans };
            let room = to.capacity() - to.len();
            if !ours && room < socket::MAX_FDS {
                return Collected::Behind;
            }
            let before = to.len();
            // What is more than the message said is closed.
            let packet = socket::recv_with(side, |fd| {
                if to.len() - before < room {
                    to.push(fd);
                }
            });
            match packet {
                Ok(packet) if ours && packet.cut => return Collected::Cut,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if fds.len() >= count { Collected::All } else { Collected::Gone }
    }

    /// Wakes all senders that sleep.
    pub(super) fn ring(&self) {
        let _ = ring(self.bell.as_fd());
    }
}

impl Drop for RecvEnd {
    fn drop(&mut self) {
        uncount(receivers, &self.core);
    }
}
