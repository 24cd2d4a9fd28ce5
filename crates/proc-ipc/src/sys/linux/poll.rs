//! Waiting for descriptors until a deadline.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
};

/// Waits until one of `fds` has one of its events, or an error or a hang-up. False when `deadline` came first; without
/// one it waits for ever. Interruptions by signals are waited out; it is never early.
pub(crate) fn wait(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|t| t.saturating_duration_since(Instant::now()));
        let timeout = left.map(timespec);
        match poll(fds, timeout.as_ref()) {
            Ok(0) if left == Some(Duration::ZERO) => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
}

/// One look, without waiting.
pub(crate) fn look(fds: &mut [PollFd<'_>]) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(super::retry(|| poll(fds, Some(&now)))? > 0)
}

fn timespec(left: Duration) -> Timespec {
    Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
}
