//! The tie between a program, or its group, and us: a pipe of its own, which nobody writes.

use crate::sys::descriptors;
use proc_core::inherit::LocalFd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// When the write end is closed, by us or by our end, the kernel kills whom the read end was armed for.
///
/// No forked child of ours has either end. The read end is kept here too, to disarm it.
#[derive(Debug)]
pub(crate) struct Lifeline {
    read: LocalFd,
    write: LocalFd,
}

impl Lifeline {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = descriptors::pipe()?;
        Ok(Lifeline { read: LocalFd::new(read), write: LocalFd::new(write) })
    }

    pub(crate) fn read_end(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Lets go without a kill.
    pub(crate) fn disarm(self) -> io::Result<()> {
        descriptors::disarm(self.read.get()?)?;
        drop(self.write);
        Ok(())
    }
}
