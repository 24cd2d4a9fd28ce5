//! Packets with descriptors over a Unix socket, and sealed memory files.
//!
//! Nothing here blocks: [`send`] and [`recv`] never wait, [`wait`] waits with a deadline. `EINTR` is retried inside.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, SealFlags},
    io::Errno,
    net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType},
    process::Resource,
};

/// Descriptors that one packet can carry: the kernel's `SCM_MAX_FD`.
pub(crate) const MAX_FDS: usize = 253;

/// What every sealed payload has: no write, no change of size, no further seals.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// One packet as it came off the socket.
#[derive(Debug)]
pub(crate) struct Received {
    /// Bytes in the packet, header included; zero at the end of the stream.
    pub(crate) len: usize,
    /// Every descriptor that came, in order.
    pub(crate) fds: Vec<OwnedFd>,
    /// The packet was longer than the buffers.
    pub(crate) bytes_cut: bool,
    /// The kernel could not deliver every descriptor.
    pub(crate) fds_cut: bool,
}

/// Sends one packet, whole or not at all, without waiting and without `SIGPIPE`.
pub(crate) fn send(sock: BorrowedFd<'_>, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL.into());
    }
    retry(|| rustix::net::sendmsg(sock, parts, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))?;
    Ok(())
}

/// Receives one packet without waiting: the first bytes into `head`, the rest into `body`, of which so many bytes more are
/// initialised then. Descriptors arrive close-on-exec.
///
/// This is libc's call and not rustix's, which wants initialised buffers: clearing 64 KiB for each packet costs more
/// than receiving a small one.
pub(crate) fn recv(
    sock: BorrowedFd<'_>,
    head: &mut [u8],
    body: &mut [MaybeUninit<u8>],
) -> io::Result<Received> {
    let mut parts = [
        libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: head.len() },
        libc::iovec { iov_base: body.as_mut_ptr().cast(), iov_len: body.len() },
    ];
    // u64: aligned for a `cmsghdr`. Room beyond the descriptors is for the credentials of a socket with SO_PASSCRED,
    // which would otherwise push descriptors out.
    let mut control = [MaybeUninit::<u64>::uninit(); control_words()];
    // SAFETY: an all-zero `msghdr` is a valid one: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = if body.is_empty() { 1 } else { 2 };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;

    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let len = retry(|| {
        // SAFETY: `message` points at `parts` and `control`, and these at `head` and `body`; all of them outlive the call,
        // and the kernel writes within the stated lengths.
        let n = unsafe { libc::recvmsg(sock.as_raw_fd(), &raw mut message, flags) };
        usize::try_from(n).map_err(|_| last_errno())
    })?;

    let mut fds = Vec::new();
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
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            at = libc::CMSG_NXTHDR(&raw const message, at);
        }
    }
    Ok(Received {
        len,
        fds,
        bytes_cut: message.msg_flags & libc::MSG_TRUNC != 0,
        fds_cut: message.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Waits until `fd` has one of `events`, or an error or a hang-up; false when the deadline came first. No deadline
/// waits for ever.
pub(crate) fn wait(fd: BorrowedFd<'_>, events: PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|t| t.saturating_duration_since(Instant::now()));
        let timeout = left.map(timespec);
        match poll(&mut [PollFd::from_borrowed_fd(fd, events)], timeout.as_ref()) {
            Ok(0) if left == Some(Duration::ZERO) => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
}

/// A connected pair of packet sockets, close-on-exec.
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A memory file that holds `bytes` and can never change again.
pub(crate) fn sealed_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    // Beyond the limit a write is SIGXFSZ, which kills; asking first makes it an error.
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|max| bytes.len() as u64 > max) {
        return Err(Errno::FBIG.into());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 the flag is unknown.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        other => other?,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        match retry(|| rustix::io::write(&file, rest))? {
            0 => return Err(Errno::NOSPC.into()),
            n => rest = &rest[n..],
        }
    }
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

/// The `len` bytes of a file made by [`sealed_file`] in another process, which is not trusted: it must be sealed, of
/// just that size, and hold real memory (a sparse file of a tebibyte would cost its sender nothing and us a tebibyte).
pub(crate) fn read_sealed(file: BorrowedFd<'_>, len: u64) -> io::Result<Vec<u8>> {
    let seals = rustix::fs::fcntl_get_seals(file)?;
    let stat = rustix::fs::fstat(file)?;
    if !seals.contains(SEALS)
        || stat.st_size as u64 != len
        || (stat.st_blocks as u64).saturating_mul(512) < len
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the memory file of the payload is not sealed, or not of the stated size",
        ));
    }
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    while bytes.len() < len {
        let at = bytes.len() as u64;
        if retry(|| rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn timespec(left: Duration) -> Timespec {
    Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
}

const fn control_words() -> usize {
    let rights = rustix::cmsg_space!(ScmRights(MAX_FDS));
    let credentials = rustix::cmsg_space!(ScmCredentials(1));
    (rights + credentials).div_ceil(size_of::<u64>())
}
