//! What a program reads.

use super::{Held, Once};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

/// Standard input of a program: bytes, a file, a reader, or nothing.
///
/// Bytes are written while the output is read, so neither side can wait for the other. A program that ends, or closes
/// its input, before it has read them all is no error.
///
/// ```
/// use proc_exec::{Command, Input};
///
/// assert_eq!(Command::new("cat").input("text").read()?, "text");
/// assert_eq!(Command::new("wc").arg("-l").input(Input::path("/dev/null")).read()?, "0");
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[derive(Clone)]
pub struct Input(pub(crate) Source);

/// Bytes that clones of a command share.
#[derive(Clone)]
pub(crate) struct Bytes(Arc<Vec<u8>>);

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Bytes(Arc::new(bytes))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Clone)]
pub(crate) enum Source {
    Inherit,
    Null,
    /// A pipe that stays open for whoever has the handle.
    Pipe,
    Bytes(Bytes),
    Reader(Once<dyn Read + Send>),
    Path(PathBuf),
    File(Arc<OwnedFd>),
    Given(Once<OwnedFd>),
}

impl Input {
    /// The standard input of this process.
    pub fn inherit() -> Self {
        Input(Source::Inherit)
    }

    /// An empty input, `/dev/null`.
    pub fn null() -> Self {
        Input(Source::Null)
    }

    /// A pipe whose other end is taken by [`Child::take_stdin`](crate::Child::take_stdin). It ends at once with a verb
    /// that gives no handle, and with a wait to the end if nobody has taken it.
    pub fn pipe() -> Self {
        Input(Source::Pipe)
    }

    /// A file, opened at each start.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Input(Source::Path(path.into()))
    }

    /// What `reader` gives, read by the thread that waits for the program. A read that blocks holds up that thread, and
    /// with it the time limit: for a pipe or socket hand over the descriptor instead. The first start takes it.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Input(Source::Reader(Once::new(Box::new(reader))))
    }

    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Input(Source::Bytes(Bytes::new(bytes)))
    }

    fn given(fd: OwnedFd) -> Self {
        Input(Source::Given(Once::new(Box::new(fd))))
    }
}

impl Source {
    /// The bytes and the reader of what goes through a pipe.
    pub(crate) fn is_piped(&self) -> bool {
        matches!(self, Source::Pipe | Source::Bytes(_) | Source::Reader(_))
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Input::bytes(bytes)
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Input::bytes(text.into_bytes())
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Input::bytes(text.as_bytes().to_vec())
    }
}

impl From<&String> for Input {
    fn from(text: &String) -> Self {
        Input::bytes(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        Input::bytes(bytes.to_vec())
    }
}

impl From<&Vec<u8>> for Input {
    fn from(bytes: &Vec<u8>) -> Self {
        Input::bytes(bytes.clone())
    }
}

impl<const N: usize> From<&[u8; N]> for Input {
    fn from(bytes: &[u8; N]) -> Self {
        Input::bytes(bytes.to_vec())
    }
}

/// The program reads from where the file stands, and every clone of the command shares the position.
impl From<File> for Input {
    fn from(file: File) -> Self {
        Input(Source::File(Arc::new(file.into())))
    }
}

/// Given away: the first start closes our copy.
impl From<OwnedFd> for Input {
    fn from(fd: OwnedFd) -> Self {
        Input::given(fd)
    }
}

/// Given away: the first start closes our copy.
impl From<UnixStream> for Input {
    fn from(socket: UnixStream) -> Self {
        Input::given(socket.into())
    }
}

/// Shared: our copy stays open for as long as the command lives.
impl From<Arc<OwnedFd>> for Input {
    fn from(fd: Arc<OwnedFd>) -> Self {
        Input(Source::File(fd))
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Inherit => f.write_str("Inherit"),
            Source::Null => f.write_str("Null"),
            Source::Pipe => f.write_str("Pipe"),
            Source::Bytes(bytes) => write!(f, "Bytes({})", bytes.as_ref().len()),
            Source::Reader(_) => f.write_str("Reader"),
            Source::Path(path) => write!(f, "Path({path:?})"),
            Source::File(fd) => write!(f, "File({fd:?})"),
            Source::Given(_) => f.write_str("Given"),
        }
    }
}

impl Once<OwnedFd> {
    /// A descriptor that was given away; `None` if an earlier start has it.
    pub(crate) fn held(&self) -> Option<Held> {
        self.take().map(|fd| Held::Own(*fd))
    }
}
