//! A flag as a descriptor.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec},
    io::Errno,
};

/// A flag that is not set.
pub(crate) fn create() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Sets it. The counter behind it can't overflow in a human life; at its end it would stay set.
pub(crate) fn set(fd: BorrowedFd<'_>) {
    let _ = rustix::io::retry_on_intr(|| rustix::io::write(fd, &1_u64.to_ne_bytes()));
}

/// Clears it: one read takes the counter whole.
pub(crate) fn clear(fd: BorrowedFd<'_>) {
    let _ = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut [0; 8]));
}

/// Whether it is set, waiting for that for at most `timeout`. It may also return false for no reason.
pub(crate) fn wait(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    // A time that the kernel can't count is for ever.
    let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    match rustix::event::poll(&mut fds, timeout.as_ref()) {
        Ok(n) => Ok(n != 0),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether a descriptor that came from elsewhere is such a flag.
pub(crate) fn check(fd: BorrowedFd<'_>) -> io::Result<()> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    if name.as_os_str() == "anon_inode:[eventfd]" {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the descriptor is not an event"))
    }
}
