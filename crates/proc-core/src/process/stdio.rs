//! Where a process's standard streams go.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::Arc;

/// Where a standard stream of a process goes.
///
/// It takes the place of `std::process::Stdio`, out of which nothing can be read. What has a `From` for that has one for
/// this: files, sockets, pipes of a child, this process's own streams. There is no `piped`, since a process of this
/// library has no end of a pipe to give back: make a pair, keep one end, and hand over the other.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{Process, Stdio};
/// use std::io::Read;
/// use std::os::unix::net::UnixStream;
///
/// proc_core::init();
/// let (mut ours, theirs) = UnixStream::pair()?;
/// let p = Process::builder()
///     .stdin(Stdio::null())
///     .stdout(theirs)
///     .stderr(std::io::stdout())
///     .spawn(|()| println!("hello"), ())?;
/// p.join()?;
/// let mut text = String::new();
/// ours.read_to_string(&mut text)?;
/// assert_eq!(text, "hello\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// The same as this process's.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// This file, pipe or socket.
    Fd(Arc<OwnedFd>),
    /// This process's standard output.
    Stdout,
    /// This process's standard error.
    Stderr,
}

impl Stdio {
    /// [`Stdio::Null`], as std spells it.
    pub fn null() -> Stdio {
        Stdio::Null
    }

    /// [`Stdio::Inherit`], as std spells it.
    pub fn inherit() -> Stdio {
        Stdio::Inherit
    }
}

macro_rules! from {
    ($($t:ty)*) => {$(
        impl From<$t> for Stdio {
            fn from(owner: $t) -> Self {
                Stdio::Fd(Arc::new(owner.into()))
            }
        }
    )*};
}
from!(OwnedFd File UnixStream ChildStdin ChildStdout ChildStderr);

impl From<std::io::Stdout> for Stdio {
    fn from(_: std::io::Stdout) -> Self {
        Stdio::Stdout
    }
}

impl From<std::io::Stderr> for Stdio {
    fn from(_: std::io::Stderr) -> Self {
        Stdio::Stderr
    }
}
