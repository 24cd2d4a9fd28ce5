//! Files in memory that have names.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// A file without a name, where `path` is to be. If this process is killed before it has one, the kernel frees it.
pub(crate) fn unnamed(path: &Path) -> io::Result<OwnedFd> {
    let folder = path.parent().unwrap_or(path);
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR))?)
}

/// Gives a file its name.
///
/// # Errors
///
/// The name is taken.
pub(crate) fn give(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Opens the file of a name.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode)
        != rustix::fs::FileType::RegularFile
    {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the name is not one of shared memory"));
    }
    Ok(fd)
}

/// Takes a name away.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::unlink(path)?)
}

/// What tells a file from another of the same name.
pub(crate) fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(fd)?.st_ino)
}

/// The inode of the file that has a name now.
pub(crate) fn inode_at(path: &Path) -> io::Result<u64> {
    Ok(rustix::fs::lstat(path)?.st_ino)
}
