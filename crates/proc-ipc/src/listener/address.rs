//! Where to meet.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

/// Where a [`Listener`](crate::Listener) listens: a path, or an abstract name.
///
/// A path is a socket file; who may connect is a matter of the permissions of its directory, and then of the listener's
/// checks. It may be of any length, and need not be UTF-8.
///
/// An abstract name is in no directory: any process of the same network namespace may connect, or be first to listen
/// there, and nothing is left when the listener's process ends. Linux has it alone.
///
/// # Examples
///
/// ```
/// use proc_ipc::Address;
///
/// assert_eq!(Address::from("/run/app.sock").to_string(), "/run/app.sock");
/// assert_eq!(Address::from_abstract("app").to_string(), "@app");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(pub(super) Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl Address {
    /// An abstract name: any bytes, at most 107.
    pub fn from_abstract(name: impl AsRef<[u8]>) -> Address {
        Address(Kind::Abstract(name.as_ref().to_vec()))
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Path(path) => Some(path),
            Kind::Abstract(_) => None,
        }
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address(Kind::Path(path))
    }
}

macro_rules! from {
    ($($path:ty),*) => {$(
        impl From<$path> for Address {
            fn from(path: $path) -> Address {
                PathBuf::from(path).into()
            }
        }
    )*};
}

from!(&Path, &PathBuf, &str, String, &String, &OsStr, OsString);

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Path(path) => path.display().fmt(f),
            Kind::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Path(path) => path.fmt(f),
            Kind::Abstract(name) => write!(f, "\"@{}\"", name.escape_ascii()),
        }
    }
}
