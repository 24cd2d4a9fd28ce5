//! Waiting for many rings at once.

use std::{io, os::fd::BorrowedFd, time::Instant};

use parking_lot::MutexGuard;
use proc_core::inherit::NotInherited;
use rustix::event::{PollFd, PollFlags};

use super::{
    Receiver, Sender,
    bell::{Arrived, outcome},
    spin::Spin,
};
use crate::sys::{cpus, poll};

/// What [`wait`] waits for on a ring: a [`Receiver`] with a record or at its end, or a [`Sender`] with [room](Room).
///
/// The descriptor of a ring says nothing before its bell is armed, so a ring can't be waited for by its descriptor
/// alone. Sealed: the order of these steps is what keeps a wake-up from being lost.
pub trait Readiness: sealed::Steps {}

pub(crate) mod sealed {
    use super::{BorrowedFd, Instant, NotInherited, PollFlags, io};

    /// The steps of a sleep: *prepare, arm, look again, poll, disarm*.
    pub trait Steps {
        /// The descriptor that the bell rings on.
        #[doc(hidden)]
        fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited>;

        /// Whether there is no reason to sleep.
        #[doc(hidden)]
        fn is_ready(&self) -> bool;

        /// From now on the peer rings. To be followed by a look. False if others did not let it until `deadline`.
        #[doc(hidden)]
        fn arm(&mut self, deadline: Option<Instant>) -> io::Result<bool>;

        /// Awake: the bell need not ring. `events` are those of the descriptor, empty if it was not polled.
        #[doc(hidden)]
        fn disarm(&mut self, events: PollFlags) -> io::Result<()>;
    }
}

impl Readiness for Receiver {}

impl sealed::Steps for Receiver {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.bell.fd()
    }

    fn is_ready(&self) -> bool {
        Receiver::is_ready(self)
    }

    fn arm(&mut self, _: Option<Instant>) -> io::Result<bool> {
        self.release();
        self.collect_stale_bells()?;
        self.view.header().tell_reader_cpu(cpus::current());
        self.view.header().arm_reader();
        Ok(true)
    }

    fn disarm(&mut self, events: PollFlags) -> io::Result<()> {
        Receiver::disarm(self);
        if events.is_empty() { Ok(()) } else { self.rung(outcome(events)) }
    }
}

impl Readiness for MutexGuard<'_, Receiver> {}

impl sealed::Steps for MutexGuard<'_, Receiver> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        sealed::Steps::fd(&**self)
    }

    fn is_ready(&self) -> bool {
        sealed::Steps::is_ready(&**self)
    }

    fn arm(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        sealed::Steps::arm(&mut **self, deadline)
    }

    fn disarm(&mut self, events: PollFlags) -> io::Result<()> {
        sealed::Steps::disarm(&mut **self, events)
    }
}

/// A [`Sender`] that waits for room, for [`wait`]; made by [`Sender::room`].
#[derive(Debug)]
pub struct Room<'a> {
    sender: &'a mut Sender,
    need: u64,
    gone: bool,
}

impl Sender {
    /// Readiness for a record of `len` bytes, at most [`max_whole`](Sender::max_whole): more counts as that much. It is
    /// ready too when the receiving end is gone.
    pub fn room(&mut self, len: usize) -> Room<'_> {
        let need = self.need((len as u64).min(self.max_whole() as u64));
        Room { sender: self, need, gone: false }
    }
}

impl Readiness for Room<'_> {}

impl sealed::Steps for Room<'_> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.sender.bell.fd()
    }

    fn is_ready(&self) -> bool {
        self.gone || self.sender.has_room(self.need)
    }

    fn arm(&mut self, _: Option<Instant>) -> io::Result<bool> {
        self.sender.arm(self.need)?;
        Ok(true)
    }

    fn disarm(&mut self, events: PollFlags) -> io::Result<()> {
        self.sender.disarm();
        if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.gone = true;
        } else if !events.is_empty() {
            self.sender.bell.collect(&mut Arrived::default())?;
        }
        Ok(())
    }
}

/// [`Room`] of a sender that is locked for as long.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct LockedRoom<'a> {
    sender: MutexGuard<'a, Sender>,
    len: usize,
    gone: bool,
}

#[cfg(feature = "async")]
impl<'a> LockedRoom<'a> {
    pub(crate) fn new(sender: MutexGuard<'a, Sender>, len: usize) -> LockedRoom<'a> {
        LockedRoom { sender, len, gone: false }
    }

    fn need(&self) -> u64 {
        self.sender.need((self.len as u64).min(self.sender.max_whole() as u64))
    }
}

#[cfg(feature = "async")]
impl Readiness for LockedRoom<'_> {}

#[cfg(feature = "async")]
impl sealed::Steps for LockedRoom<'_> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.sender.bell.fd()
    }

    fn is_ready(&self) -> bool {
        self.gone || self.sender.has_room(self.need())
    }

    fn arm(&mut self, _: Option<Instant>) -> io::Result<bool> {
        let need = self.need();
        self.sender.arm(need)?;
        Ok(true)
    }

    fn disarm(&mut self, events: PollFlags) -> io::Result<()> {
        let len = self.len;
        let mut room = self.sender.room(len);
        room.disarm(events)?;
        self.gone |= room.gone;
        Ok(())
    }
}

