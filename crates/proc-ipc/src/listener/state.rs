//! All handshakes of a listener, side by side.

use std::{
    cell::RefCell,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use proc_core::inherit::{LocalFd, NotInherited};
use rustix::event::{PollFd, PollFlags};

use super::{
    handshake::{Handshake, Step},
    hello::Types,
    key::Key,
    peer::Users,
};
use crate::{
    ring::{Duplex, Readiness, wait::sealed::Steps},
    sys::{local, poll},
};

/// Handshakes side by side. A client is silent for the microseconds between its `connect` and its hello, so honest ones
/// do not pile up.
const MAX: usize = 256;

/// Steps that are taken between two looks at the clock: clients that only come and go may be faster than they are served.
const STEPS: usize = 1024;

/// The id of the listening socket.
const LISTENING: u64 = 0;

/// What a listener wants of its clients.
pub(super) struct Rules {
    pub(super) users: Users,
    pub(super) key: Option<Key>,
    pub(super) types: Types,
    pub(super) timeout: Duration,
}

pub(super) struct State {
    sock: LocalFd,
    epoll: Arc<LocalFd>,
    rules: Rules,
    /// Oldest first, so that deadlines are in order too.
    handshakes: Vec<Handshake>,
    last_id: u64,
    refused: u64,
    /// Found by a wait, for the accept after it.
    found: Option<io::Result<Duplex>>,
}

impl State {
    pub(super) fn new(sock: OwnedFd, epoll: Arc<LocalFd>, rules: Rules) -> io::Result<State> {
        local::epoll_add(epoll.get()?, &sock, LISTENING)?;
        let sock = LocalFd::new(sock);
        Ok(State { sock, epoll, rules, handshakes: Vec::new(), last_id: LISTENING, refused: 0, found: None })
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The next client that gets in; `None` at the deadline.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> io::Result<Option<Duplex>> {
        if let Some(found) = self.found.take() {
            return found.map(Some);
        }
        loop {
            if let Some(ring) = self.advance()? {
                return Ok(Some(ring));
            }
            if deadline.is_some_and(|t| Instant::now() >= t) {
                return Ok(None);
            }
            let first = self.handshakes.first().and_then(|handshake| handshake.until);
            let until = [deadline, first].into_iter().flatten().min();
            poll::wait(&mut [PollFd::from_borrowed_fd(self.epoll.get()?, PollFlags::IN)], until)?;
        }
    }

    /// Takes steps until a client is in, or no more can be taken, or so many were taken that the caller should look at the
    /// clock.
    fn advance(&mut self) -> io::Result<Option<Duplex>> {
        for _ in 0..STEPS {
            let Some(id) = local::epoll_next(self.epoll.get()?)? else { break };
            if id == LISTENING {
                self.accept()?;
            } else if let Some(at) = self.handshakes.iter().position(|handshake| handshake.id == id) {
                if let Some(ring) = self.step(at)? {
                    return Ok(Some(ring));
                }
            }
        }
        // Only now, so that those who have said something in time have been heard.
        let now = Instant::now();
        let late = self.handshakes.partition_point(|handshake| handshake.until.is_some_and(|t| t <= now));
        for _ in 0..late {
            self.drop_out(0);
        }
        Ok(None)
    }

    fn step(&mut self, at: usize) -> io::Result<Option<Duplex>> {
        let step = self.handshakes[at].step(&self.rules);
        if !matches!(step, Ok(Step::Wait)) {
            let done = self.handshakes.remove(at);
            local::epoll_remove(self.epoll.get()?, done.fd().get()?);
        }
        match step? {
            Step::In(ring) => return Ok(Some(*ring)),
            Step::Out => self.refused += 1,
            Step::Wait => {}
        }
        Ok(None)
    }

    fn accept(&mut self) -> io::Result<()> {
        if self.handshakes.len() >= MAX {
            self.evict();
        }
        let sock = loop {
            match local::accept(self.sock.get()?) {
                Ok(None) => return Ok(()),
                Ok(Some(sock)) => break sock,
                // Whoever keeps descriptors in vain gives one back.
                Err(e) if e.raw_os_error() == Some(libc::EMFILE) && !self.handshakes.is_empty() => {
                    self.evict()
                }
                Err(e) => return Err(e),
            }
        };
        self.last_id += 1;
        let until = Instant::now().checked_add(self.rules.timeout);
        let handshake = Handshake::new(self.last_id, until, sock);
        if handshake.admit(&self.rules)? {
            local::epoll_add(self.epoll.get()?, handshake.fd().get()?, self.last_id)?;
            self.handshakes.push(handshake);
        } else {
            self.refused += 1;
        }
        Ok(())
    }

    /// Drops the client that has been silent for longest, or else the oldest.
    fn evict(&mut self) {
        let at = self.handshakes.iter().position(Handshake::is_silent).unwrap_or(0);
        self.drop_out(at);
    }

    fn drop_out(&mut self, at: usize) {
        let gone = self.handshakes.remove(at);
        if let (Ok(epoll), Ok(sock)) = (self.epoll.get(), gone.fd().get()) {
            local::epoll_remove(epoll, sock);
        }
        self.refused += 1;
    }
}

/// A listener that a wait on many watches: it takes the steps of handshakes meanwhile, and is ready when a client is in.
pub(crate) struct Watching<'a> {
    state: RefCell<MutexGuard<'a, State>>,
    epoll: &'a LocalFd,
}

impl<'a> Watching<'a> {
    pub(super) fn new(state: MutexGuard<'a, State>, epoll: &'a LocalFd) -> Watching<'a> {
        Watching { state: RefCell::new(state), epoll }
    }
}

impl Readiness for Watching<'_> {}

impl Steps for Watching<'_> {
    fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.epoll.get()
    }

    fn is_ready(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if state.found.is_none() {
            // An error is for the accept to tell.
            state.found = state.advance().transpose();
        }
        state.found.is_some()
    }

    fn arm(&mut self, _: Option<Instant>) -> io::Result<bool> {
        Ok(true)
    }

    fn disarm(&mut self, _: PollFlags) -> io::Result<()> {
        Ok(())
    }
}
