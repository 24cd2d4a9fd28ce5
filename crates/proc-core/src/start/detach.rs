//! A process that is nobody's child here: the new process forks once more, and the one in between ends.

use crate::process::{Description, Link, Reply, SpawnError, SpawnErrorKind, reply};
use crate::sys::pidfd::{self, poll_soon};
use crate::sys::{clone, steps};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// An error if the process is to be a daemon as well, which would die with us.
pub(super) fn check(description: &Description) -> Result<(), SpawnError> {
    if description.detached && description.daemon {
        return Err(SpawnError::new(SpawnErrorKind::Unsupported, "a daemon can't be detached"));
    }
    Ok(())
}

/// Forks, and ends this process; returns in the new one, which has told its id and its pidfd up `link`.
///
/// Called where there is one thread. What is a `LocalFd` by now is closed in the new process.
pub(super) fn detach(link: BorrowedFd<'_>) -> Result<(), String> {
    // SAFETY: this process has one thread.
    match unsafe { clone::fork() } {
        Ok(0) => announce(link),
        Ok(_) => clone::exit_now(0),
        Err(e) => Err(format!("it could not be detached: {e}")),
    }
}

/// Tells this process's id and its pidfd up `link`.
///
/// It is the new process that does, and not the one that forked it: that one may be killed in between, and then nobody
/// would know whether there is a process.
pub(super) fn announce(link: BorrowedFd<'_>) -> Result<(), String> {
    let own = steps::own_pid();
    let pidfd = pidfd::open(own).map_err(|e| format!("the new process can get no pidfd of itself: {e}"))?;
    // Whoever asked for it may be gone, and has no use for it then.
    let _ = reply(link, Reply::Started(own as u32, pidfd));
    Ok(())
}

/// How long a new process whose maker has ended may take for its first system calls.
const LAST_WORD: Duration = Duration::from_secs(10);

/// What became of a start that another process made for us.
pub(super) enum Outcome {
    Started(u32, OwnedFd),
    /// Nobody is left who could say anything, and nothing was said: there is no new process.
    Nobody,
}

/// Waits for the word of the new process: its id and pidfd. Its other replies may come before, and are kept.
///
/// `maker` is the pidfd of whoever is to fork it.
pub(super) fn await_started(link: &Link, maker: Option<BorrowedFd<'_>>) -> Result<Outcome, SpawnError> {
    let unheard = |e| SpawnError::io("the start could not be heard of", e);
    let mut early = Vec::new();
    let mut deadline = None;
    loop {
        link.collect();
        while let Some(reply) = link.take_reply() {
            match reply {
                Reply::Started(pid, pidfd) => {
                    early.into_iter().rev().for_each(|reply| link.put_back(reply));
                    return Ok(Outcome::Started(pid, pidfd));
                }
                Reply::NotForked(why) => return Err(SpawnError::new(SpawnErrorKind::Zygote, why)),
                other => early.push(other),
            }
        }
        // Its word may be what was lost, so it is not as if there were no process.
        if let Some(error) = link.take_error() {
            return Err(unheard(error));
        }
        if link.is_closed() {
            // The process in between may have said why there is no other.
            return match early.into_iter().find(Reply::is_final) {
                Some(Reply::Refused(why)) => Err(SpawnError::new(SpawnErrorKind::Start, why)),
                Some(_) => {
                    Err(SpawnError::new(SpawnErrorKind::Start, "the new process did not say who it is"))
                }
                None => Ok(Outcome::Nobody),
            };
        }
        let mut fds = vec![PollFd::from_borrowed_fd(link.socket(), PollFlags::IN)];
        let alive = maker.filter(|_| deadline.is_none());
        fds.extend(alive.map(|maker| PollFd::from_borrowed_fd(maker, PollFlags::IN)));
        if !poll_soon(&mut fds, deadline).map_err(unheard)? {
            let why = "the zygote has ended, and the new process, if there is one, does not say who it is";
            return Err(SpawnError::new(SpawnErrorKind::Zygote, why));
        }
        // A maker that has ended closed the request, or else the new process has the link and will speak.
        if fds.get(1).is_some_and(|maker| !maker.revents().is_empty()) {
            deadline = Some(Instant::now() + LAST_WORD);
        }
    }
}

/// As [`await_started`], for the process that takes the place of one in between.
pub(super) fn await_detached(link: &Link) -> Result<(u32, OwnedFd), SpawnError> {
    match await_started(link, None)? {
        Outcome::Started(pid, pidfd) => Ok((pid, pidfd)),
        Outcome::Nobody => {
            Err(SpawnError::new(SpawnErrorKind::Start, "the new process ended before it was detached"))
        }
    }
}
