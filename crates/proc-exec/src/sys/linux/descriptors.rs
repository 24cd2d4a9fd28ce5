//! Pipes, files, and bytes through them.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What one call gave.
pub(crate) enum Moved {
    /// So many bytes.
    Bytes(usize),
    /// Nothing more will come, or nobody takes any more.
    End,
    /// Nothing at the moment.
    Nothing,
}

/// Read end and write end, both close-on-exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Makes a pipe larger, if we may: a hint.
pub(crate) fn enlarge(pipe: BorrowedFd<'_>, bytes: usize) {
    let _ = fcntl_setpipe_size(pipe, bytes);
}

/// Calls on `fd` return at once from now on. Only for descriptors of our own end of a pipe: the flag belongs to the open
/// file, which for an inherited file others use too.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}

pub(crate) fn open_null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

pub(crate) fn open_read(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens for writing what is made anew, emptied or appended to.
pub(crate) fn open_write(path: &Path, append: bool) -> io::Result<OwnedFd> {
    let how = if append { OFlags::APPEND } else { OFlags::TRUNC };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | how;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?)
}

/// Reads once into the room behind what `buffer` holds. The end of a terminal is told as EIO.
pub(crate) fn read_more(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Moved> {
    moved(|| rustix::io::read(fd, rustix::buffer::spare_capacity(buffer)))
}

/// Reads once into `room`.
pub(crate) fn read_few(fd: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<Moved> {
    moved(|| rustix::io::read(fd, &mut *room))
}

fn moved(mut read: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<Moved> {
    loop {
        return match read() {
            Ok(0) | Err(Errno::IO) => Ok(Moved::End),
            Ok(n) => Ok(Moved::Bytes(n)),
            Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Err(Errno::INTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

/// Writes once. A pipe without a reader is an end, not an error; the caller sees to SIGPIPE.
pub(crate) fn write_some(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<Moved> {
    loop {
        return match rustix::io::write(fd, bytes) {
            Ok(n) => Ok(Moved::Bytes(n)),
            Err(Errno::PIPE | Errno::IO | Errno::CONNRESET) => Ok(Moved::End),
            Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Err(Errno::INTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

/// Whether `fd` is the terminal that controls this process: reads of it by a group in the background stop the reader.
pub(crate) fn is_our_terminal(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(fd).is_ok()
}

/// A flag that is set once and stays readable.
pub(crate) fn flag() -> io::Result<OwnedFd> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Sets a flag. Its counter can't overflow into an error that matters: it is set then.
pub(crate) fn set_flag(flag: BorrowedFd<'_>) {
    let _ = rustix::io::write(flag, &1_u64.to_ne_bytes());
}

/// Takes a flag back.
pub(crate) fn clear_flag(flag: BorrowedFd<'_>) {
    let _ = rustix::io::read(flag, &mut [0; 8]);
}

/// Takes back the tie of a lifeline (`O_ASYNC` on its open file): its end then means nothing any more.
pub(crate) fn disarm(read_end: impl AsFd) -> io::Result<()> {
    const ASYNC: OFlags = OFlags::from_bits_retain(libc::O_ASYNC as u32);
    let flags = rustix::fs::fcntl_getfl(&read_end)?;
    Ok(rustix::fs::fcntl_setfl(&read_end, flags - ASYNC)?)
}