/// What was ready; nothing at the deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Places in the list of rings.
    pub rings: Vec<usize>,
    /// Places in the list of other descriptors that are readable or hung up.
    pub extra: Vec<usize>,
}

impl Ready {
    /// Whether the deadline came first.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty() && self.extra.is_empty()
    }
}

/// Waits until a ring of `rings` is ready, or a descriptor of `extra` is readable (a pidfd, a [`Waker`](super::Waker)),
/// or `deadline`. See [`Waiter::wait`].
///
/// # Errors
///
/// As [`Waiter::wait`].
pub fn wait(
    rings: &mut [&mut dyn Readiness],
    extra: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<Ready> {
    Waiter::default().wait(rings, extra, deadline)
}

/// What a thread that waits again and again keeps from one wait to the next: how long looking pays.
#[derive(Debug, Default)]
pub struct Waiter {
    spin: Spin,
    /// Waits that ended without a look at the other descriptors.
    unseen: u32,
}

/// So many waits end by rings that are ready before one system call asks after the other descriptors.
const UNSEEN: u32 = 64;

impl Waiter {
    /// A fresh one, which looks for long.
    pub fn new() -> Waiter {
        Waiter::default()
    }

    /// Waits until a ring of `rings` is ready, or a descriptor of `extra` is readable, or `deadline` (`None`: for ever).
    /// A ring that is ready may still have nothing whole to give, as when the first piece of a long record came.
    ///
    /// It looks at the rings first, for up to some tens of microseconds, and only then arms them all, looks once more,
    /// and sleeps. So descriptors are noticed a little later than rings, and while rings are ready at once, only at every
    /// 64th call. ([`wait`](crate::wait()) asks after them at each.)
    ///
    /// # Errors
    ///
    /// - this is a forked child, and a ring belongs to its parent;
    /// - the system refused (`ENOMEM`; `EINVAL`: more descriptors than `RLIMIT_NOFILE`).
    pub fn wait(
        &mut self,
        rings: &mut [&mut dyn Readiness],
        extra: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<Ready> {
        for ring in rings.iter() {
            ring.fd()?;
        }
        loop {
            let mut ready = Ready::default();
            ready.rings.extend((0..rings.len()).filter(|i| rings[*i].is_ready()));
            let late = deadline.is_some_and(|t| Instant::now() >= t);
            if !ready.rings.is_empty() || late {
                self.unseen += 1;
                if !extra.is_empty() && (late || self.unseen >= UNSEEN) {
                    self.unseen = 0;
                    let mut fds: Vec<PollFd<'_>> = polled(extra);
                    poll::look(&mut fds)?;
                    ready.extra = readable(&fds);
                }
                return Ok(ready);
            }
            self.unseen = 0;
            if !rings.is_empty() && self.spin.until(|| rings.iter().any(|ring| ring.is_ready())) {
                continue;
            }
            ready.extra = self.sleep(rings, extra, deadline)?;
            if !ready.extra.is_empty() {
                ready.rings.extend((0..rings.len()).filter(|i| rings[*i].is_ready()));
                return Ok(ready);
            }
        }
    }

    /// Arms all, looks once more, polls, disarms all; the places of the other descriptors that are readable.
    fn sleep(
        &mut self,
        rings: &mut [&mut dyn Readiness],
        extra: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<Vec<usize>> {
        let mut armed = Ok(true);
        for ring in rings.iter_mut() {
            if matches!(armed, Ok(true)) {
                armed = ring.arm(deadline);
            }
        }
        let mut events = vec![PollFlags::empty(); rings.len()];
        let mut extras = Vec::new();
        let slept = if !matches!(armed, Ok(true)) || rings.iter().any(|ring| ring.is_ready()) {
            // One that could not be armed in time leaves no time to sleep.
            armed.map(|_| false)
        } else {
            let bells: Result<Vec<BorrowedFd<'_>>, NotInherited> =
                rings.iter().map(|ring| ring.fd()).collect();
            let mut fds = polled(&bells?);
            fds.extend(polled(extra));
            let slept = self.spin.learn(|| poll::wait(&mut fds, deadline));
            for (events, fd) in events.iter_mut().zip(&fds) {
                *events = fd.revents();
            }
            extras = readable(&fds[rings.len()..]);
            slept
        };
        // All are disarmed, whatever went wrong.
        let mut result = slept.map(|_| extras);
        for (ring, events) in rings.iter_mut().zip(events) {
            if let Err(e) = ring.disarm(events) {
                result = Err(e);
            }
        }
        result
    }
}

fn polled<'a>(fds: &[BorrowedFd<'a>]) -> Vec<PollFd<'a>> {
    fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect()
}

fn readable(fds: &[PollFd<'_>]) -> Vec<usize> {
    (0..fds.len()).filter(|i| !fds[*i].revents().is_empty()).collect()
}
