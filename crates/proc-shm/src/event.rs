//! A flag to wait for.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use proc_core::inherit::{LocalFd, NotInherited};

use crate::{deadline, handle::crosses, sys::event};

/// A flag that one process sets and others wait for.
///
/// It is a handle: clones and copies that crossed to other processes are the same flag. It is a descriptor (an eventfd),
/// readable while the flag is set, so that it can be waited for together with others, by [`AsFd`] and `poll`; who polls it
/// must not read it. No death of anybody does anything to it, and it works across PID namespaces.
///
/// # Hidden state
///
/// One descriptor, shared by all clones in a process, close-on-exec and closed in forked children.
///
/// # Panics
///
/// `set`, `clear` and `is_set` in a forked child to which the handle was not given.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_shm::Event;
///
/// # proc_core::init();
/// let go = Event::new()?;
/// let child = Process::spawn(|go: Event| go.wait().unwrap(), go.clone())?;
/// go.set();
/// child.join()?;
/// assert!(go.is_set());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Event {
    fd: Arc<LocalFd>,
}

impl Event {
    /// A flag of its own, not set.
    ///
    /// # Errors
    ///
    /// The process or the machine is out of descriptors (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Event> {
        Ok(Event { fd: Arc::new(LocalFd::new(event::create()?)) })
    }

    /// Sets the flag and wakes all who wait. It never waits.
    ///
    /// Who waits looks at the flag again when it wakes: if it is cleared at once, some may have missed it. It is one `write`,
    /// and may be called in a signal handler, but not in that of a forked child to which the handle was not given, where it
    /// panics.
    #[inline]
    pub fn set(&self) {
        event::set(self.fd.as_fd());
    }

    /// Clears the flag.
    #[inline]
    pub fn clear(&self) {
        event::clear(self.fd.as_fd());
    }

    /// Whether it is set; out of date at once.
    pub fn is_set(&self) -> bool {
        event::wait(self.fd.as_fd(), Some(Duration::ZERO)).unwrap_or(false)
    }

    /// Waits until it is set.
    ///
    /// # Errors
    ///
    /// - this is a forked child to which the handle was not given;
    /// - `poll` failed (`ENOMEM`).
    pub fn wait(&self) -> io::Result<()> {
        self.wait_until(None).map(drop)
    }

    /// Waits until it is set, for `timeout` at most. False: the time is up.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Event::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<bool> {
        if timeout.is_zero() {
            return event::wait(self.fd.get()?, Some(Duration::ZERO));
        }
        self.wait_until(deadline::after(timeout))
    }

    /// Waits until it is set, until `deadline` at most. False: the time is up.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Event::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> io::Result<bool> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let fd = self.fd.get()?;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if event::wait(fd, left)? {
                return Ok(true);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
        }
    }

    fn give(&self) -> io::Result<u32> {
        proc_core::transfer::give(self.fd.get()?)
    }

    fn take(ticket: u32) -> io::Result<Event> {
        let fd = proc_core::transfer::take(ticket)?;
        event::check(fd.as_fd())?;
        Ok(Event { fd: Arc::new(LocalFd::new(fd)) })
    }
}

crosses!(Event);

impl Event {
    /// The eventfd, readable while the flag is set.
    ///
    /// # Errors
    ///
    /// This is a forked child to which the handle was not given.
    pub fn fd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.fd.get()
    }
}

/// # Panics
///
/// In a forked child to which the handle was not given.
impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        LocalFd::as_fd(&self.fd)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("fd", &self.fd).finish()
    }
}
