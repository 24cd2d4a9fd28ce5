//! Memory as a sealed, anonymous file.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, SealFlags},
    process::Resource,
};

/// What every region bears: it can neither shrink, which would be a SIGBUS for whoever reads it, nor grow, and no seal can
/// be added.
pub(crate) const FIXED_SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// What read-only data bears besides: nobody can write, whatever they had mapped.
pub(crate) const READ_ONLY: SealFlags = FIXED_SIZE.union(SealFlags::WRITE);

/// One step of an allocation. A signal undoes the step that it interrupts, so that a large allocation in one step would
/// never end under a fast timer.
const STEP: u64 = 16 << 20;

/// Below this nobody asks whether the machine has it.
const SMALL: u64 = 1 << 20;

/// An anonymous file of `len` bytes, of which the first `allocated` have memory behind them.
pub(crate) fn create(name: &str, len: u64, allocated: u64) -> io::Result<OwnedFd> {
    check_limits(len, allocated)?;
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    set_size(fd.as_fd(), len)?;
    allocate(fd.as_fd(), 0, allocated)?;
    Ok(fd)
}

/// Sets the size of a file. The new part has no memory yet.
pub(crate) fn set_size(fd: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::ftruncate(fd, len))?)
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write(fd: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(fd, bytes, offset))?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Puts memory behind a part of a file, so that touching it can't fail.
pub(crate) fn allocate(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<()> {
    let end = start + len;
    let mut at = start;
    while at < end {
        let step = STEP.min(end - at);
        match rustix::fs::fallocate(fd, FallocateFlags::KEEP_SIZE, at, step) {
            Ok(()) => at += step,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Gives the memory behind a part of a file back. It reads as zero after.
pub(crate) fn punch(fd: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::fallocate(fd, flags, start, len))?)
}

/// A file larger than RLIMIT_FSIZE is a signal that ends the process (SIGXFSZ), and one larger than the machine's memory
/// is the out-of-memory killer: both are looked at before.
pub(crate) fn check_limits(len: u64, allocated: u64) -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| len > limit) || i64::try_from(len).is_err() {
        return Err(rustix::io::Errno::FBIG.into());
    }
    if allocated > SMALL && available().is_some_and(|available| allocated > available) {
        return Err(rustix::io::Errno::NOMEM.into());
    }
    Ok(())
}

/// What the machine can give without ending somebody, in bytes, if it says so.
fn available() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some((field("MemAvailable:")? + field("SwapFree:").unwrap_or(0)) << 10)
}

/// Seals a file.
pub(crate) fn seal(fd: BorrowedFd<'_>, seals: SealFlags) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(fd, seals)?)
}

/// Whether a file bears all of `seals`. One that knows no seals bears none.
pub(crate) fn has_seals(fd: BorrowedFd<'_>, seals: SealFlags) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|got| got.contains(seals))
}

/// The size of a file.
pub(crate) fn size(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0))
}

/// Maps the whole of a file, shared.
pub(crate) fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<MmapRaw> {
    MmapOptions::new().len(len).map_raw(fd.as_raw_fd())
}

/// Maps the whole of a file that is sealed against writes. The mapping is a private one, of the same memory as long as
/// nobody writes, which nobody can: a shared one could be made writable, which kernels before 6.7 refuse for a sealed file
/// even if it is read-only.
pub(crate) fn map_read_only(fd: BorrowedFd<'_>, len: usize) -> io::Result<MmapRaw> {
    // SAFETY: nobody can change the file.
    Ok(unsafe { MmapOptions::new().len(len).map_copy_read_only(fd.as_raw_fd()) }?.into())
}

/// Forked children do not have this mapping.
pub(crate) fn keep_from_children(map: &MmapRaw) -> io::Result<()> {
    map.advise(Advice::DontFork)
}
