//! `Spawn`: the program once more, as a new image.

use super::work::{self, Work};
use super::{boot, detach, lifeline, name_of};
use crate::process::{Description, Inner, Source, SpawnError, Stdio, adopt};
use crate::spawner::{LifelineScope, Spawner};
use crate::sys::signals;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The variable that tells a new process which descriptor leads to its parent. It is taken out of the environment before
/// any code of the program runs.
pub(super) const MARKER: &str = "PROC_CORE_LINK";
/// That descriptor's number.
const LINK_FD: i32 = 3;

/// Starts a new image that does `work`.
pub(super) fn start(
    description: &Description,
    stdio: &[Stdio; 3],
    work: &Work,
) -> Result<Arc<Inner>, SpawnError> {
    let name = name_of(description);
    let (link, theirs) = work::new_link()?;
    let line = lifeline::new(description.daemon)?;
    let line_end = lifeline::read_end(&line);
    let passport = boot::Passport::of(description, &name, signals::PIPE, line_end);
    boot::send(&link, &passport, work)?;
    let null = open_null(stdio)?;
    let mut spawner = Spawner::new("/proc/self/exe");
    spawner.settings = description.settings.clone();
    spawner.env = description.env.clone();
    let mut args = std::env::args_os();
    if let Some(arg0) = args.next() {
        spawner.arg0(arg0);
    }
    spawner.args(args).env(MARKER, LINK_FD.to_string()).fd(theirs.as_fd(), LINK_FD);
    spawner.signal_mask(signals::mask()).keep_sigpipe(true);
    for (stream, number) in stdio.iter().zip(0..) {
        if let Some(fd) = descriptor(stream, &null) {
            spawner.fd(fd, number);
        }
    }
    if let Some(read) = lifeline::read_end(&line) {
        // Armed before the exec, so that there is no moment without it. The message in the socket keeps it open.
        spawner.lifeline(read, LifelineScope::Process);
    }
    let child = spawner.start()?;
    drop(spawner);
    drop(theirs);
    let source = if description.detached {
        let started = detach::await_detached(&link);
        // It ends in no time, and must not stay a zombie.
        let _ = child.wait();
        let (pid, pidfd) = started?;
        Source::foreign(pid, pidfd, false)
    } else {
        Source::Own(child)
    };
    let inner = Inner::new(name, source, Some(link), line.map(|(write, _)| write));
    adopt(&inner);
    Ok(inner)
}

/// `/dev/null`, if a stream asks for it.
pub(super) fn open_null(stdio: &[Stdio; 3]) -> Result<Option<OwnedFd>, SpawnError> {
    if !stdio.iter().any(|stream| matches!(stream, Stdio::Null)) {
        return Ok(None);
    }
    let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    Ok(Some(file.map_err(|e| SpawnError::io("/dev/null could not be opened", e))?.into()))
}

/// The descriptor that a stream is replaced by.
pub(super) fn descriptor<'a>(stream: &'a Stdio, null: &'a Option<OwnedFd>) -> Option<BorrowedFd<'a>> {
    match stream {
        Stdio::Inherit => None,
        Stdio::Null => null.as_ref().map(AsFd::as_fd),
        Stdio::Fd(fd) => Some(fd.as_fd()),
        // SAFETY: it is only duplicated, in the child; a standard stream that the program has closed is an error there.
        Stdio::Stdout => Some(unsafe { BorrowedFd::borrow_raw(1) }),
        // SAFETY: as above.
        Stdio::Stderr => Some(unsafe { BorrowedFd::borrow_raw(2) }),
    }
}
