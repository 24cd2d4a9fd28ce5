//! Ends in event loops: epoll, mio, tokio's `AsyncFd`, edge-triggered or not.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use rustix::event::{PollFd, PollFlags};

use crate::{Connection, PipeReceiver, Queue, Receiver, ring::Readiness, sys::poll};

/// A receiving end whose bell is armed: from now on a message makes its descriptor readable. Dropping it disarms.
///
/// While nobody waits, senders ring no bell, as that is a system call; so the descriptor says something between `arm` and
/// the drop only. The order for a loop, which loses no wake-up:
///
/// 1. receive by `try_recv` until there is nothing more;
/// 2. `arm`, and if it [`is_ready`](Armed::is_ready) already, drop it and go on with 1;
/// 3. wait until the [descriptor](AsFd) is readable or hung up, drop this, and go on with 1.
///
/// It may be readable in vain. The descriptor is the same each time, so it is registered once. It is not to be read from.
/// Arming takes off it what was there, so that edge-triggered loops get a new edge.
///
/// The end of a pipe belongs to whoever armed it until it is dropped: a receive by the same thread meanwhile would wait for
/// ever, and one by `try_recv` finds nothing. Ends of a channel have no such rule.
///
/// # Examples
///
/// With a plain `poll`; `examples/tokio_fd.rs` is the same for tokio.
///
/// ```
/// use rustix::event::{PollFd, PollFlags, poll};
///
/// let (tx, rx) = proc_ipc::one_way::<u32>()?;
/// let sender = std::thread::spawn(move || {
///     (0..10).for_each(|n| tx.send(n).unwrap());
///     tx
/// });
/// let mut sum = 0;
/// while sum < 45 {
///     while let Some(number) = rx.try_recv()? {
///         sum += number;
///     }
///     let armed = rx.arm()?;
///     if sum < 45 && !armed.is_ready() {
///         poll(&mut [PollFd::new(&armed, PollFlags::IN)], None)?;
///     }
/// }
/// assert!(sender.join().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it disarms"]
pub struct Armed<'a> {
    end: Box<dyn Readiness + Send + Sync + 'a>,
}

impl<'a> Armed<'a> {
    pub(crate) fn new(end: impl Readiness + Send + Sync + 'a) -> io::Result<Armed<'a>> {
        end.fd()?;
        // Whatever goes wrong now, the drop disarms.
        let mut armed = Armed { end: Box::new(end) };
        if armed.end.arm(Some(Instant::now()))? {
            return Ok(armed);
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Whether there is a message, or the end, already. To be asked after arming: what came before rings no bell. In a
    /// forked child it is true: the receive tells why there is nothing.
    pub fn is_ready(&self) -> bool {
        self.end.fd().is_err() || self.end.is_ready()
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let Ok(fd) = self.end.fd() else { return };
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let seen = poll::look(&mut fds).unwrap_or(false);
        let events = if seen { fds[0].revents() } else { PollFlags::empty() };
        // An error is met again by the next receive.
        let _ = self.end.disarm(events);
    }
}

/// # Panics
///
/// In a forked child of the process that armed it.
impl AsFd for Armed<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.fd().expect("it is used in the process that armed it")
    }
}

impl fmt::Debug for Armed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

macro_rules! arm {
    ($($end:ident<$($t:ident),+>),*) => {$(
        impl<$($t),+> $end<$($t),+> {
            /// Arms the bell, for an event loop of one's own: see [`Armed`].
            ///
            /// # Errors
            ///
            /// - `NotInherited` (as [`io::ErrorKind::Unsupported`]): this is a forked child;
            /// - `ResourceBusy`: another thread is receiving from the pipe, or it is armed already; or a process that has the
            ///   channel was stopped in the middle of an operation;
            /// - `EMFILE`: there is no room for descriptors that wait in the socket.
            pub fn arm(&self) -> io::Result<Armed<'_>> {
                Armed::new(self.readiness()?)
            }
        }
    )*};
}

arm!(PipeReceiver<T>, Connection<S, R>, Receiver<T>, Queue<T>);
