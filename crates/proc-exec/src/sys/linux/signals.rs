//! Signals: those we send, and SIGPIPE, which a write to a closed pipe must not kill us by.

use rustix::process::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Runs `write`, and keeps a SIGPIPE that it raises from this thread.
///
/// Rust's runtime ignores SIGPIPE, and then this is one look. Under a `main` of C, or where a program has set the
/// signal's action back, it is blocked for the call, and taken off if it came.
pub(crate) fn without_sigpipe<R>(write: impl FnOnce() -> R) -> R {
    if sigpipe_is_ignored() {
        return write();
    }
    // SAFETY: all zeros is a valid set, and each call below is given live sets.
    let (mut pipe, mut old, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) =
        unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let was_pending = unsafe {
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut old);
        libc::sigismember(&pending, libc::SIGPIPE) == 1
    };
    let result = write();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: live sets and time; SIGPIPE of a write is directed at this thread, which blocks it.
    unsafe {
        if !was_pending {
            while libc::sigtimedwait(&pipe, ptr::null_mut(), &now) < 0
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, ptr::null_mut());
    }
    result
}

fn sigpipe_is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the old one is written to live memory, and all zeros is valid for it.
    unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Signals a process by descriptor. One that has ended is no error.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open; a null info means what `kill` would say. The kernel checks the number.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    match io::Error::last_os_error() {
        e if result < 0 && e.raw_os_error() != Some(libc::ESRCH) => Err(e),
        _ => Ok(()),
    }
}

/// Whether group `group` has a member. Of a group that was reaped the number may be another's by now, so this is good
/// for waiting only.
pub(crate) fn group_exists(group: u32) -> bool {
    let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) else { return false };
    rustix::process::test_kill_process_group(group) != Err(rustix::io::Errno::SRCH)
}

/// Whether we may do what only the superuser may.
pub(crate) fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}
