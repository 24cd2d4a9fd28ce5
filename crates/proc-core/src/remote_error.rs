//! An error that crosses.

use std::{error::Error, fmt, io};

/// Any error as text, with its causes: it crosses to another process, and is an `Error` there.
///
/// It is to a function that runs elsewhere what `Box<dyn Error>` is to one that runs here: make it of any error by
/// [`new`](RemoteError::new), or let `?` make it of the errors of this crate and of std's usual ones. (A `From` for all
/// errors cannot be, as it is an `Error` itself.)
///
/// Its `Debug` is for the reader of a `main` that returns it: the message, and the causes below it.
///
/// # Examples
///
/// ```
/// use std::io;
/// use proc_core::RemoteError;
///
/// fn lines(path: &str) -> Result<usize, RemoteError> {
///     let text = std::fs::read_to_string(path)?;
///     if text.is_empty() {
///         return Err("the file is empty".into());
///     }
///     Ok(text.lines().count())
/// }
///
/// let error = lines("/no/such/file").unwrap_err();
/// assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
/// assert_eq!(lines("/dev/null").unwrap_err().to_string(), "the file is empty");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
pub struct RemoteError(Box<Parts>);

#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
struct Parts {
    message: String,
    cause: Option<Box<Link>>,
    debug: String,
    io: Option<IoPart>,
}

/// What was the `source` of an error, and its own.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
struct Link {
    message: String,
    next: Option<Box<Link>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
enum IoPart {
    Os(i32),
    /// An index into `KINDS`.
    Kind(u8),
}

/// Causes that are kept: enough for every honest error, and an end for one whose `source` leads back to itself.
const MAX_CAUSES: usize = 32;

impl RemoteError {
    /// The text of `error`, of its causes, and of its `Debug`.
    ///
    /// A `RemoteError` in a box is taken out unchanged.
    pub fn new<E: Into<Box<dyn Error + Send + Sync>>>(error: E) -> RemoteError {
        match error.into().downcast::<RemoteError>() {
            Ok(same) => *same,
            Err(error) => RemoteError::of(&*error),
        }
    }

    /// The causes: the texts of what was its `source`, of that one's, and so on. At most 32.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.cause.as_deref(), |link| link.next.as_deref()).map(|link| &*link.message)
    }

    /// What `{:?}` said of the original error.
    pub fn debug(&self) -> &str {
        &self.0.debug
    }

    /// The kind of the `io::Error` that this was, or that was the first among its causes.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self.0.io? {
            IoPart::Os(code) => Some(io::Error::from_raw_os_error(code).kind()),
            IoPart::Kind(index) => {
                Some(KINDS.get(usize::from(index)).copied().unwrap_or(io::ErrorKind::Other))
            }
        }
    }

    /// The code of the operating system in that `io::Error` (`errno`).
    pub fn raw_os_error(&self) -> Option<i32> {
        match self.0.io {
            Some(IoPart::Os(code)) => Some(code),
            _ => None,
        }
    }

    fn of(error: &(dyn Error + 'static)) -> RemoteError {
        let causes: Vec<_> =
            std::iter::successors(error.source(), |&e| e.source()).take(MAX_CAUSES).collect();
        let io = std::iter::once(error).chain(causes.iter().copied()).find_map(io_part);
        let link = |next, e: &&(dyn Error + 'static)| Some(Box::new(Link { message: e.to_string(), next }));
        RemoteError(Box::new(Parts {
            message: error.to_string(),
            cause: causes.iter().rev().fold(None, link),
            debug: format!("{error:?}"),
            io,
        }))
    }
}

fn io_part(error: &(dyn Error + 'static)) -> Option<IoPart> {
    if let Some(remote) = error.downcast_ref::<RemoteError>() {
        return remote.0.io;
    }
    let error = error.downcast_ref::<io::Error>()?;
    let kind = || KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(0) as u8;
    Some(error.raw_os_error().map_or_else(|| IoPart::Kind(kind()), IoPart::Os))
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.cause.is_some() {
            f.write_str("\n\nCaused by:")?;
        }
        for cause in self.chain() {
            write!(f, "\n    {}", cause.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|link| link as _)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|link| link as _)
    }
}

impl From<RemoteError> for io::Error {
    fn from(error: RemoteError) -> io::Error {
        io::Error::new(error.io_kind().unwrap_or(io::ErrorKind::Other), error)
    }
}

macro_rules! from {
    ($($error:ty)*) => {
        $(
            impl From<$error> for RemoteError {
                fn from(error: $error) -> RemoteError {
                    RemoteError::new(error)
                }
            }
        )*
    };
}

from! {
    io::Error
    String
    &str
    Box<dyn Error + Send + Sync>
    fmt::Error
    std::num::ParseIntError
    std::num::ParseFloatError
    std::num::TryFromIntError
    std::str::Utf8Error
    std::string::FromUtf8Error
    std::env::VarError
    std::time::SystemTimeError
    crate::inherit::NotInherited
}

#[cfg(feature = "functions")]
from! {
    crate::transfer::PackError
    crate::transfer::UnpackError
}

/// The kinds that an `io::Error` without a code of the system can have: by place, as `ErrorKind` has no stable numbers.
const KINDS: [io::ErrorKind; 38] = {
    use io::ErrorKind::*;
    [
        Other,
        NotFound,
        PermissionDenied,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        NetworkUnreachable,
        ConnectionAborted,
        NotConnected,
        AddrInUse,
        AddrNotAvailable,
        NetworkDown,
        BrokenPipe,
        AlreadyExists,
        WouldBlock,
        NotADirectory,
        IsADirectory,
        DirectoryNotEmpty,
        ReadOnlyFilesystem,
        StaleNetworkFileHandle,
        InvalidInput,
        InvalidData,
        TimedOut,
        WriteZero,
        StorageFull,
        NotSeekable,
        QuotaExceeded,
        FileTooLarge,
        ResourceBusy,
        ExecutableFileBusy,
        Deadlock,
        TooManyLinks,
        ArgumentListTooLong,
        Interrupted,
        Unsupported,
        UnexpectedEof,
        OutOfMemory,
        CrossesDevices,
    ]
};
