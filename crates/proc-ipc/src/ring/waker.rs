//! A bell that any thread or process may ring.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use proc_core::inherit::LocalFd;
use proc_core::inherit::NotInherited;
use rustix::{event::EventfdFlags, io::Errno};

/// A descriptor that becomes readable by [`wake`](Waker::wake) and stays so until [`reset`](Waker::reset): an eventfd. For
/// the `extra` descriptors of [`wait`](super::wait), to end it from another thread.
///
/// # Examples
///
/// ```
/// use std::os::fd::AsFd;
/// use proc_ipc::ring::{self, Waker};
///
/// let waker = Waker::new()?;
/// std::thread::scope(|s| {
///     s.spawn(|| waker.wake());
///     let ready = ring::wait(&mut [], &[waker.as_fd()], None)?;
///     assert_eq!(ready.extra, [0]);
///     waker.reset()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Waker {
    event: LocalFd,
}

impl Waker {
    /// A waker that was not woken.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors.
    pub fn new() -> io::Result<Waker> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker { event: LocalFd::new(event) })
    }

    /// Ends the wait, or the next one. Any number of calls are as good as one.
    ///
    /// # Errors
    ///
    /// This is a forked child.
    pub fn wake(&self) -> io::Result<()> {
        match rustix::io::write(self.event.get()?, &1_u64.to_ne_bytes()) {
            // The counter is full, so the descriptor is readable.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// From now on it is not readable until the next [`wake`](Waker::wake). True if it was.
    ///
    /// # Errors
    ///
    /// This is a forked child.
    pub fn reset(&self) -> io::Result<bool> {
        match rustix::io::read(self.event.get()?, &mut [0; 8]) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The descriptor, an ordinary one from now on.
    ///
    /// # Errors
    ///
    /// This is a forked child.
    pub fn into_owned(self) -> Result<OwnedFd, NotInherited> {
        self.event.into_owned()
    }
}

/// # Panics
///
/// In a forked child of the process that made it.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
