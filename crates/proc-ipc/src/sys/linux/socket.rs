//! Packet sockets: bells of one byte, and descriptors on their way. Nothing here waits.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType,
    },
};

/// Descriptors that one packet can carry: the kernel's `SCM_MAX_FD`.
pub(crate) const MAX_FDS: usize = 253;

/// Longest packet that anybody sends here.
pub(crate) const MAX_PACKET: usize = 32;

/// A connected pair, close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A connected pair of stream sockets, close-on-exec: any number of bells are taken off it by one call.
pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Takes everything off a stream socket; whether there was anything.
pub(crate) fn drain(sock: BorrowedFd<'_>) -> bool {
    let mut bytes = [0; 64];
    let mut found = false;
    while let Ok((n @ 1.., _)) = super::retry(|| rustix::net::recv(sock, &mut bytes[..], RecvFlags::DONTWAIT))
    {
        found = true;
        if n < bytes.len() {
            break;
        }
    }
    found
}

/// Sends one packet, whole or not at all, without `SIGPIPE`.
pub(crate) fn send(sock: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    super::retry(|| rustix::net::send(sock, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)).map(|_| ())
}

/// Sends one packet with descriptors, whole or not at all, without `SIGPIPE`.
pub(crate) fn send_fds(sock: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    let parts = [IoSlice::new(bytes)];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    super::retry(|| rustix::net::sendmsg(sock, &parts, &mut control, flags)).map(|_| ())
}

/// One packet as it came off a socket, without its descriptors.
#[derive(Debug)]
pub(crate) struct Packet {
    bytes: [u8; MAX_PACKET],
    len: usize,
    /// The kernel could not deliver every descriptor: the table of this process is full.
    pub(crate) cut: bool,
}

impl Packet {
    /// Nothing in it: the end of the stream.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ticket of its descriptors; a bell has none.
    pub(crate) fn ticket(&self) -> Option<u64> {
        self.bytes[..self.len].first_chunk().map(|ticket| u64::from_ne_bytes(*ticket))
    }
}

/// Takes one packet, and hands its descriptors to `each`, close-on-exec; `AGAIN` when there is none. Allocates nothing.
pub(crate) fn recv_with(sock: BorrowedFd<'_>, mut each: impl FnMut(OwnedFd)) -> Result<Packet, Errno> {
    let mut packet = Packet { bytes: [0; MAX_PACKET], len: 0, cut: false };
    let mut part = libc::iovec { iov_base: packet.bytes.as_mut_ptr().cast(), iov_len: MAX_PACKET };
    // u64: aligned for a `cmsghdr`. Room beyond the descriptors is for the credentials of a socket with SO_PASSCRED,
    // which would otherwise push descriptors out.
    let mut control = [MaybeUninit::<u64>::uninit(); control_words()];
    // SAFETY: an all-zero `msghdr` is a valid one: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let len = past_reset(|| {
        // SAFETY: `message` points at `part` and `control`, and `part` at the bytes of `packet`; all outlive the call.
        let n = unsafe { libc::recvmsg(sock.as_raw_fd(), &raw mut message, flags) };
        usize::try_from(n).map_err(|_| last_errno())
    })?;
    packet.len = len.min(MAX_PACKET);
    packet.cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    // SAFETY: `message` is as the kernel left it, and `control` still lives.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !at.is_null() {
        // SAFETY: `at` is a header inside `control`, aligned, written by the kernel; with MSG_CTRUNC the kernel sets
        // `cmsg_len` to what it wrote. For SCM_RIGHTS the data are new descriptors that nobody else owns.
        unsafe {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(at).cast::<libc::c_int>();
                let bytes = ((*at).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                for i in 0..bytes / size_of::<libc::c_int>() {
                    each(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            at = libc::CMSG_NXTHDR(&raw const message, at);
        }
    }
    Ok(packet)
}

/// The packet that would be taken next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is none.
    None,
    /// One without a ticket.
    Bell,
    /// Descriptors with this ticket.
    Fds(u64),
}

/// Looks at the next packet, which stays where it is.
pub(crate) fn next(sock: BorrowedFd<'_>) -> Next {
    let mut bytes = [0; 8];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match past_reset(|| rustix::net::recv(sock, &mut bytes[..], flags)) {
        Ok((0, _)) | Err(_) => Next::None,
        Ok((8, _)) => Next::Fds(u64::from_ne_bytes(bytes)),
        Ok(_) => Next::Bell,
    }
}

/// Does a receive again when it was interrupted, and once after a reset: a peer that closed with packets of ours unread
/// leaves one, which is told before the packets that it had sent.
fn past_reset<T>(mut receive: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match super::retry(&mut receive) {
        Err(Errno::CONNRESET) => super::retry(receive),
        result => result,
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

const fn control_words() -> usize {
    let rights = rustix::cmsg_space!(ScmRights(MAX_FDS));
    let credentials = rustix::cmsg_space!(ScmCredentials(1));
    (rights + credentials).div_ceil(size_of::<u64>())
}
