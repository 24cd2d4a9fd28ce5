//! Why what was received is not a region.

use std::{error::Error, fmt, io};

/// Why a descriptor is not the region it should be.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegionError {
    /// It is not sealed: whoever else has it could take its memory away.
    NotSealed,
    /// It does not begin as a region does.
    Foreign,
    /// It was made by another version of this library.
    Version,
    /// Its size is not the one it should have.
    Size,
    /// It holds another structure.
    Kind,
    /// It holds elements of another type.
    Layout,
    /// It was made in another PID or time namespace, where thread ids mean other threads: a lock in it could not tell
    /// whether its owner lives.
    Namespace,
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegionError::NotSealed => "the shared memory is not sealed",
            RegionError::Foreign => "the shared memory is not one of this library",
            RegionError::Version => "the shared memory was made by another version of this library",
            RegionError::Size => "the shared memory does not have the size it should have",
            RegionError::Kind => "the shared memory holds another kind of structure",
            RegionError::Layout => "the shared memory holds elements of another type",
            RegionError::Namespace => "the shared memory was made in another PID or time namespace",
        })
    }
}

impl fmt::Debug for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RegionError {}

impl From<RegionError> for io::Error {
    fn from(error: RegionError) -> io::Error {
        let kind = match error {
            RegionError::Namespace => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
