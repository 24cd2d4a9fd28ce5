//! One descriptor for many, and for a moment: an epoll with a timer in it.

use super::poll::PollFlags;
use proc_core::inherit::LocalFd;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// What the timer is called among the members.
const TIMER: u64 = u64::MAX;

/// Readable when one of its members is ready, or the moment is over.
#[derive(Debug)]
pub(crate) struct Watch {
    epoll: LocalFd,
    timer: LocalFd,
    /// What is in it: number and events.
    members: Vec<(u64, PollFlags)>,
    moment: Option<Instant>,
}

impl Watch {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = LocalFd::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = LocalFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?);
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        Ok(Watch { epoll, timer, members: Vec::new(), moment: None })
    }

    /// The numbers of the members that are ready; never waits.
    pub(crate) fn ready(&self) -> io::Result<Vec<u64>> {
        let mut events = Vec::with_capacity(16);
        let now = super::poll::timespec(Duration::ZERO);
        loop {
            match epoll::wait(self.epoll.get()?, rustix::buffer::spare_capacity(&mut events), Some(&now)) {
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
                Ok(_) => break,
            }
        }
        Ok(events.iter().map(|event| event.data.u64()).filter(|data| *data != TIMER).collect())
    }

    /// Makes `wanted` its members. One that is no longer wanted and still open is removed by `descriptor`.
    pub(crate) fn set<'a>(
        &mut self,
        wanted: Vec<(u64, PollFlags)>,
        descriptor: impl Fn(u64) -> Option<BorrowedFd<'a>>,
    ) -> io::Result<()> {
        for (data, _) in self.members.iter().filter(|member| !wanted.contains(member)) {
            // A closed one has left by itself, as nobody else has its open file.
            if let Some(fd) = descriptor(*data) {
                let _ = epoll::delete(&self.epoll, fd);
            }
        }
        for (data, events) in wanted.iter().filter(|member| !self.members.contains(member)) {
            let flags = match *events {
                PollFlags::OUT => epoll::EventFlags::OUT,
                _ => epoll::EventFlags::IN,
            };
            if let Some(fd) = descriptor(*data) {
                epoll::add(&self.epoll, fd, epoll::EventData::new_u64(*data), flags)?;
            }
        }
        self.members = wanted;
        Ok(())
    }

    /// Sets the moment at which it gets readable.
    pub(crate) fn set_moment(&mut self, moment: Option<Instant>) -> io::Result<()> {
        if self.moment == moment {
            return Ok(());
        }
        let left = moment.map(|at| at.saturating_duration_since(Instant::now()));
        self.arm(left)?;
        self.moment = moment;
        Ok(())
    }

    /// Gets readable anew at once, whatever it was: those who wait for a change see one.
    pub(crate) fn ring(&mut self) -> io::Result<()> {
        self.moment = None;
        self.arm(Some(Duration::ZERO))
    }

    fn arm(&self, left: Option<Duration>) -> io::Result<()> {
        // Zero would disarm it.
        let value = left.map_or(Duration::ZERO, |left| left.max(Duration::from_nanos(1)));
        let interval = super::poll::timespec(Duration::ZERO);
        let new = Itimerspec { it_interval: interval, it_value: super::poll::timespec(value) };
        timerfd_settime(self.timer.get()?, TimerfdTimerFlags::empty(), &new)?;
        Ok(())
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
