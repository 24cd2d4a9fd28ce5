//! Waiting on several descriptors until a moment.

pub(crate) use rustix::event::{PollFd, PollFlags};
use rustix::event::{Timespec, poll};
use std::io;
use std::time::{Duration, Instant};

/// Waits until one of `fds` is ready (`true`) or the moment is over. Never early: what remains is computed again after
/// a signal and after each time-out of the kernel's. `None` waits for ever.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        match poll(fds, left.map(timespec).as_ref()) {
            Ok(0) if left.is_none_or(|left| left > Duration::ZERO) => continue,
            Ok(n) => return Ok(n > 0),
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
    }
}

/// The kernel's form of a duration. What is longer than a century is cut, and the caller's loop waits again.
pub(crate) fn timespec(d: Duration) -> Timespec {
    Timespec {
        tv_sec: d.as_secs().min(u64::from(u32::MAX)) as i64,
        tv_nsec: i64::from(d.subsec_nanos()) as _,
    }
}
