//! A receiving side that a wait on many watches.

#[cfg(feature = "async")]
use std::sync::atomic::Ordering::Relaxed;
use std::{io, os::fd::BorrowedFd, sync::atomic::Ordering::Release, time::Instant};

use proc_core::inherit::NotInherited;
use rustix::event::PollFlags;

use super::ends::{RecvEnd, late};
use crate::ring::{Readiness, bell::Rung, bell::outcome, wait::sealed::Steps};

/// Other receivers may sleep on the same bell, so it is never disarmed: a bell that rings in vain wakes nobody for long.
#[derive(Debug)]
pub(crate) struct Watching<'a> {
    end: &'a RecvEnd,
}

impl<'a> Watching<'a> {
    pub(super) fn new(end: &'a RecvEnd) -> io::Result<Watching<'a>> {
        end.core.store.check()?;
        Ok(Watching { end })
    }
}

impl Readiness for Watching<'_> {}

impl Steps for Watching<'_> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.end.bell.get()
    }

    fn is_ready(&self) -> bool {
        // An error is for the receive to tell.
        !self.end.core.is_empty() || self.end.is_over(false).unwrap_or(true)
    }

    fn arm(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            if self.end.arm(deadline) || self.is_ready() {
                return Ok(true);
            }
            if late(deadline) {
                return Ok(false);
            }
            // Somebody was faster with what was there.
            std::thread::yield_now();
        }
    }

    fn disarm(&mut self, events: PollFlags) -> io::Result<()> {
        if !events.is_empty() && outcome(events) == Rung::HungUp {
            // As after a sleep in a receive: everything that will ever be sent is there.
            self.end.core.store.header().rare.senders.store(0, Release);
        }
        Ok(())
    }
}

/// A sending side that waits for room. As for receivers, the bell is never disarmed.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct Roomy<'a> {
    end: &'a super::ends::SendEnd,
    len: u64,
}

#[cfg(feature = "async")]
impl<'a> Roomy<'a> {
    pub(super) fn new(end: &'a super::ends::SendEnd, len: usize) -> io::Result<Roomy<'a>> {
        end.core.store.check()?;
        Ok(Roomy { end, len: len as u64 })
    }
}

#[cfg(feature = "async")]
impl Readiness for Roomy<'_> {}

#[cfg(feature = "async")]
impl Steps for Roomy<'_> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.end.bell.get()
    }

    fn is_ready(&self) -> bool {
        let core = &self.end.core;
        let nobody = core.store.header().rare.receivers.load(Relaxed) == 0;
        nobody || core.refuses() || core.has_room(self.len)
    }

    fn arm(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        let bell = self.end.bell.get()?;
        let until = crate::typed::Until::Time(deadline);
        loop {
            if self.end.core.arm_writer(self.len, until, || crate::sys::socket::drain(bell))
                || self.is_ready()
            {
                return Ok(true);
            }
            if late(deadline) {
                return Ok(false);
            }
            // Somebody was faster with the room that there was.
            std::thread::yield_now();
        }
    }

    fn disarm(&mut self, _: PollFlags) -> io::Result<()> {
        // A hang-up is told by the next attempt.
        Ok(())
    }
}
