//! What happens in a forked child before its `fork` returns.

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
};

use rustix::io::FdFlags;

/// Has `hook` run in every child of `fork` from now on, on the child's only thread. It must neither wait nor allocate.
pub(crate) fn in_children(hook: extern "C" fn()) -> io::Result<()> {
    // SAFETY: `hook` is a safe function without arguments that lives as long as the code, and glibc drops the handler
    // when the object it is in is unloaded. rustix has no door to it.
    match unsafe { libc::pthread_atfork(None, None, Some(hook)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Closes a descriptor by its number, without waiting or allocating. It need not be open: a fork copies the table of
/// descriptors before the memory, so that memory may tell of one that another thread opened in between. (rustix asserts
/// that closing succeeds, and libc's `close` is a point where threads are cancelled.)
///
/// # Safety
///
/// Nobody uses or closes it any more.
pub(crate) unsafe fn close(fd: RawFd) {
    // SAFETY: by the caller.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// Can't fail on an open descriptor.
pub(crate) fn set_close_on_exec(fd: BorrowedFd<'_>) {
    let _ = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC);
}
