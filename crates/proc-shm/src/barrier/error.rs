//! Why one did not come through a barrier.

use std::{error::Error, fmt, io};

use proc_core::{RemoteError, inherit::NotInherited};
use serde::{Deserialize, Serialize};

use crate::LockError;

/// Why one did not come through a [`Barrier`](crate::Barrier).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BarrierError {
    /// It is broken: a party died, or its time was up, or somebody aborted or reset it.
    Broken,
    /// 512 other processes have waited at it, live, and still have their handles.
    TooMany,
    /// This is a forked child of the process that the handle belongs to, and the handle was not given to it.
    NotInherited,
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BarrierError::Broken => "the barrier is broken",
            BarrierError::TooMany => "too many processes take part in the barrier",
            BarrierError::NotInherited => {
                "the barrier belongs to the process from which this one was forked, and was not handed to it"
            }
        })
    }
}

impl fmt::Debug for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for BarrierError {}

impl From<NotInherited> for BarrierError {
    fn from(_: NotInherited) -> BarrierError {
        BarrierError::NotInherited
    }
}

/// So that `?` on a wait serves where locks are taken, too.
impl From<BarrierError> for LockError {
    fn from(error: BarrierError) -> LockError {
        match error {
            BarrierError::Broken => LockError::Broken,
            BarrierError::TooMany => LockError::TooMany,
            BarrierError::NotInherited => LockError::NotInherited,
        }
    }
}

impl From<BarrierError> for io::Error {
    fn from(error: BarrierError) -> io::Error {
        let kind = match error {
            BarrierError::NotInherited => io::ErrorKind::Unsupported,
            BarrierError::Broken | BarrierError::TooMany => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<BarrierError> for RemoteError {
    fn from(error: BarrierError) -> RemoteError {
        RemoteError::new(error)
    }
}
