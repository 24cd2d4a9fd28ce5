//! What is written to a program's standard input.

use crate::stdio::Bytes;
use crate::sys::descriptors::{self, Moved};
use crate::sys::signals;
use proc_core::inherit::LocalFd;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// An empty pipe takes so much without waiting, whatever its size (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// Input from here on gets a larger pipe: fewer changes between two processes.
const BULK: usize = 1 << 20;
const READER_CHUNK: usize = 64 * 1024;
/// Writes in one turn, before the clock and the other descriptors are looked at again.
const TURN: usize = 16;

pub(crate) struct Feed {
    fd: Option<LocalFd>,
    queue: VecDeque<Bytes>,
    /// How much of the first in the queue is written.
    at: usize,
    reader: Option<Box<dyn Read + Send>>,
    /// Somebody may bring more: an empty queue is no end.
    pub(crate) stays_open: bool,
    /// It is a pipe for whoever takes it; nobody does once the program is waited for to its end.
    pub(crate) for_taking: bool,
    nonblocking: bool,
    /// Our end of a terminal, after the end of the input. The outlet has the same open file, so that closing this one
    /// would leave it in whatever waits for it.
    held: Option<LocalFd>,
    /// It is we who have ended it, and not the program, which may read what it likes.
    ended: bool,
    /// On a terminal an end is a character, not a closed descriptor.
    pub(crate) is_terminal: bool,
}

impl Feed {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Feed {
            fd: Some(LocalFd::new(fd)),
            queue: VecDeque::new(),
            at: 0,
            reader: None,
            stays_open: false,
            for_taking: false,
            nonblocking: false,
            held: None,
            ended: false,
            is_terminal: false,
        }
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.fd.is_some() && !bytes.as_ref().is_empty() {
            self.queue.push_back(bytes);
        }
    }

    pub(crate) fn read_from(&mut self, reader: Box<dyn Read + Send>) {
        self.reader = Some(reader);
    }

    pub(super) fn fd(&self) -> Option<&LocalFd> {
        self.fd.as_ref().or(self.held.as_ref())
    }

    /// Why nothing can be added any more, if it can't.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        if self.reader.is_some() {
            return Some("the reader that an earlier call gave has not come to its end yet");
        }
        let is_over = self.ended || self.is_terminal && !self.stays_open && self.is_open();
        is_over.then_some("its input was ended by an earlier call")
    }

    pub(crate) fn is_open(&self) -> bool {
        self.fd.is_some()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.fd.is_none() || (self.queue.is_empty() && self.reader.is_none())
    }

    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fd.take()?.into_owned().ok()
    }

    pub(crate) fn close(&mut self) {
        self.let_go();
        self.queue.clear();
        self.reader = None;
    }

    /// Writes what can be written before anybody waits: small input is gone with this, and the descriptor with it.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        let total: usize = self.queue.iter().map(|bytes| bytes.as_ref().len()).sum();
        if self.is_terminal || self.reader.is_some() || total > AT_ONCE {
            if let (true, Some(fd)) = (total >= BULK && !self.is_terminal, &self.fd) {
                descriptors::enlarge(fd.as_fd(), BULK);
            }
            return Ok(());
        }
        if total == 0 {
            self.end_if_done();
            return Ok(());
        }
        self.write_queue()
    }

    /// Writes as much as the program takes. Called when the descriptor is ready, be it by an error.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if let (false, Some(fd)) = (self.nonblocking, &self.fd) {
            descriptors::set_nonblocking(fd.as_fd())?;
            self.nonblocking = true;
        }
        if self.queue.is_empty() {
            self.read_on()?;
        }
        self.write_queue()
    }

    fn read_on(&mut self) -> io::Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let mut chunk = Vec::with_capacity(READER_CHUNK);
        let taken = reader.take(READER_CHUNK as u64);
        match read_once(taken, &mut chunk)? {
            0 => self.reader = None,
            _ => self.queue.push_back(Bytes::new(chunk)),
        }
        Ok(())
    }

    fn write_queue(&mut self) -> io::Result<()> {
        signals::without_sigpipe(|| {
            for _ in 0..TURN {
                let (Some(fd), Some(bytes)) = (&self.fd, self.queue.front()) else { return Ok(()) };
                match descriptors::write_some(fd.get()?, &bytes.as_ref()[self.at..])? {
                    Moved::Bytes(n) => self.at += n,
                    Moved::Nothing => return Ok(()),
                    // It reads no more, and need not.
                    Moved::End => {
                        self.close();
                        return Ok(());
                    }
                }
                if self.at == bytes.as_ref().len() {
                    self.queue.pop_front();
                    self.at = 0;
                }
            }
            Ok::<(), io::Error>(())
        })?;
        self.end_if_done();
        Ok(())
    }

    fn end_if_done(&mut self) {
        if self.is_open() && self.queue.is_empty() && self.reader.is_none() && !self.stays_open {
            self.ended = true;
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let fd = self.fd.take();
        if self.is_terminal {
            self.held = fd.or(self.held.take());
        }
    }

    /// Ends a pipe that was there to be taken, and was not.
    pub(crate) fn finish_untaken(&mut self) {
        if self.for_taking {
            self.finish();
        }
    }

    /// Nothing will be added: the end comes after what is queued.
    pub(crate) fn finish(&mut self) {
        if self.stays_open && self.is_terminal {
            // VEOF twice: the first may only push out a line that has begun.
            self.push(Bytes::new(vec![4, 4]));
        }
        self.stays_open = false;
        self.end_if_done();
    }
}

/// One read that is not interrupted.
fn read_once(mut reader: impl Read, chunk: &mut Vec<u8>) -> io::Result<usize> {
    chunk.resize(READER_CHUNK, 0);
    loop {
        match reader.read(chunk) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
            Ok(n) => {
                chunk.truncate(n);
                return Ok(n);
            }
        }
    }
}
