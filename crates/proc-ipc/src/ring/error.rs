//! What can go wrong in a ring.

use std::{error::Error, fmt, io};

use proc_core::inherit::NotInherited;

/// A record was not sent. Nothing of it will be received.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room for it now, or there was none until the deadline.
    Full,
    /// It can never be sent without waiting: it is longer than the ring. [`Sender::send`](super::Sender::send) passes it
    /// in pieces.
    TooLong,
    /// The receiving end is gone, whether it was dropped or its process ended.
    Disconnected,
    /// The shared words make no sense: a process that has the ring wrote where it must not, or two use one end.
    Corrupted,
    /// This is a forked child, and the end belongs to its parent.
    NotInherited(NotInherited),
    /// The system refused memory or descriptors.
    Io(io::Error),
}

/// No record was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The sending end was dropped, and all that it sent was received.
    Disconnected,
    /// The process with the sending end ended without dropping it, and all that it sent was received.
    PeerDied,
    /// The shared words make no sense: a process that has the ring wrote where it must not, or two use one end.
    Corrupted,
    /// This is a forked child, and the end belongs to its parent.
    NotInherited(NotInherited),
    /// The system refused memory, or there was no room in this process for the record or its descriptors: it is lost.
    Io(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => f.write_str("there is no room in the ring"),
            SendError::TooLong => f.write_str("the record is longer than the ring"),
            SendError::Disconnected => f.write_str("the receiving end is gone"),
            SendError::Corrupted => f.write_str("the memory of the ring is corrupted"),
            SendError::NotInherited(e) => e.fmt(f),
            SendError::Io(e) => write!(f, "cannot send: {e}"),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Disconnected => f.write_str("the sending end is closed"),
            RecvError::PeerDied => f.write_str("the process with the sending end died"),
            RecvError::Corrupted => f.write_str("the memory of the ring is corrupted"),
            RecvError::NotInherited(e) => e.fmt(f),
            RecvError::Io(e) => write!(f, "cannot receive: {e}"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SendError::Io(e) => Some(e),
            SendError::NotInherited(e) => Some(e),
            _ => None,
        }
    }
}

impl Error for RecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RecvError::Io(e) => Some(e),
            RecvError::NotInherited(e) => Some(e),
            _ => None,
        }
    }
}

impl From<NotInherited> for SendError {
    fn from(error: NotInherited) -> SendError {
        SendError::NotInherited(error)
    }
}

impl From<NotInherited> for RecvError {
    fn from(error: NotInherited) -> RecvError {
        RecvError::NotInherited(error)
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> SendError {
        SendError::Io(error)
    }
}

impl From<io::Error> for RecvError {
    fn from(error: io::Error) -> RecvError {
        RecvError::Io(error)
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> io::Error {
        let kind = match &error {
            SendError::Full => io::ErrorKind::WouldBlock,
            SendError::TooLong => io::ErrorKind::InvalidInput,
            SendError::Disconnected => io::ErrorKind::BrokenPipe,
            SendError::Corrupted => io::ErrorKind::InvalidData,
            SendError::NotInherited(_) => io::ErrorKind::Unsupported,
            SendError::Io(e) => e.kind(),
        };
        io::Error::new(kind, error)
    }
}

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> io::Error {
        let kind = match &error {
            RecvError::Disconnected => io::ErrorKind::UnexpectedEof,
            RecvError::PeerDied => io::ErrorKind::ConnectionReset,
            RecvError::Corrupted => io::ErrorKind::InvalidData,
            RecvError::NotInherited(_) => io::ErrorKind::Unsupported,
            RecvError::Io(e) => e.kind(),
        };
        io::Error::new(kind, error)
    }
}
