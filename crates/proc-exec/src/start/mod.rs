//! From descriptions to running programs: pipes and files, the start of each stage, and what happens when one fails.

mod leftovers;
mod lifeline;
mod spawner;
mod streams;

pub(crate) use leftovers::{leave, sweep};
pub(crate) use lifeline::Lifeline;

use crate::command::{Command, Limits, decoded};
use crate::engine::{Bounds, Check, Engine, Expect, KillScope, Processes};
use crate::error::{Cause, RunError};
use crate::output::Output;
use crate::stdio::{Input, Sink};
use proc_core::inherit::Lineage;
use std::time::{Duration, Instant};

/// What a verb makes of what a command leaves open.
pub(crate) struct Mode {
    stdin: Input,
    stdout: Sink,
    stderr: Sink,
    check: Check,
    /// Of a pipeline: what is read by the first stage, and the bounds.
    input: Option<Input>,
    limits: Option<Limits>,
    interactive: bool,
    /// There is a handle, by which the write end of an input can be taken.
    has_handle: bool,
}

impl Mode {
    pub(crate) fn captured() -> Self {
        Mode {
            stdin: Input::null(),
            stdout: Sink::capture(),
            stderr: Sink::capture(),
            check: Check::Success,
            input: None,
            limits: None,
            interactive: false,
            has_handle: false,
        }
    }

    pub(crate) fn inherited() -> Self {
        let (stdout, stderr) = (Sink::inherit(), Sink::inherit());
        Mode { stdin: Input::inherit(), stdout, stderr, ..Mode::captured() }
    }

    pub(crate) fn interactive() -> Self {
        Mode { stdin: Input::pipe(), interactive: true, ..Mode::captured() }
    }

    pub(crate) fn unchecked(self) -> Self {
        Mode { check: Check::Nothing, ..self }
    }

    pub(crate) fn with_handle(self) -> Self {
        Mode { has_handle: true, ..self }
    }

    pub(crate) fn of_pipeline(self, input: Option<Input>, limits: Limits) -> Self {
        Mode { input, limits: Some(limits), ..self }
    }
}

/// Runs stages to their end.
pub(crate) fn run(stages: &[&Command], mode: Mode) -> Result<Output, RunError> {
    finish(&mut start(stages, mode)?)
}

/// Runs stages to their end, for their text.
pub(crate) fn read(stages: &[&Command], mode: Mode) -> Result<String, RunError> {
    let mut engine = start(stages, mode)?;
    let mut output = finish(&mut engine)?;
    let mut bytes = std::mem::take(&mut output.stdout);
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    decoded(&engine, output, bytes)
}

pub(crate) fn finish(engine: &mut Engine) -> Result<Output, RunError> {
    match engine.pump(None, |_| false) {
        Ok(_) => engine.result(),
        Err(error) => Err(engine.error(Cause::Io("it could not be waited for", error), None, None)),
    }
}

/// Starts all stages, or none: if one can't be started, those before it are killed and reaped at once.
pub(crate) fn start(stages: &[&Command], mode: Mode) -> Result<Engine, RunError> {
    let started = Instant::now();
    sweep();
    let describe = || stages.iter().map(|stage| stage.shown()).collect::<Vec<_>>();
    let fail = |cause, at: usize| {
        let (stage, dir) = (stages.get(at).map(|_| at), stages.get(at).and_then(|stage| stage.dir.clone()));
        RunError::new(cause, &describe(), dir, None, stage)
    };
    let limits = mode.limits.clone().unwrap_or_else(|| stages[0].limits.clone());
    let bounds = bounds(started, &limits);
    let reach = spawner::Reach::new(stages, &limits);
    let mut plan =
        streams::Plan::new(stages, &mode, &limits, &reach).map_err(|(cause, at)| fail(cause, at))?;
    let mut processes = Processes {
        stages: Vec::with_capacity(stages.len()),
        scope: reach.scope,
        cgroup: stages[0].settings.cgroup.clone(),
        ends_rest: reach.ends_rest,
    };
    let mut lifelines = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        let ends = std::mem::take(&mut plan.ends[i]);
        match spawner::spawn(stage, ends, &reach, &processes.stages, &lifelines, bounds.deadline) {
            Ok((member, lifeline)) => {
                lifelines.extend(lifeline.map(|lifeline| (i, lifeline)));
                processes.stages.push(member);
            }
            Err(cause) => {
                end_at_once(&processes);
                return Err(fail(cause, i));
            }
        }
    }
    let expect = Expect {
        lineage: Lineage::current(),
        shown: describe(),
        dirs: stages.iter().map(|stage| stage.dir.clone()).collect(),
        checks: stages.iter().map(|stage| stage.check.clone().unwrap_or(mode.check.clone())).collect(),
        encoding: stages[stages.len() - 1].encoding,
    };
    let lifelines = lifelines.into_iter().map(|(_, lifeline)| lifeline).collect();
    let feed = plan.feed.take();
    let outlets = std::mem::take(&mut plan.outlets);
    let mut engine = Engine::new(processes, feed, outlets, bounds, expect, lifelines);
    if let Some(feed) = &mut engine.feed {
        if let Err(error) = feed.begin() {
            return Err(fail(Cause::Io("its input could not be written", error), 0));
        }
    }
    Ok(engine)
}

/// What a failed start of a later stage leaves is ended before the error is told.
fn end_at_once(processes: &Processes) {
    let _ = processes.signal(libc::SIGKILL);
    processes.reap(Instant::now().checked_add(Duration::from_secs(1)));
}

fn bounds(started: Instant, limits: &Limits) -> Bounds {
    const GRACE: Duration = Duration::from_millis(200);
    const MOST_GRACE: Duration = Duration::from_secs(1);
    const DRAIN: Duration = Duration::from_millis(250);
    /// A century. What is longer is no bound, and would be beyond the clock.
    const AGES: Duration = Duration::from_secs(100 * 365 * 86_400);
    let by_limit = |limit: Duration| (limit / 5).min(MOST_GRACE);
    Bounds {
        started,
        // A limit beyond the clock's end is none.
        deadline: limits.timeout.and_then(|limit| started.checked_add(limit)),
        grace: limits.grace.unwrap_or_else(|| limits.timeout.map_or(GRACE, by_limit)).min(AGES),
        drain_grace: limits.drain_grace.unwrap_or(DRAIN).min(AGES),
        stop_signal: limits.stop_signal.unwrap_or(libc::SIGTERM),
        cancel: limits.cancel.clone(),
    }
}

/// Whether a scope wants a group of its own.
pub(crate) fn wants_group(scope: Option<KillScope>) -> bool {
    scope.is_some_and(|scope| scope != KillScope::Child)
}
