//! A descriptor that stays in its process.

use std::{
    mem::ManuallyDrop,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use super::{Lineage, NotInherited, table};
use crate::sys::atfork;

/// A descriptor that neither a program started by this process nor a forked child of it has: it is close-on-exec, and
/// the [fork hook](super#hidden-state) closes it in every child.
///
/// It is for descriptors whose *closing* means something, such as the end of a pipe by which others learn that this
/// process has ended: one copy in a forked child would keep them waiting.
///
/// The copy of a `LocalFd` in a forked child is an empty shell: [`get`](LocalFd::get) and
/// [`into_owned`](LocalFd::into_owned) fail, dropping it does nothing.
///
/// # Examples
///
/// ```
/// use std::os::{fd::OwnedFd, unix::net::UnixStream};
/// use proc_core::inherit::LocalFd;
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let ours = LocalFd::new(OwnedFd::from(ours));
/// rustix::io::write(ours.get()?, b"alive")?;
/// # drop(theirs);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct LocalFd {
    fd: ManuallyDrop<OwnedFd>,
    made_in: Lineage,
}

impl LocalFd {
    /// Keeps `fd` in this process, and sets its close-on-exec flag.
    pub fn new(fd: OwnedFd) -> LocalFd {
        atfork::set_close_on_exec(fd.as_fd());
        let made_in = Lineage::current();
        table::insert(fd.as_raw_fd());
        LocalFd { fd: ManuallyDrop::new(fd), made_in }
    }

    /// The descriptor.
    ///
    /// # Errors
    ///
    /// This is a forked child of the process that owns it.
    #[inline]
    pub fn get(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.made_in.check()?;
        Ok(self.fd.as_fd())
    }

    /// The descriptor as an ordinary one, which forked children have too from now on.
    ///
    /// # Errors
    ///
    /// This is a forked child of the process that owns it.
    pub fn into_owned(self) -> Result<OwnedFd, NotInherited> {
        self.made_in.check()?;
        let mut this = ManuallyDrop::new(self);
        table::remove(this.fd.as_raw_fd());
        // SAFETY: `this` is never dropped nor used again.
        Ok(unsafe { ManuallyDrop::take(&mut this.fd) })
    }

    /// The process that owns it.
    #[inline]
    pub fn lineage(&self) -> Lineage {
        self.made_in
    }
}

/// # Panics
///
/// In a forked child of the process that owns the descriptor, where the number is closed and may name another file;
/// [`get`](LocalFd::get) is the form that returns an error.
impl AsFd for LocalFd {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.get() {
            Ok(fd) => fd,
            Err(e) => panic!("{e}"),
        }
    }
}

impl From<OwnedFd> for LocalFd {
    fn from(fd: OwnedFd) -> LocalFd {
        LocalFd::new(fd)
    }
}

impl Drop for LocalFd {
    fn drop(&mut self) {
        if self.made_in.is_current() {
            table::remove(self.fd.as_raw_fd());
            // SAFETY: dropped here, once, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}
