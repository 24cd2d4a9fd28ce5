//! A started process: its id, its pidfd, and what became of it.

use crate::inherit::{LocalFd, NotInherited};
use crate::status::{Ended, ExitStatus};
use crate::sys::clone::Cloned;
use crate::sys::pidfd;
use rustix::event::PollFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A process that this process started: waited for and signalled by its pidfd, never by its number.
///
/// All methods take `&self` and may be called from several threads at once. Dropping it neither ends the process nor
/// waits for it: a process that nobody waits for stays a zombie after its end, so wait, or use a handle that sweeps.
///
/// As a descriptor ([`AsFd`]) it is readable once the process has ended.
///
/// A forked child of the process that started it can't use it: its methods say so, and `as_fd` panics there.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: LocalFd,
    /// What is known of its end; set once, by whoever reaps it.
    ended: Mutex<Option<Ended>>,
}

impl From<Cloned> for Child {
    fn from(cloned: Cloned) -> Self {
        let ended = cloned.gone.then_some(Ended { status: ExitStatus::Lost, usage: None });
        Child { pid: cloned.pid, pidfd: LocalFd::new(cloned.fd), ended: Mutex::new(ended) }
    }
}

impl Child {
    /// The process's id. After it was reaped the number may belong to another process: don't signal by it.
    pub fn id(&self) -> u32 {
        self.pid as u32
    }

    /// Its pidfd, readable once it has ended.
    ///
    /// # Errors
    /// This is a forked child of the process that started it.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        self.pidfd.get()
    }

    /// Whether it has ended, without reaping it: its id and its group's stay reserved until it is waited for.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.wait_ended(Some(Instant::now()))
    }

    /// Waits until it has ended, without reaping it. `false`: the deadline was over first.
    pub fn wait_ended(&self, deadline: Option<Instant>) -> io::Result<bool> {
        Ok(pidfd::poll_one(self.pidfd.get()?, PollFlags::IN, deadline)?.is_some())
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// Only if the kernel refuses to wait at all. A status that somebody else took is [`ExitStatus::Lost`].
    pub fn wait(&self) -> io::Result<Ended> {
        self.wait_deadline(None)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// Reaps it if it has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self) -> io::Result<Option<Ended>> {
        self.wait_deadline(Some(Instant::now()))
    }

    /// Waits for its end at most this long. Never returns early.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<Option<Ended>> {
        self.wait_deadline(Instant::now().checked_add(timeout))
    }

    /// Waits for its end until `deadline`; `None` waits for ever.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Option<Instant>) -> io::Result<Option<Ended>> {
        self.pidfd.lineage().check()?;
        if let Some(ended) = *self.ended() {
            return Ok(Some(ended));
        }
        if !self.wait_ended(deadline)? {
            return Ok(None);
        }
        // A tracer of the process is told of its end first, and until it has taken the news there is nothing to reap:
        // the descriptor is readable all the while, so only the clock is left to wait on.
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(ended) = self.reap()? {
                return Ok(Some(ended));
            }
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// What is known of its end, without a system call: `None` until somebody has waited.
    pub fn ended_as(&self) -> Option<Ended> {
        *self.ended()
    }

    /// Sends a signal. A process that has ended is no error.
    ///
    /// # Errors
    /// EPERM if it runs as another user, EINVAL if there is no such signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match pidfd::send_signal(self.pidfd.get()?, signal) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            // What stands for the pidfd of a child that was gone before there was one.
            Err(e) if e.raw_os_error() == Some(libc::EBADF) && self.ended().is_some() => Ok(()),
            other => other,
        }
    }

    /// Sends a signal to its process group, if it leads one, while its number can't have been given to another: as
    /// long as it has not been reaped. `Ok(false)`: it has been, and nothing was sent.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn signal_group(&self, signal: i32) -> io::Result<bool> {
        self.pidfd.lineage().check()?;
        let ended = self.ended();
        if ended.is_some() {
            return Ok(false);
        }
        // SAFETY: kill takes numbers. The leader is unreaped, and can't be reaped through this handle while the lock
        // is held, so its number still names its group.
        if unsafe { libc::kill(-self.pid, signal) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ESRCH) => Ok(true),
            e => Err(e),
        }
    }

    fn ended(&self) -> MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the status of a process that has ended. Where SIGCHLD is ignored, or somebody waits for every child, it
    /// may be gone; newer kernels remember it in the pidfd. `None`: not yet, because a tracer holds it.
    fn reap(&self) -> io::Result<Option<Ended>> {
        let mut ended = self.ended();
        if ended.is_none() {
            *ended = match pidfd::reap(self.pidfd.as_fd()) {
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => {
                    let status = pidfd::status_of_reaped(self.pidfd.as_fd()).unwrap_or(ExitStatus::Lost);
                    Some(Ended { status, usage: None })
                }
                other => other?,
            };
        }
        Ok(*ended)
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
