//! Where a program's standard streams come from and go to.

mod input;
mod observer;
mod sink;

pub use input::Input;
pub(crate) use input::{Bytes, Source};
pub(crate) use observer::Observer;
pub use sink::Sink;
pub(crate) use sink::Target;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of the two streams that a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }
}

/// Something that the first start takes, whichever clone of the command makes it.
pub(crate) struct Once<T: ?Sized>(Arc<Mutex<Option<Box<T>>>>);

impl<T: ?Sized> Once<T> {
    pub(crate) fn new(value: Box<T>) -> Self {
        Once(Arc::new(Mutex::new(Some(value))))
    }

    pub(crate) fn take(&self) -> Option<Box<T>> {
        lock(&self.0).take()
    }
}

impl<T: ?Sized> Clone for Once<T> {
    fn clone(&self) -> Self {
        Once(self.0.clone())
    }
}

/// A lock that a panic of a user's callback does not close: what it guards is whole at every step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A descriptor for the time of a start: ours to close after it, or shared.
#[derive(Debug)]
pub(crate) enum Held {
    Own(OwnedFd),
    Shared(Arc<OwnedFd>),
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Held::Own(fd) => fd.as_fd(),
            Held::Shared(fd) => fd.as_fd(),
        }
    }
}
