//! Where a program writes.

use super::Once;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

/// Where standard output or standard error of a program goes.
///
/// ```
/// use proc_exec::{Command, Sink};
///
/// let out = Command::new("sh").args(["-c", "echo kept; echo lost >&2"]).stderr(Sink::null()).run()?;
/// assert_eq!((&out.stdout[..], &out.stderr[..]), (&b"kept\n"[..], &b""[..]));
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[derive(Clone)]
pub struct Sink(pub(crate) Target);

#[derive(Clone)]
pub(crate) enum Target {
    Inherit,
    Null,
    /// A pipe that we read.
    Capture,
    /// Where the other of the two streams goes.
    Merge,
    Path {
        path: PathBuf,
        append: bool,
    },
    File(Arc<OwnedFd>),
    Given(Once<OwnedFd>),
}

impl Sink {
    /// The same stream of this process.
    pub fn inherit() -> Self {
        Sink(Target::Inherit)
    }

    /// `/dev/null`.
    pub fn null() -> Self {
        Sink(Target::Null)
    }

    /// A pipe that is read while the program is waited for.
    pub fn capture() -> Self {
        Sink(Target::Capture)
    }

    /// Where the other of the two streams goes, in the order in which the program writes. It can be said of one only.
    pub fn merge() -> Self {
        Sink(Target::Merge)
    }

    /// A file that each start makes, or empties.
    pub fn create(path: impl Into<PathBuf>) -> Self {
        Sink(Target::Path { path: path.into(), append: false })
    }

    /// A file that each start makes, or writes to the end of.
    pub fn append(path: impl Into<PathBuf>) -> Self {
        Sink(Target::Path { path: path.into(), append: true })
    }

    fn given(fd: OwnedFd) -> Self {
        Sink(Target::Given(Once::new(Box::new(fd))))
    }
}

/// The program writes where the file stands. Our copy stays open for as long as the command lives.
impl From<File> for Sink {
    fn from(file: File) -> Self {
        Sink(Target::File(Arc::new(file.into())))
    }
}

/// Given away: the first start closes our copy, so that a reader sees the end when the program has ended.
impl From<OwnedFd> for Sink {
    fn from(fd: OwnedFd) -> Self {
        Sink::given(fd)
    }
}

/// Given away, as an [`OwnedFd`].
impl From<UnixStream> for Sink {
    fn from(socket: UnixStream) -> Self {
        Sink::given(socket.into())
    }
}

/// Shared: our copy stays open for as long as the command lives.
impl From<Arc<OwnedFd>> for Sink {
    fn from(fd: Arc<OwnedFd>) -> Self {
        Sink(Target::File(fd))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Inherit => f.write_str("Inherit"),
            Target::Null => f.write_str("Null"),
            Target::Capture => f.write_str("Capture"),
            Target::Merge => f.write_str("Merge"),
            Target::Path { path, append: false } => write!(f, "Create({path:?})"),
            Target::Path { path, append: true } => write!(f, "Append({path:?})"),
            Target::File(fd) => write!(f, "File({fd:?})"),
            Target::Given(_) => f.write_str("Given"),
        }
    }
}
