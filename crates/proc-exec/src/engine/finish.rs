//! The end of a call: the last bytes, the last of the group, the statuses, and what they mean.

use super::stream::Read;
use super::{Engine, REAP_BOUND, Stop};
use crate::encoding::Encoding;
use crate::error::{Cause, RunError};
use crate::output::{Output, Stage};
use crate::stdio::Stream;
use proc_core::inherit::Lineage;
use proc_core::{Child, ExitStatus, Usage};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is expected of the programs, and how they are told in an error.
pub(crate) struct Expect {
    pub(crate) lineage: Lineage,
    /// The command line of each stage, made only when it is needed.
    pub(crate) shown: Vec<crate::command::Shown>,
    /// The working directory of each stage.
    pub(crate) dirs: Vec<Option<PathBuf>>,
    pub(crate) checks: Vec<Check>,
    pub(crate) encoding: Encoding,
}

/// Which ends of one program are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Nothing,
    Success,
    Codes(Vec<i32>),
}

impl Check {
    fn accepts(&self, status: ExitStatus) -> bool {
        match self {
            Check::Nothing => true,
            Check::Success => status.success(),
            Check::Codes(codes) => status.code().is_some_and(|code| codes.contains(&code)),
        }
    }
}

/// The killed members of a group are gone in less. Where nobody reaps orphans (a container without an init) their zombies
/// stay, and the wait is in vain.
const GROUP_BOUND: Duration = Duration::from_millis(5);

/// How soon a program is looked at again whose end a tracer holds back: nothing tells when it lets go.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a shell makes of the death of its last program by SIGPIPE.
const SHELL_SIGPIPE: i32 = 128 + libc::SIGPIPE;

/// A stage whose reader has gone need not have written all: `yes | head -1` is a success.
fn tolerated(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGPIPE) || status.code() == Some(SHELL_SIGPIPE)
}

impl Engine {
    /// Ends all there is: nothing moves any more after it. `false`: a tracer still holds back the end of a program that
    /// has ended, and nothing has told the programs to end, so this is to be called again.
    pub(super) fn settle(&mut self) -> bool {
        if let Some(feed) = &mut self.feed {
            feed.close();
        }
        for i in 0..self.outlets.len() {
            let why = match self.outlets[i].sweep() {
                Ok(Read::Fine) => continue,
                Ok(Read::OverLimit) => Stop::OutputLimit(self.outlets[i].stream),
                Err(error) => Stop::Io("its output could not be taken", error),
            };
            self.stop.get_or_insert(why);
        }
        // While the leaders are unreaped their groups can't be another's.
        if self.processes.reaches_group() && (self.processes.ends_rest || self.stop.is_some()) {
            let _ = self.processes.signal(libc::SIGKILL);
        }
        self.lifelines.clear();
        let now = Instant::now();
        if !self.processes.reap(Some(now)) {
            let ended = self.ended.iter().all(|ended| *ended);
            if ended && self.stop.is_none() {
                if self.bounds.deadline.is_none_or(|deadline| now < deadline) {
                    self.drain_until = now.checked_add(LOOK_AGAIN);
                    return false;
                }
                self.stop = Some(Stop::TimedOut);
            }
            let bound = if ended { REAP_BOUND } else { Duration::ZERO };
            if !self.processes.reap(now.checked_add(bound)) {
                crate::start::leave(&self.processes);
            }
        }
        if self.stop.is_some() && self.processes.reaches_group() {
            self.processes.await_groups(GROUP_BOUND);
        }
        self.duration = self.bounds.started.elapsed();
        self.settled = true;
        true
    }

