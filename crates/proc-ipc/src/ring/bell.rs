//! The socket of one end: it rings, it brings descriptors, and its end is the peer's.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use proc_core::inherit::{LocalFd, NotInherited};
use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
};

use crate::sys::{poll, socket};

/// One end of the socket pair of a ring.
#[derive(Debug)]
pub(crate) struct Bell {
    socket: LocalFd,
}

/// What a wait on a bell ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// It was rung, or descriptors came.
    Bell,
    /// The peer is gone; what it committed before is all that there will be.
    HungUp,
    /// The deadline.
    TimedOut,
}

/// The peer is gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Descriptors that came, each with the ticket of its message.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) fds: VecDeque<(u64, OwnedFd)>,
    /// Of these tickets some could not be delivered, as the table of this process was full. In ascending order.
    pub(crate) cut: VecDeque<u64>,
}

impl Arrived {
    /// Takes the descriptors of `ticket` out; those of smaller ones belong to messages that were never committed.
    /// `None` if some could not be delivered.
    pub(crate) fn take(&mut self, ticket: u64) -> Option<Vec<OwnedFd>> {
        let (mut fds, mut whole) = (Vec::new(), true);
        while self.fds.front().is_some_and(|(of, _)| *of <= ticket) {
            fds.extend(self.fds.pop_front().filter(|(of, _)| *of == ticket).map(|(_, fd)| fd));
        }
        while self.cut.front().is_some_and(|of| *of <= ticket) {
            whole &= self.cut.pop_front() != Some(ticket);
        }
        whole.then_some(fds)
    }
}

impl Bell {
    pub(crate) fn pair() -> io::Result<(Bell, Bell)> {
        let (a, b) = socket::pair()?;
        Ok((Bell::new(a), Bell::new(b)))
    }

    pub(crate) fn new(socket: OwnedFd) -> Bell {
        Bell { socket: LocalFd::new(socket) }
    }

    pub(crate) fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.socket.get()
    }

    /// Wakes the peer. A socket full of bells is as good as one more.
    #[cold]
    pub(crate) fn ring(&self) -> Result<(), Gone> {
        let Ok(socket) = self.socket.get() else { return Ok(()) };
        match socket::send(socket, &[1]) {
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(Gone),
            _ => Ok(()),
        }
    }

    /// Sends descriptors ahead of the record that will state their ticket; false when the deadline came first, and then
    /// those that were sent are orphans, whose ticket no record will have.
    pub(crate) fn send_fds(
        &self,
        ticket: u64,
        fds: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<bool, SendFdsError> {
        let socket = self.socket.get().map_err(io::Error::from)?;
        for some in fds.chunks(socket::MAX_FDS) {
            loop {
                match socket::send_fds(socket, &ticket.to_ne_bytes(), some) {
                    Ok(()) => break,
                    Err(Errno::AGAIN) => {
                        if !poll::wait(&mut [PollFd::new(&socket, PollFlags::OUT)], deadline)? {
                            return Ok(false);
                        }
                    }
                    Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(SendFdsError::Gone),
                    Err(e) => return Err(SendFdsError::Io(e.into())),
                }
            }
        }
        Ok(true)
    }

    /// Takes one packet off the socket, if there is one: a bell is done with, descriptors are put to the others.
    pub(crate) fn collect(&self, arrived: &mut Arrived) -> io::Result<bool> {
        let mut fds = Vec::new();
        match socket::recv_with(self.socket.get()?, |fd| fds.push(fd)) {
            Ok(packet) => {
                if let Some(ticket) = packet.ticket() {
                    if packet.cut && arrived.cut.back() != Some(&ticket) {
                        arrived.cut.push_back(ticket);
                    }
                    arrived.fds.extend(fds.into_iter().map(|fd| (ticket, fd)));
                }
                Ok(!packet.is_empty())
            }
            Err(Errno::AGAIN | Errno::CONNRESET) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// [`collect`](Bell::collect), unless the next packet belongs to a later message than that of `ticket`: what this
    /// process has no room for yet stays in the socket.
    pub(crate) fn collect_to(&self, ticket: u64, arrived: &mut Arrived) -> io::Result<bool> {
        match socket::next(self.socket.get()?) {
            socket::Next::Fds(next) if next > ticket => Ok(false),
            socket::Next::None => Ok(false),
            _ => self.collect(arrived),
        }
    }

    /// Sleeps until the bell rings.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<Rung> {
        let socket = self.socket.get()?;
        let mut fds = [PollFd::new(&socket, PollFlags::IN)];
        Ok(if poll::wait(&mut fds, deadline)? { outcome(fds[0].revents()) } else { Rung::TimedOut })
    }

    /// Whether the peer is gone: one system call.
    pub(crate) fn is_hung_up(&self) -> io::Result<bool> {
        let socket = self.socket.get()?;
        let mut fds = [PollFd::new(&socket, PollFlags::empty())];
        Ok(poll::look(&mut fds)? && outcome(fds[0].revents()) == Rung::HungUp)
    }
}

#[derive(Debug)]
pub(crate) enum SendFdsError {
    Gone,
    Io(io::Error),
}

impl From<io::Error> for SendFdsError {
    fn from(error: io::Error) -> SendFdsError {
        SendFdsError::Io(error)
    }
}

/// What the events of a bell's socket mean.
pub(crate) fn outcome(events: PollFlags) -> Rung {
    if events.intersects(PollFlags::HUP | PollFlags::ERR) { Rung::HungUp } else { Rung::Bell }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
