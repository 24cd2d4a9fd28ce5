//! Asking a zygote for a process.

use crate::fd::Fd;
use crate::process::{Description, Inner, Source, SpawnError, SpawnErrorKind, Stdio, adopt};
use crate::start::detach::{self, Outcome};
use crate::start::work::{self, Work};
use crate::start::{boot, exec, fork, lifeline, name_of};
use crate::sys::signals;
use crate::transfer::{self, packet};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// What crosses to the zygote for each start.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    /// The new process's end of the link, in which its first message waits.
    pub(super) link: Fd<OwnedFd>,
    pub(super) description: Description,
    /// Descriptors for the standard streams, with their numbers.
    pub(super) streams: Vec<(Fd<OwnedFd>, i32)>,
    /// Whether somebody waits to hear that the settings were applied.
    pub(super) acknowledge: bool,
}

/// Why there is no new process.
pub(super) enum Refusal {
    /// The zygote has ended, and had not forked.
    Died,
    Error(SpawnError),
}

impl From<SpawnError> for Refusal {
    fn from(e: SpawnError) -> Self {
        Refusal::Error(e)
    }
}

/// Has `zygote` fork a process that does `work`.
pub(super) fn ask(
    zygote: &Inner,
    description: &Description,
    stdio: &[Stdio; 3],
    work: &Work,
) -> Result<Arc<Inner>, Refusal> {
    let fail = |e: io::Error| Refusal::Error(SpawnError::io("the zygote could not be asked", e));
    let Some(control) = &zygote.link else { return Err(Refusal::Died) };
    let name = name_of(description);
    let (link, theirs) = work::new_link()?;
    let line = lifeline::new(description.daemon)?;
    let line_end = lifeline::read_end(&line);
    let passport = boot::Passport::of(description, &name, signals::ALL, line_end);
    boot::send(&link, &passport, work)?;
    let null = exec::open_null(stdio)?;
    let mut streams = Vec::new();
    for (stream, number) in stdio.iter().zip(0..) {
        if let Some(fd) = exec::descriptor(stream, &null) {
            streams.push((Fd(fd.try_clone_to_owned().map_err(fail)?), number));
        }
    }
    let acknowledge = description.asks_for_settings(stdio);
    let request = Request { link: Fd(theirs), description: description.clone(), streams, acknowledge };
    let packed = transfer::pack(&request).map_err(|e| fail(io::Error::other(e)))?;
    match packet::send_packed(control.socket(), &packed, None) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            return Err(Refusal::Died);
        }
        Err(e) => return Err(fail(e)),
    }
    // Only now, so that there is room for the new process's pidfd, however few descriptors are left.
    drop((request, packed, null));
    let (pid, pidfd) = if description.detached {
        detach::await_detached(&link)?
    } else {
        match detach::await_started(&link, Some(zygote.pidfd()))? {
            Outcome::Started(pid, pidfd) => (pid, pidfd),
            Outcome::Nobody if is_alive(zygote) => {
                let why = "the zygote lost the request: it is out of descriptors or memory";
                return Err(Refusal::Error(SpawnError::new(SpawnErrorKind::Zygote, why)));
            }
            Outcome::Nobody => return Err(Refusal::Died),
        }
    };
    let source = Source::foreign(pid, pidfd, !description.detached);
    let inner = Inner::new(name, source, Some(link), line.map(|(write, _)| write));
    adopt(&inner);
    if acknowledge {
        fork::await_ready(&inner)?;
    }
    Ok(inner)
}

/// Whether the process runs. One that is being ended closes its descriptors first, and is seen to have ended a moment
/// later.
fn is_alive(inner: &Inner) -> bool {
    let moment = Instant::now() + std::time::Duration::from_millis(100);
    matches!(inner.wait_deadline(Some(moment)), Ok(None))
}
