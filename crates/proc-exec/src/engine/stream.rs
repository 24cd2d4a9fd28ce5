//! One stream that a program writes and we read.

use super::bounded_line::Bound;
use super::kept::{CHUNK, Kept};
use crate::stdio::{Observer, Stream};
use crate::sys::descriptors::{self, Moved};
use proc_core::inherit::LocalFd;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Reads in one turn, before the clock and the other descriptors are looked at again.
const TURN: usize = 16;

/// What a pipe of much output holds: half of what the system gives to everybody. With all of it the bytes leave the caches.
const BULK: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Fine,
    OverLimit,
}

pub(crate) struct Outlet {
    fd: Option<LocalFd>,
    pub(crate) stream: Stream,
    pub(super) stage: usize,
    pub(crate) kept: Kept,
    observers: Vec<Observer>,
    keep: bool,
    nonblocking: bool,
    enlarged: bool,
    /// Our end of a terminal, after its end: closed before the program has exited, it would be a hang-up (SIGHUP).
    held: Option<LocalFd>,
    pub(crate) is_terminal: bool,
    /// It is not read while it holds a whole line: the program waits for whoever takes the lines.
    by_line: bool,
    /// Something still had it open when we stopped to read.
    pub(super) incomplete: bool,
}

impl Outlet {
    pub(crate) fn new(
        fd: OwnedFd,
        stream: Stream,
        stage: usize,
        limit: Option<Bound>,
        observers: Vec<Observer>,
        keep: bool,
    ) -> Self {
        Outlet {
            fd: Some(LocalFd::new(fd)),
            stream,
            stage,
            kept: Kept::new(limit),
            observers,
            keep,
            nonblocking: false,
            enlarged: false,
            held: None,
            is_terminal: false,
            by_line: false,
            incomplete: false,
        }
    }

    pub(super) fn fd(&self) -> Option<&LocalFd> {
        self.fd.as_ref().or(self.held.as_ref())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.fd.is_some()
    }

    /// Whether it is read for whoever takes its lines, each within the limit.
    pub(crate) fn read_by_line(&mut self, yes: bool) {
        self.by_line = yes;
        self.kept.by_line(yes);
    }

    /// It has what its reader waits for, and is not read until that is taken.
    pub(super) fn is_full(&self) -> bool {
        self.by_line && self.kept.has_line()
    }

    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fd.take()?.into_owned().ok()
    }

    /// Reads what is there, a turn of it at most. Called when the descriptor is ready.
    ///
    /// The first read can't block, as nobody else reads from this pipe. Most outputs end with it; only one that fills
    /// the room is worth the calls that make the descriptor non-blocking.
    pub(super) fn read(&mut self) -> io::Result<Read> {
        for _ in 0..TURN {
            let Some(fd) = &self.fd else { return Ok(Read::Fine) };
            let room = self.kept.room();
            let free = room.capacity() - room.len();
            match descriptors::read_more(fd.get()?, room)? {
                Moved::End => {
                    self.close()?;
                    return Ok(Read::Fine);
                }
                Moved::Nothing => return Ok(Read::Fine),
                Moved::Bytes(n) => {
                    if self.arrived(n)? == Read::OverLimit {
                        return Ok(Read::OverLimit);
                    }
                    if n < free.min(CHUNK) || self.is_full() {
                        return Ok(Read::Fine);
                    }
                }
            }
            self.make_nonblocking()?;
            self.enlarge();
        }
        Ok(Read::Fine)
    }

    /// Makes the pipe of an output that fills it larger: the program and we then wait for each other once in half a mebibyte,
    /// which halves the time of a large one where waking is slow. Not where lines are taken one by one: there the
    /// program is not to run ahead.
    fn enlarge(&mut self) {
        if self.enlarged || self.by_line || self.is_terminal || self.kept.len() < CHUNK {
            return;
        }
        if let Some(Ok(fd)) = self.fd.as_ref().map(LocalFd::get) {
            descriptors::enlarge(fd, BULK);
        }
        self.enlarged = true;
    }

    /// Reads what is there once more than nobody will write any more: a pipe may be told as ended before the bytes that
    /// came last are told, so only a read knows. The usual answer is that there is nothing, and costs no room.
    pub(super) fn read_ended(&mut self) -> io::Result<Read> {
        let mut few = [0; 512];
        let Some(fd) = &self.fd else { return Ok(Read::Fine) };
        match descriptors::read_few(fd.get()?, &mut few)? {
            Moved::Bytes(n) => {
                self.kept.room().extend_from_slice(&few[..n]);
                self.arrived(n)
            }
            Moved::Nothing => Ok(Read::Fine),
            Moved::End => {
                self.close()?;
                Ok(Read::Fine)
            }
        }
    }

    /// Reads what is there until nothing is, so much at most: the last look before the descriptor is closed.
    pub(super) fn sweep(&mut self) -> io::Result<Read> {
        /// More than any pipe holds unless its maker has enlarged it as root.
        const MOST: usize = 4 << 20;
        self.make_nonblocking()?;
        let (mut seen, mut told) = (0, Read::Fine);
        while let (Some(fd), true) = (&self.fd, seen < MOST && told == Read::Fine) {
            match descriptors::read_more(fd.get()?, self.kept.room())? {
                Moved::End => self.close()?,
                Moved::Nothing => break,
                Moved::Bytes(n) => {
                    seen += n;
                    told = self.arrived(n)?;
                }
            }
        }
        if self.fd.is_some() {
            self.incomplete = true;
            self.close()?;
        }
        Ok(told)
    }

    fn arrived(&mut self, n: usize) -> io::Result<Read> {
        let limit = self.kept.limit();
        let mut fine = true;
        for observer in &mut self.observers {
            fine &= observer.see(self.kept.last(n), limit)?;
        }
        if self.keep {
            fine &= self.kept.within_limit(n);
        } else {
            self.kept.forget(n);
        }
        Ok(if fine { Read::Fine } else { Read::OverLimit })
    }

    fn make_nonblocking(&mut self) -> io::Result<()> {
        if let (false, Some(fd)) = (self.nonblocking, &self.fd) {
            descriptors::set_nonblocking(fd.as_fd())?;
            self.nonblocking = true;
        }
        Ok(())
    }

    pub(super) fn close(&mut self) -> io::Result<()> {
        if let Some(fd) = self.fd.take() {
            self.held = Some(fd).filter(|_| self.is_terminal);
            let limit = self.kept.limit();
            for observer in &mut self.observers {
                observer.end(limit)?;
            }
        }
        Ok(())
    }
}
