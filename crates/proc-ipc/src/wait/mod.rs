//! Waiting on many things at once: messages, processes, events, descriptors.

mod armed;
mod ready;
mod waitable;

use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};

pub(crate) use self::waitable::Watch;
pub use self::{armed::Armed, ready::Ready, waitable::Waitable};
use crate::{
    ring::{Readiness, Waiter},
    sys::poll,
};

/// Waits until at least one of `on` is ready, or `timeout` is over (`None`: for ever), and tells all that are.
///
/// A receiving end is ready when there is a message, or the end: a receive does not block then, unless another receiver
/// of the same channel was faster. A listener is ready when a client is in. A process is ready when it has ended, an event when it is set, a descriptor when it is
/// readable or hung up. It is never early, and signals do not end it.
///
/// It looks for some tens of microseconds at the ends before it sleeps.
///
/// Compared with Python's `multiprocessing.connection.wait`: what is ready is told by its place, and nothing that is
/// ready is left out.
///
/// # Errors
///
/// - `NotInherited` (as [`io::ErrorKind::Unsupported`]): this is a forked child, and one of them belongs to its parent;
/// - `ResourceBusy`: another thread is receiving from one of the pipes;
/// - `ENOMEM`, or `EINVAL` for more descriptors than `RLIMIT_NOFILE`.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_ipc::{Waitable, one_way, wait};
/// use std::time::Duration;
///
/// # proc_core::init();
/// let (tx, rx) = one_way::<u32>()?;
/// let (_idle, other) = one_way::<u32>()?;
/// let mut child = Process::spawn(|tx: proc_ipc::PipeSender<u32>| tx.send(7).unwrap(), tx)?;
///
/// let ready = wait(&[&rx, &other], Duration::from_secs(60))?;
/// assert!(ready[0] && !ready[1]);
/// assert_eq!(rx.recv()?, 7);
///
/// let ready = wait(&[&other, &child], None)?;
/// assert_eq!(ready.first(), Some(1));
/// assert_eq!(child.try_join()?, Some(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait(on: &[&dyn Waitable], timeout: impl Into<Option<Duration>>) -> io::Result<Ready> {
    let timeout = timeout.into();
    // Nothing can become ready: without a time limit this would be for ever.
    if on.is_empty() && timeout.is_none() {
        return Ok(Ready::none(0));
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut watches = on.iter().map(|one| one.watch()).collect::<io::Result<Vec<_>>>()?;

    let mut places = (Vec::new(), Vec::new());
    let mut ends: Vec<&mut dyn Readiness> = Vec::new();
    let mut others: Vec<BorrowedFd<'_>> = Vec::new();
    for (place, watch) in watches.iter_mut().enumerate() {
        match watch {
            Watch::End(end) => {
                places.0.push(place);
                ends.push(&mut **end);
            }
            Watch::Fd(fd) => {
                places.1.push(place);
                others.push(*fd);
            }
        }
    }
    let found = Waiter::new().wait(&mut ends, &others, deadline)?;
    let mut ready = Ready::none(on.len());
    found.rings.iter().for_each(|at| ready.set(places.0[*at]));
    found.extra.iter().for_each(|at| ready.set(places.1[*at]));
    if found.extra.is_empty() && !others.is_empty() {
        // The ends were ready at once, so nobody has asked after the descriptors.
        let mut fds: Vec<_> = others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        poll::look(&mut fds)?;
        let readable = (0..fds.len()).filter(|at| !fds[*at].revents().is_empty());
        readable.for_each(|at| ready.set(places.1[at]));
    }
    Ok(ready)
}
