//! The tie between a daemon and its parent: a pipe of the child's own, which nobody writes.
//!
//! The parent alone holds the write end. When the kernel closes it, because the parent has ended in whatever way, the
//! kernel sends SIGKILL to the owner of the read end. No thread is involved, and a stopped child dies too.

use crate::inherit::LocalFd;
use crate::process::SpawnError;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The parent's end (closed in every forked child by the fork hook) and the child's.
pub(super) fn new(daemon: bool) -> Result<Option<(LocalFd, OwnedFd)>, SpawnError> {
    if !daemon {
        return Ok(None);
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)
        .map_err(|e| SpawnError::io("no lifeline for the daemon could be made", e.into()))?;
    Ok(Some((LocalFd::new(write), read)))
}

/// Ties this process to the other end. Ends it here and now if the other end is closed already.
///
/// The descriptor must stay open, so it is leaked.
pub(super) fn hold(read: OwnedFd) -> std::io::Result<()> {
    crate::sys::steps::arm_lifeline(read.as_raw_fd(), crate::sys::steps::own_pid())?;
    // Not inherited by what this process forks: a description that is armed twice forgets its first owner.
    std::mem::forget(LocalFd::new(read));
    Ok(())
}

/// A borrowed read end, for a spawner.
pub(super) fn read_end(pair: &Option<(LocalFd, OwnedFd)>) -> Option<BorrowedFd<'_>> {
    use std::os::fd::AsFd;
    pair.as_ref().map(|(_, read)| read.as_fd())
}
