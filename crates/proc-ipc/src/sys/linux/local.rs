//! Unix sockets that unrelated processes meet at, and epoll. Nothing here waits.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use rustix::{
    event::{Timespec, epoll},
    fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags},
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType},
};

/// Bytes of a path that fit into an address, without the NUL.
const MAX_PATH: usize = 107;

/// Clients that the kernel lets wait for the next `accept`; it caps it to `net.core.somaxconn` itself.
const BACKLOG: i32 = 4096;

/// A fresh packet socket, close-on-exec, non-blocking.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

pub(crate) fn bind_abstract(sock: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    rustix::net::bind(sock, &SocketAddrUnix::new_abstract_name(name)?)?;
    listen(sock)
}

pub(crate) fn connect_abstract(sock: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(super::retry(|| rustix::net::connect(sock, &SocketAddrUnix::new_abstract_name(name)?))?)
}

/// Binds to a path of any length, and listens.
pub(crate) fn bind_path(sock: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    if path.as_os_str().len() <= MAX_PATH {
        rustix::net::bind(sock, &SocketAddrUnix::new(path)?)?;
        return listen(sock);
    }
    // Through its directory, under a short name, and then to its own, which a longer one would not fit behind.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path.parent().ok_or(Errno::INVAL)?, flags, Mode::empty())?;
    let short = format!(".listener-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let there = format!("/proc/self/fd/{}/{short}", dir.as_raw_fd());
    rustix::net::bind(sock, &SocketAddrUnix::new(&*there)?)?;
    let moved = listen(sock)
        .and_then(|()| Ok(rustix::fs::renameat_with(&dir, &*short, &dir, name, RenameFlags::NOREPLACE)?));
    moved.map_err(|e| {
        let _ = rustix::fs::unlinkat(&dir, &*short, rustix::fs::AtFlags::empty());
        match e.kind() {
            io::ErrorKind::AlreadyExists => Errno::ADDRINUSE.into(),
            _ => e,
        }
    })
}

/// Connects to a path of any length. `WouldBlock`: so many wait there that there is no room for one more.
pub(crate) fn connect_path(sock: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let (file, short);
    let mut at = path;
    if path.as_os_str().len() > MAX_PATH {
        file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        short = PathBuf::from(OsString::from_vec(format!("/proc/self/fd/{}", file.as_raw_fd()).into_bytes()));
        at = &short;
    }
    let address = SocketAddrUnix::new(at.as_os_str().as_bytes())?;
    Ok(super::retry(|| rustix::net::connect(sock, &address))?)
}

fn listen(sock: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::listen(sock, BACKLOG)?)
}

/// The next client; `None` if there is none.
pub(crate) fn accept(sock: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match super::retry(|| rustix::net::accept_with(sock, flags)) {
        Ok(client) => Ok(Some(client)),
        Err(Errno::AGAIN | Errno::CONNABORTED) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// One packet; `None` if there is none yet. Descriptors that came with it are closed by the kernel, as there is no room
/// for them; what is longer than the buffer is `EMSGSIZE`.
pub(crate) fn recv(sock: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match super::retry(|| rustix::net::recv(sock, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)) {
        Ok((_, len)) if len > buffer.len() => Err(Errno::MSGSIZE.into()),
        Ok((_, len)) => Ok(Some(len)),
        Err(Errno::AGAIN) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Process, user and group of the other end, as of when it connected, or began to listen. The process is 0 if it has no
/// number in our namespace, for which rustix's type has no room.
pub(crate) fn peer(sock: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` is as long as `len` says, and any bytes are valid in it.
    let result = unsafe {
        libc::getsockopt(
            sock.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Ok((peer.pid, peer.uid, peer.gid)) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What tells namespaces of process numbers apart; zeros where `/proc` does not say.
pub(crate) fn pid_namespace() -> [u64; 2] {
    rustix::fs::stat("/proc/self/ns/pid").map_or([0, 0], |stat| [stat.st_dev, stat.st_ino])
}

/// Device and inode of a socket file, not followed; `None` if it is another kind of file, or none.
pub(crate) fn socket_file(path: &Path) -> Option<[u64; 2]> {
    let stat = rustix::fs::lstat(path).ok()?;
    let is_socket = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket;
    is_socket.then_some([stat.st_dev, stat.st_ino])
}

pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::unlink(path)?)
}

/// An advisory lock on a directory, which leaves no file behind.
#[derive(Debug)]
pub(crate) struct DirLock(OwnedFd);

impl DirLock {
    /// `WouldBlock` if another has it.
    pub(crate) fn try_new(dir: &Path) -> io::Result<DirLock> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, dir, flags, Mode::empty())?;
        rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        Ok(DirLock(dir))
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Not by the close alone: a child that was forked meanwhile has a copy.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// An epoll instance, close-on-exec.
pub(crate) fn epoll() -> io::Result<OwnedFd> {
    Ok(epoll::create(epoll::CreateFlags::CLOEXEC)?)
}

/// Watches for packets and hang-ups, level-triggered.
pub(crate) fn epoll_add(epoll: BorrowedFd<'_>, fd: impl AsFd, id: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, fd, epoll::EventData::new_u64(id), epoll::EventFlags::IN)?)
}

/// Ends the watch. A close alone would not while another process has a copy, as between a fork and an exec.
pub(crate) fn epoll_remove(epoll: BorrowedFd<'_>, fd: impl AsFd) {
    let _ = epoll::delete(epoll, fd);
}

/// The id of one that is ready, each in its turn.
pub(crate) fn epoll_next(epoll: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let count = super::retry(|| epoll::wait(epoll, &mut events[..], Some(&now)))?;
    Ok((count > 0).then(|| events[0].data.u64()))
}
