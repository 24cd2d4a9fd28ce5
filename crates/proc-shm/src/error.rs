//! Why a lock was not taken.

use std::{error::Error, fmt, io};

use proc_core::{RemoteError, inherit::NotInherited};
use serde::{Deserialize, Serialize};

use crate::raw::UserLockError;

/// Why a lock was not taken. It crosses to other processes.
///
/// It holds no guard, so that `*value.lock()? += 1` works in `main`: what a dead owner left is reached by `repair`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LockError {
    /// A process died, or a thread panicked, while it had the lock, so that what the lock guards may be half changed. It
    /// stays so until somebody calls `repair`.
    OwnerDied,
    /// This thread has the lock already, and would wait for itself.
    Deadlock,
    /// This thread has 2,000 locks, or all 64 places of the readers of one lock; or 512 other processes, all of them alive,
    /// hold permits of the semaphore.
    TooMany,
    /// A semaphore would have more permits than its bound.
    AboveBound,
    /// The array could not be parted like this: it has another number of parts already, it is too short or too long for so
    /// many, or there is no memory for their locks.
    NoSuchParts,
    /// A wait at a barrier failed, as the barrier is broken: see [`BarrierError`](crate::BarrierError).
    Broken,
    /// This is a forked child of the process that the handle belongs to, and the handle was not given to it.
    NotInherited,
}

impl LockError {
    /// Whether a former owner died and nobody has repaired what it left.
    pub fn is_poisoned(&self) -> bool {
        *self == LockError::OwnerDied
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockError::OwnerDied => {
                "a former owner of the lock died with it, and nobody has repaired what it left"
            }
            LockError::Deadlock => "this thread has the lock already",
            LockError::TooMany => {
                "too many locks or readers in this thread, or too many processes at the object"
            }
            LockError::AboveBound => "the semaphore would have more permits than its bound",
            LockError::NoSuchParts => "the array could not be parted into so many parts",
            LockError::Broken => "the barrier is broken",
            LockError::NotInherited => {
                "the lock belongs to the process from which this one was forked, and was not handed to it"
            }
        })
    }
}

impl fmt::Debug for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for LockError {}

impl From<UserLockError> for LockError {
    #[cold]
    fn from(error: UserLockError) -> LockError {
        match error {
            UserLockError::Poisoned => LockError::OwnerDied,
            UserLockError::Deadlock => LockError::Deadlock,
            UserLockError::TooMany => LockError::TooMany,
        }
    }
}

impl From<NotInherited> for LockError {
    #[cold]
    fn from(_: NotInherited) -> LockError {
        LockError::NotInherited
    }
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> io::Error {
        let kind = match error {
            LockError::Deadlock => io::ErrorKind::Deadlock,
            LockError::NotInherited => io::ErrorKind::Unsupported,
            LockError::AboveBound | LockError::NoSuchParts => io::ErrorKind::InvalidInput,
            LockError::OwnerDied | LockError::TooMany | LockError::Broken => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<LockError> for RemoteError {
    fn from(error: LockError) -> RemoteError {
        RemoteError::new(error)
    }
}
