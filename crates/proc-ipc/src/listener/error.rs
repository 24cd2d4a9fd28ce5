//! What can go wrong with a connection to a listener.

use std::{error::Error, fmt, io};

/// A [`Client`](crate::Client) did not get in.
#[non_exhaustive]
pub enum ConnectError {
    /// There is no such address, or nobody listens there: the socket file is one that was left behind.
    NotListening(io::Error),
    /// The time was over first.
    TimedOut,
    /// One side did not want the other.
    Refused(Refusal),
    /// The listener ended, or dropped this client: it took too long, or there were too many.
    Dropped,
    /// Whoever listens there is no [`Listener`](crate::Listener): it said something that makes no sense.
    Garbled(String),
    /// The system refused.
    Io(io::Error),
}

/// Why one side did not want the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It belongs to a user who is not allowed.
    User,
    /// One has a key and the other has none, or the keys differ.
    Key,
    /// The listener sends or receives other types. What they are, in its own words, if it said so.
    Types(String),
    /// They are in different PID namespaces. Rings would work across; locks, values and processes inside of messages
    /// would not, as they name their owners by number.
    Namespace,
    /// Their versions of this library do not understand each other.
    Version,
}

impl Refusal {
    pub(super) fn code(&self) -> u8 {
        match self {
            Refusal::User => 1,
            Refusal::Key => 2,
            Refusal::Types(_) => 3,
            Refusal::Namespace => 4,
            Refusal::Version => 5,
        }
    }

    pub(super) fn from_code(code: u8, text: &[u8]) -> Option<Refusal> {
        Some(match code {
            1 => Refusal::User,
            2 => Refusal::Key,
            // It is going to be shown to somebody, perhaps on a terminal.
            3 => Refusal::Types(String::from_utf8_lossy(text).escape_debug().to_string()),
            4 => Refusal::Namespace,
            5 => Refusal::Version,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::User => "its process belongs to a user who is not allowed",
            Refusal::Key => "it has another key, or none, or is the only one that has one",
            Refusal::Types(theirs) if theirs.is_empty() => "it sends or receives other types",
            Refusal::Types(theirs) => return write!(f, "the types differ: the listener {theirs}"),
            Refusal::Namespace => "it is in another PID namespace",
            Refusal::Version => "it has another version of this library",
        })
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::NotListening(e) => write!(f, "nobody listens there: {e}"),
            ConnectError::TimedOut => f.write_str("no connection in time"),
            ConnectError::Refused(why) => write!(f, "the connection was refused: {why}"),
            ConnectError::Dropped => f.write_str("the listener ended, or dropped the connection"),
            ConnectError::Garbled(what) => write!(f, "whoever listens there is no listener of ours: {what}"),
            ConnectError::Io(e) => write!(f, "cannot connect: {e}"),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConnectError::NotListening(e) | ConnectError::Io(e) => Some(e),
            _ => None,
        }
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> io::Error {
        let kind = match &error {
            ConnectError::NotListening(e) | ConnectError::Io(e) => e.kind(),
            ConnectError::TimedOut => io::ErrorKind::TimedOut,
            ConnectError::Refused(_) => io::ErrorKind::PermissionDenied,
            ConnectError::Dropped => io::ErrorKind::ConnectionReset,
            ConnectError::Garbled(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl From<ConnectError> for proc_core::RemoteError {
    fn from(error: ConnectError) -> proc_core::RemoteError {
        proc_core::RemoteError::new(error)
    }
}