    /// The result of a call that has settled; its bytes are taken out.
    pub(crate) fn result(&mut self) -> Result<Output, RunError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (output, failed) = self.collect();
        let still_running = self.is_running();
        let cause = match self.stop.take() {
            Some(Stop::TimedOut) => Cause::TimedOut,
            Some(Stop::Cancelled) => Cause::Cancelled,
            Some(Stop::OutputLimit(stream)) => Cause::OutputLimit(stream),
            Some(Stop::Io(what, error)) => Cause::Io(what, error),
            None if failed.is_some() => Cause::Status,
            None => return Ok(output),
        };
        let error = self.error(cause, Some(output), failed).running(still_running);
        self.failure = Some(error.clone());
        Err(error)
    }

    /// An error about this call.
    pub(crate) fn error(&self, cause: Cause, output: Option<Output>, stage: Option<usize>) -> RunError {
        let dirs = &self.expect.dirs;
        // Where no stage is to blame, the directory is one that all have.
        let dir = match stage {
            Some(stage) => dirs[stage].clone(),
            None => dirs[0].clone().filter(|dir| dirs.iter().all(|other| other.as_ref() == Some(dir))),
        };
        RunError::new(cause, &self.expect.shown, dir, output, stage)
    }

    /// An error about what has come so far of programs that may go on.
    pub(crate) fn error_so_far(&self, cause: Cause) -> RunError {
        let so_far = self.so_far();
        self.error(cause, Some(so_far), None).running(self.is_running())
    }

    fn is_running(&self) -> bool {
        let runs = |child: &Child| child.ended_as().is_none() && !child.has_ended().unwrap_or(true);
        self.processes.stages.iter().any(|stage| runs(&stage.child))
    }

    /// What has come so far, for an error about programs that go on.
    pub(crate) fn so_far(&self) -> Output {
        let of = |stream| {
            let outlets = self.outlets.iter().filter(move |outlet| outlet.stream == stream);
            outlets.flat_map(|outlet| outlet.kept.copy()).collect()
        };
        let last = self.processes.stages.last().and_then(|stage| stage.child.ended_as());
        Output {
            status: last.map_or(ExitStatus::Lost, |ended| ended.status),
            stdout: of(Stream::Stdout),
            stderr: of(Stream::Stderr),
            duration: self.bounds.started.elapsed(),
            incomplete: true,
            omitted: 0,
            usage: None,
            stages: Vec::new(),
        }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.expect.encoding
    }

    /// The output, and which stage has failed: the last that did.
    fn collect(&mut self) -> (Output, Option<usize>) {
        let mut output = self.so_far_without_bytes();
        let mut starts = vec![None; self.processes.stages.len()];
        for outlet in &mut self.outlets {
            output.incomplete |= outlet.incomplete;
            let (bytes, omitted) = std::mem::take(&mut outlet.kept).into_bytes();
            output.omitted += omitted;
            let into = if outlet.stream == Stream::Stdout { &mut output.stdout } else { &mut output.stderr };
            if outlet.stream == Stream::Stderr {
                starts[outlet.stage] = Some(into.len());
            }
            if into.is_empty() {
                *into = bytes;
            } else {
                into.extend_from_slice(&bytes);
            }
        }
        let mut next_start = output.stderr.len();
        let mut failed = None;
        let last = self.processes.stages.len() - 1;
        for (i, stage) in self.processes.stages.iter().enumerate().rev() {
            let ended = stage.child.ended_as();
            let status = ended.map_or(ExitStatus::Lost, |ended| ended.status);
            let usage = ended.and_then(|ended| ended.usage);
            next_start = starts[i].unwrap_or(next_start);
            output.stages.push(Stage { status, usage, stderr_start: next_start });
            let is_good = self.expect.checks[i].accepts(status) || (i < last && tolerated(status));
            if !is_good && failed.is_none() {
                failed = Some(i);
            }
            output.usage = sum(output.usage, usage);
        }
        output.stages.reverse();
        output.status = output.stages[failed.unwrap_or(last)].status;
        (output, failed)
    }

    fn so_far_without_bytes(&self) -> Output {
        Output {
            status: ExitStatus::Lost,
            stdout: Vec::new(),
            stderr: Vec::new(),
            duration: self.duration,
            incomplete: false,
            omitted: 0,
            usage: None,
            stages: Vec::with_capacity(self.processes.stages.len()),
        }
    }
}

fn sum(a: Option<Usage>, b: Option<Usage>) -> Option<Usage> {
    let (Some(mut a), Some(b)) = (a, b) else { return a.or(b) };
    a.user += b.user;
    a.system += b.system;
    a.max_resident = a.max_resident.max(b.max_resident);
    Some(a)
}

/// Whoever lets go of a call that has not ended kills what its scope reaches, and waits for it for a bounded time.
impl Drop for Engine {
    fn drop(&mut self) {
        // In a forked child the programs are its parent's.
        if self.settled || !self.expect.lineage.is_current() {
            return;
        }
        let _ = self.processes.signal(libc::SIGKILL);
        self.lifelines.clear();
        if !self.processes.reap(Instant::now().checked_add(REAP_BOUND)) {
            crate::start::leave(&self.processes);
        }
    }
}
