//! Why a call failed.

mod display;

use crate::command::Shown;
use crate::output::Output;
use crate::stdio::Stream;
use proc_core::ExitStatus;
use proc_core::RemoteError;
use proc_core::spawner::{StartError, StartErrorKind};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;
use std::sync::Arc;

/// What kind of failure a [`RunError`] is.
///
/// ```
/// use proc_exec::{RunErrorKind, cmd};
///
/// let what = match cmd!("sh", "-c", "exit 3").run().map_err(|error| error.kind()) {
///     Ok(_) => "well",
///     Err(RunErrorKind::Start) => "not started",
///     Err(RunErrorKind::Status) => "badly",
///     Err(RunErrorKind::TimedOut | RunErrorKind::Cancelled) => "too late",
///     Err(_) => "otherwise",
/// };
/// assert_eq!(what, "badly");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunErrorKind {
    /// A program could not be started; see [`RunError::start_error`].
    Start,
    /// It ended with a status that is not accepted.
    Status,
    /// The time limit was over.
    TimedOut,
    /// A [`CancelToken`](crate::CancelToken) ended it.
    Cancelled,
    /// It wrote more than the limit.
    OutputLimit,
    /// What it wrote is no text by the rule; see [`Encoding`](crate::Encoding).
    Decode,
    /// The description can't be carried out.
    InvalidInput,
    /// A pipe, a file of its streams or a terminal could not be made or opened, and nothing was started; or reading,
    /// writing or waiting failed, or a callback's writer or the input's reader.
    Io,
}

/// Why a call failed: the command line, the status, what it wrote, and the cause.
///
/// `Display` and `Debug` tell all of it: the command line, escaped so that a shell takes it; the directory; the time;
/// head and tail of standard error. Clones share what they hold.
///
/// ```
/// use proc_exec::cmd;
///
/// let error = cmd!("sh", "-c", "echo 'no such branch' >&2; exit 3").run().unwrap_err();
/// assert_eq!(error.status().and_then(|status| status.code()), Some(3));
/// let text = error.to_string();
/// assert!(text.starts_with("`sh -c 'echo "), "{text}");
/// assert!(text.contains("exited with code 3"), "{text}");
/// assert!(text.ends_with("stderr: no such branch"), "{text}");
/// ```
#[derive(Clone)]
pub struct RunError {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    cause: Arc<Cause>,
    command: String,
    dir: Option<PathBuf>,
    output: Option<Output>,
    stage: Option<usize>,
    stages: usize,
    still_running: bool,
}

pub(crate) enum Cause {
    Start(StartError),
    /// Pipes and files, before there is a process.
    Prepare(&'static str, Option<PathBuf>, io::Error),
    Status,
    TimedOut,
    Cancelled,
    OutputLimit(Stream),
    Decode(Stream, Utf8Error),
    InvalidInput(String),
    Io(&'static str, io::Error),
}

impl RunError {
    pub(crate) fn new(
        cause: Cause,
        shown: &[Shown],
        dir: Option<PathBuf>,
        output: Option<Output>,
        stage: Option<usize>,
    ) -> Self {
        let lines: Vec<String> = shown.iter().map(Shown::to_string).collect();
        RunError {
            inner: Arc::new(Inner {
                cause: Arc::new(cause),
                command: lines.join(" | "),
                dir,
                output,
                stage: stage.filter(|_| shown.len() > 1),
                stages: shown.len(),
                still_running: false,
            }),
        }
    }

    pub(crate) fn running(mut self, still_running: bool) -> Self {
        Arc::make_mut(&mut self.inner).still_running = still_running;
        self
    }

    /// The bytes that it is about, instead of all that has come.
    pub(crate) fn with_stdout(mut self, bytes: Vec<u8>) -> Self {
        if let Some(output) = &mut Arc::make_mut(&mut self.inner).output {
            output.stdout = bytes;
        }
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> RunErrorKind {
        match &*self.inner.cause {
            Cause::Start(_) => RunErrorKind::Start,
            Cause::Status => RunErrorKind::Status,
            Cause::TimedOut => RunErrorKind::TimedOut,
            Cause::Cancelled => RunErrorKind::Cancelled,
            Cause::OutputLimit(_) => RunErrorKind::OutputLimit,
            Cause::Decode(..) => RunErrorKind::Decode,
            Cause::InvalidInput(_) => RunErrorKind::InvalidInput,
            Cause::Prepare(..) | Cause::Io(..) => RunErrorKind::Io,
        }
    }

    /// What was captured until then. `None` if nothing was started.
    pub fn output(&self) -> Option<&Output> {
        self.inner.output.as_ref()
    }

    /// How the program ended. `None` if nothing was started, if it still runs, or if it has ended and nobody has looked
    /// how yet.
    pub fn status(&self) -> Option<ExitStatus> {
        let output = self.inner.output.as_ref().filter(|_| !self.inner.still_running)?;
        // What has come so far has no stages, and its status may be unknown.
        (!output.stages.is_empty() || output.status != ExitStatus::Lost).then_some(output.status)
    }

    /// The command line as a shell takes it; of a pipeline, all of it.
    pub fn command(&self) -> &str {
        &self.inner.command
    }

    /// The working directory that was asked for.
    pub fn current_dir(&self) -> Option<&Path> {
        self.inner.dir.as_deref()
    }

    /// Which stage of a pipeline is to blame, from 0.
    pub fn stage(&self) -> Option<usize> {
        self.inner.stage
    }

    /// Why a program could not be started: the step, the path, what it means.
    pub fn start_error(&self) -> Option<&StartError> {
        match &*self.inner.cause {
            Cause::Start(error) => Some(error),
            _ => None,
        }
    }

    /// There is no such program.
    pub fn is_not_found(&self) -> bool {
        self.start_error().is_some_and(|error| error.kind() == StartErrorKind::ProgramNotFound)
    }

    /// The time limit was over.
    pub fn is_timeout(&self) -> bool {
        self.kind() == RunErrorKind::TimedOut
    }

    /// A [`CancelToken`](crate::CancelToken) ended it.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == RunErrorKind::Cancelled
    }

    /// It wrote more than the limit.
    pub fn is_output_limit(&self) -> bool {
        self.kind() == RunErrorKind::OutputLimit
    }

    /// The program was still running when the call returned: the call's own time-out was over and left it alone, or
    /// even SIGKILL has not ended it yet.
    pub fn is_still_running(&self) -> bool {
        self.inner.still_running
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.inner.cause {
            Cause::Start(error) => Some(error),
            Cause::Prepare(_, _, error) | Cause::Io(_, error) => Some(error),
            Cause::Decode(_, error) => Some(error),
            _ => None,
        }
    }
}

/// A function that runs elsewhere hands it on with `?`.
impl From<RunError> for RemoteError {
    fn from(error: RunError) -> Self {
        RemoteError::new(error)
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        let kind = match &*error.inner.cause {
            Cause::Start(start) => start.io_error().kind(),
            Cause::Prepare(_, _, error) | Cause::Io(_, error) => error.kind(),
            Cause::TimedOut => io::ErrorKind::TimedOut,
            Cause::Cancelled => io::ErrorKind::Interrupted,
            Cause::Decode(..) => io::ErrorKind::InvalidData,
            Cause::InvalidInput(_) => io::ErrorKind::InvalidInput,
            Cause::Status | Cause::OutputLimit(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
