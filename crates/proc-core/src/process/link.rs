//! The socket between a process and the one that started it: work goes down it, a reply and perhaps a status come up.

use super::error::Panic;
use crate::inherit::LocalFd;
use crate::status::ExitStatus;
use crate::transfer::{Packed, packet};
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What comes up.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The function's value.
    Value(Packed),
    /// It panicked.
    Panicked(Panic),
    /// Its value does not cross.
    Encode(String),
    /// It refused its work.
    Refused(String),
    /// A process that another one has forked for us: its id, and with it its pidfd.
    Started(u32, OwnedFd),
    /// A zygote has not forked the process.
    NotForked(String),
    /// A zygote has reaped the process.
    Status(ExitStatus),
    /// A zygote is ready.
    Ready,
}

impl Reply {
    /// Whether it ends the work: what comes before is about the start.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Reply::Value(_) | Reply::Panicked(_) | Reply::Encode(_) | Reply::Refused(_))
    }
}

/// The replies that are no bytes of a value.
#[derive(Serialize, Deserialize)]
enum Note {
    Panicked(Panic),
    Encode(String),
    Refused(String),
    Started(u32),
    NotForked(String),
    Status(ExitStatus),
    Ready,
}

const VALUE: u8 = 0;
const NOTE: u8 = 1;

/// Sends a reply. The receiver need not be reading: one small packet, or a file.
pub(crate) fn reply(socket: BorrowedFd<'_>, reply: Reply) -> io::Result<()> {
    let mut fds = Vec::new();
    let note = match reply {
        Reply::Value(mut packed) => {
            packed.bytes.push(VALUE);
            return packet::send_packed(socket, &packed, None);
        }
        Reply::Started(id, pidfd) => {
            fds.push(pidfd);
            Note::Started(id)
        }
        Reply::Panicked(panic) => Note::Panicked(panic),
        Reply::Encode(why) => Note::Encode(why),
        Reply::Refused(why) => Note::Refused(why),
        Reply::NotForked(why) => Note::NotForked(why),
        Reply::Status(status) => Note::Status(status),
        Reply::Ready => Note::Ready,
    };
    let mut bytes = crate::transfer::pack(&note).map_err(io::Error::other)?.bytes;
    bytes.push(NOTE);
    packet::send_packed(socket, &Packed { bytes, fds }, None)
}

fn parse(mut bytes: Vec<u8>, mut fds: Vec<OwnedFd>) -> Option<Reply> {
    match bytes.pop()? {
        VALUE => Some(Reply::Value(Packed { bytes, fds })),
        NOTE => Some(match crate::transfer::unpack(&bytes, Vec::new()).ok()? {
            Note::Panicked(panic) => Reply::Panicked(panic),
            Note::Encode(why) => Reply::Encode(why),
            Note::Refused(why) => Reply::Refused(why),
            Note::Started(id) => Reply::Started(id, fds.pop()?),
            Note::NotForked(why) => Reply::NotForked(why),
            Note::Status(status) => Reply::Status(status),
            Note::Ready => Reply::Ready,
        }),
        _ => None,
    }
}

/// Our end of the socket, and what came up it so far.
#[derive(Debug)]
pub(crate) struct Link {
    socket: LocalFd,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    replies: VecDeque<Reply>,
    status: Option<ExitStatus>,
    /// Why a message that had come could not be received: it is lost.
    error: Option<io::Error>,
    closed: bool,
}

impl Link {
    /// A new link: our end, and the end that the child gets.
    pub(crate) fn new() -> io::Result<(Link, OwnedFd)> {
        let (ours, theirs) = packet::pair()?;
        Ok((Link { socket: LocalFd::new(ours), inbox: Mutex::default() }, theirs))
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes everything in that has come, without waiting.
    pub(crate) fn collect(&self) {
        let mut inbox = self.inbox();
        while self.collect_one(&mut inbox) {}
    }

    /// Takes a message in; `false` if none is there, or it could not be received.
    fn collect_one(&self, inbox: &mut Inbox) -> bool {
        if inbox.closed {
            return false;
        }
        match packet::recv(self.socket(), Some(Instant::now())) {
            Ok(Some((bytes, fds))) => match parse(bytes, fds) {
                Some(Reply::Status(status)) => inbox.status = Some(status),
                Some(reply) => inbox.replies.push_back(reply),
                None => {}
            },
            Ok(None) => inbox.closed = true,
            Err(e) if e.kind() == io::ErrorKind::TimedOut => return false,
            Err(e) => {
                inbox.error = Some(e);
                return false;
            }
        }
        true
    }

    /// The first reply that ends the work, of those that have come. What comes behind it is not looked at.
    pub(crate) fn take_final(&self) -> Option<Reply> {
        let mut inbox = self.inbox();
        loop {
            while let Some(reply) = inbox.replies.pop_front() {
                if reply.is_final() {
                    return Some(reply);
                }
            }
            if !self.collect_one(&mut inbox) {
                return None;
            }
        }
    }

    /// Waits for the next message and takes in all that came; `false` if the deadline was over first.
    pub(crate) fn collect_until(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let ready = crate::sys::pidfd::poll_one(self.socket(), PollFlags::IN, deadline)?.is_some();
        self.collect();
        Ok(ready)
    }

    /// The oldest reply that nobody has taken.
    pub(crate) fn take_reply(&self) -> Option<Reply> {
        self.inbox().replies.pop_front()
    }

    /// Returns a reply that is somebody else's.
    pub(crate) fn put_back(&self, reply: Reply) {
        self.inbox().replies.push_front(reply);
    }

    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.inbox().status
    }

    pub(crate) fn has_error(&self) -> bool {
        self.inbox().error.is_some()
    }

    /// The error by which the last message was lost, once.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.inbox().error.take()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inbox().closed
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
