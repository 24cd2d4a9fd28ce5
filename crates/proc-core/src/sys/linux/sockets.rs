//! What a descriptor that we were handed really is.

use rustix::event::PollFlags;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Whether descriptor `number` is open.
pub(crate) fn is_open(number: i32) -> bool {
    // SAFETY: fcntl with numbers.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Who made a pair of sockets.
pub(crate) enum Peer {
    /// This process's parent.
    Parent,
    /// The process that had this number then.
    Other(u32),
}

/// Who made descriptor `number`, which must be open: an error unless it is a Unix packet socket of our user.
pub(crate) fn peer(number: i32) -> Result<Peer, &'static str> {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    // SAFETY: the caller has checked that it is open, and nothing runs yet that could close it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let domain = sockopt::socket_domain(fd).map_err(|_| "names no socket")?;
    let kind = sockopt::socket_type(fd).map_err(|_| "names no socket")?;
    if domain != AddressFamily::UNIX || kind != SocketType::SEQPACKET {
        return Err("names a socket of another kind");
    }
    let peer = credentials(number).ok_or("names a socket without a peer")?;
    // No user is -1, which a socket has that was never connected.
    if peer.uid != rustix::process::geteuid().as_raw() {
        return Err("names a socket of another user");
    }
    // SAFETY: getppid has no precondition.
    if peer.pid == unsafe { libc::getppid() } {
        // Both are 0 where the parent lives outside of this process's PID namespace.
        return Ok(Peer::Parent);
    }
    match u32::try_from(peer.pid) {
        Ok(pid) if pid != 0 => Ok(Peer::Other(pid)),
        _ => Err("names a socket that this process's parent did not make"),
    }
}

/// libc's call: rustix's type has no room for the number 0, which the kernel says of a process that can't be seen here.
fn credentials(number: i32) -> Option<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: a live structure of plain numbers, and its size.
    let result = unsafe {
        libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &mut len)
    };
    (result == 0 && len as usize == size_of::<libc::ucred>()).then_some(peer)
}

/// Whether the other end of a socket is closed, or will be within `patience`.
pub(crate) fn hangs_up(socket: BorrowedFd<'_>, patience: Duration) -> bool {
    // What is asked for is nothing: a hang-up is told always, and a message that waits is no answer.
    let events = super::pidfd::poll_one(socket, PollFlags::empty(), Some(Instant::now() + patience));
    events.ok().flatten().is_some_and(|events| events.contains(PollFlags::HUP))
}
