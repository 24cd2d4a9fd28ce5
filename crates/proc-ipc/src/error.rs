//! What can go wrong with a channel.

use std::{error::Error, fmt, io};

use proc_core::{
    RemoteError,
    inherit::NotInherited,
    transfer::{PackError, UnpackError},
};
use serde::{Deserialize, Serialize};

use crate::ring;

/// A message was not sent, and never will be received. Gives it back: [`into_inner`](SendError::into_inner).
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::one_way::<String>()?;
/// drop(rx);
/// let error = tx.send("anybody there?".to_string()).unwrap_err();
/// assert!(error.is_disconnected());
/// assert_eq!(error.into_inner(), "anybody there?");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct SendError<T> {
    message: T,
    // A thin pointer: the result of a send that went well stays small.
    cause: Box<Cause>,
}

#[derive(Debug)]
pub(crate) enum Cause {
    Full,
    TooLong,
    Disconnected,
    Corrupted,
    NotInherited(NotInherited),
    Encode(PackError),
    Io(io::Error),
}

impl<T> SendError<T> {
    #[cold]
    pub(crate) fn new(message: T, cause: Cause) -> SendError<T> {
        SendError { message, cause: Box::new(cause) }
    }

    /// The message.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// The message, to look at.
    pub fn get_ref(&self) -> &T {
        &self.message
    }

    /// Whether there was no room, now or until the deadline. A `try_send` of a message that is longer than the channel
    /// can hold at once is refused too, but is not full: it needs a `send`.
    pub fn is_full(&self) -> bool {
        matches!(*self.cause, Cause::Full)
    }

    /// Whether nobody can receive it any more: the other end was dropped, or its process ended.
    pub fn is_disconnected(&self) -> bool {
        matches!(*self.cause, Cause::Disconnected)
    }

    /// Whether the message itself can't cross: its `Serialize` failed, or its type has no strict encoding.
    pub fn is_encode(&self) -> bool {
        matches!(*self.cause, Cause::Encode(_))
    }

    /// The same error about another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> SendError<U> {
        SendError { message: f(self.message), cause: self.cause }
    }
}

impl Cause {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Cause::Full => io::ErrorKind::WouldBlock,
            Cause::TooLong | Cause::Encode(_) => io::ErrorKind::InvalidInput,
            Cause::Disconnected => io::ErrorKind::BrokenPipe,
            Cause::Corrupted => io::ErrorKind::InvalidData,
            Cause::NotInherited(_) => io::ErrorKind::Unsupported,
            Cause::Io(e) => e.kind(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Full => f.write_str("the channel is full"),
            Cause::TooLong => f.write_str("the message is longer than the channel can hold at once"),
            Cause::Disconnected => f.write_str("nobody receives: the other end of the channel is gone"),
            Cause::Corrupted => f.write_str("the memory of the channel is corrupted"),
            Cause::NotInherited(e) => e.fmt(f),
            Cause::Encode(e) => e.fmt(f),
            Cause::Io(e) => write!(f, "cannot send: {e}"),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Cause::NotInherited(e) => Some(e),
            Cause::Encode(e) => Some(e),
            Cause::Io(e) => Some(e),
            _ => None,
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<T> Error for SendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl<T> From<SendError<T>> for io::Error {
    fn from(error: SendError<T>) -> io::Error {
        io::Error::new(error.cause.kind(), error.cause)
    }
}

impl<T> From<SendError<T>> for RemoteError {
    fn from(error: SendError<T>) -> RemoteError {
        RemoteError::new(error.cause)
    }
}

impl From<ring::SendError> for Cause {
    fn from(error: ring::SendError) -> Cause {
        match error {
            ring::SendError::Full => Cause::Full,
            ring::SendError::TooLong => Cause::TooLong,
            ring::SendError::Disconnected => Cause::Disconnected,
            ring::SendError::Corrupted => Cause::Corrupted,
            ring::SendError::NotInherited(e) => Cause::NotInherited(e),
            ring::SendError::Io(e) => Cause::Io(e),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Io(error)
    }
}

impl From<NotInherited> for Cause {
    fn from(error: NotInherited) -> Cause {
        Cause::NotInherited(error)
    }
}

/// No message was received.
///
/// # Examples
///
/// ```
/// use proc_ipc::RecvError;
///
/// let (tx, rx) = proc_ipc::one_way::<String>()?;
/// tx.send_bytes(&[200, 1])?; // no `String`
/// let error = rx.recv().unwrap_err();
/// assert!(matches!(error, RecvError::Decode(_)) && !error.is_final());
/// drop(tx);
/// assert_eq!(rx.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RecvError {
    /// The end: all sending ends were dropped or closed, and everything that was sent has been received.
    Disconnected,
    /// The process with the sending end ended without dropping it: it was killed, it aborted, or it left by
    /// [`exit`](std::process::exit). Everything that it had sent has been received.
    PeerDied,
    /// A message came and was taken, but it is not one of this type. Why, in words. The next one is not affected.
    Decode(String),
    /// The shared memory makes no sense: a process that has the channel wrote where it must not, or two processes use
    /// one end of a pipe.
    Corrupted,
    /// This is a forked child, and the end belongs to its parent.
    NotInherited(NotInherited),
    /// The system refused; its error number. `EMFILE`, `ENOMEM`: there was no room in this process for a message or its
    /// descriptors, and it is lost; the next one is not affected.
    Os(i32),
}

impl RecvError {
    /// Whether no message can come any more: all errors but [`Decode`](RecvError::Decode) and [`Os`](RecvError::Os).
    pub fn is_final(&self) -> bool {
        !matches!(self, RecvError::Decode(_) | RecvError::Os(_))
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Disconnected => f.write_str("nobody sends: the other end of the channel is closed"),
            RecvError::PeerDied => f.write_str("the process with the sending end of the channel died"),
            RecvError::Decode(why) => f.write_str(why),
            RecvError::Corrupted => f.write_str("the memory of the channel is corrupted"),
            RecvError::NotInherited(e) => e.fmt(f),
            RecvError::Os(errno) => write!(f, "cannot receive: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

impl fmt::Debug for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RecvError::NotInherited(e) => Some(e),
            _ => None,
        }
    }
}

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> io::Error {
        let kind = match &error {
            RecvError::Disconnected => io::ErrorKind::UnexpectedEof,
            RecvError::PeerDied => io::ErrorKind::ConnectionReset,
            RecvError::Decode(_) | RecvError::Corrupted => io::ErrorKind::InvalidData,
            RecvError::NotInherited(_) => io::ErrorKind::Unsupported,
            RecvError::Os(errno) => io::Error::from_raw_os_error(*errno).kind(),
        };
        io::Error::new(kind, error)
    }
}

impl From<RecvError> for RemoteError {
    fn from(error: RecvError) -> RemoteError {
        RemoteError::new(error)
    }
}

impl From<ring::RecvError> for RecvError {
    fn from(error: ring::RecvError) -> RecvError {
        match error {
            ring::RecvError::Disconnected => RecvError::Disconnected,
            ring::RecvError::PeerDied => RecvError::PeerDied,
            ring::RecvError::Corrupted => RecvError::Corrupted,
            ring::RecvError::NotInherited(e) => RecvError::NotInherited(e),
            ring::RecvError::Io(e) => e.into(),
        }
    }
}

impl From<io::Error> for RecvError {
    fn from(error: io::Error) -> RecvError {
        let memory = || if error.kind() == io::ErrorKind::OutOfMemory { libc::ENOMEM } else { libc::EIO };
        RecvError::Os(error.raw_os_error().unwrap_or_else(memory))
    }
}

impl From<NotInherited> for RecvError {
    fn from(error: NotInherited) -> RecvError {
        RecvError::NotInherited(error)
    }
}

impl From<UnpackError> for RecvError {
    fn from(error: UnpackError) -> RecvError {
        RecvError::Decode(error.to_string())
    }
}
