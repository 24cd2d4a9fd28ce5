//! Why a process could not be started, and why it gave no value.

use crate::remote_error::RemoteError;
use crate::spawner::StartError;
use crate::status::ExitStatus;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::io;

/// Why a process of this program could not be started.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{Process, SpawnErrorKind};
///
/// proc_core::init();
/// let error = Process::builder().current_dir("/no/such").spawn(|()| (), ()).unwrap_err();
/// assert_eq!(error.kind(), SpawnErrorKind::Start);
/// assert!(error.to_string().contains("/no/such"));
///
/// let error = Process::builder().daemon(true).detached(true).spawn(|()| (), ()).unwrap_err();
/// assert_eq!(error.kind(), SpawnErrorKind::Unsupported);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct SpawnError {
    kind: SpawnErrorKind,
    what: String,
    source: Option<RemoteError>,
}

/// What kind of reason a [`SpawnError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// This process can't start processes of its program: [`init`](crate::init) was not called, or too late, or not with
    /// `/proc` mounted; the program is privileged (setuid and the like); or its real and effective users differ.
    NotInitialized,
    /// A fork of a process that has several threads.
    Threads,
    /// The function lies outside the program's own executable, or the program was started in a way that a new process
    /// could not repeat.
    Function,
    /// The argument does not cross; the source says why.
    Argument,
    /// The description is not valid, the new process could not be made, or it could not apply its settings; the text and
    /// the source say which.
    Start,
    /// The zygote could not be started, its preload function failed, or it died, or was out of resources, before the start.
    Zygote,
    /// The settings contradict each other: a daemon that is detached.
    Unsupported,
}

impl SpawnError {
    /// What kind of reason it is.
    pub fn kind(&self) -> SpawnErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: SpawnErrorKind, what: impl Into<String>) -> Self {
        SpawnError { kind, what: what.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(RemoteError::new(source));
        self
    }

    pub(crate) fn io(what: &str, error: io::Error) -> Self {
        SpawnError::new(SpawnErrorKind::Start, what).with_source(error)
    }
}

impl From<StartError> for SpawnError {
    fn from(error: StartError) -> Self {
        SpawnError::new(SpawnErrorKind::Start, "the new process did not start").with_source(error)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        let kind = error.source.as_ref().and_then(RemoteError::io_kind).unwrap_or(io::ErrorKind::Other);
        io::Error::new(kind, error)
    }
}

impl From<SpawnError> for RemoteError {
    fn from(error: SpawnError) -> Self {
        RemoteError::new(error)
    }
}

/// A panic that happened in another process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// What the panic said.
    pub message: String,
    /// Where: `file:line:column`. `None` if the program's own panic hook took the place of ours.
    pub location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

impl Panic {
    /// The stack of the panicking thread, if `RUST_BACKTRACE` was set there.
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)?;
        match &self.location {
            Some(location) => write!(f, " (at {location})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a process gave no value.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{JoinError, Process};
///
/// fn report(p: Process<u32>) -> String {
///     match p.join() {
///         Ok(value) => format!("value {value}"),
///         Err(JoinError::Panicked(panic)) => format!("panicked: {}", panic.message),
///         Err(JoinError::Exited(code)) => format!("left with code {code}"),
///         Err(JoinError::Signaled { signal, core: _ }) => format!("killed by {signal}"),
///         Err(JoinError::Lost) => "gone, and nobody knows how".into(),
///         Err(JoinError::Encode(why) | JoinError::Decode(why)) => format!("no value: {why}"),
///         Err(JoinError::Refused(why)) => format!("never began: {why}"),
///         Err(e @ (JoinError::Taken | JoinError::NotInherited | JoinError::Wait(_))) => format!("not here: {e}"),
///         Err(other) => other.to_string(),
///     }
/// }
///
/// proc_core::init();
/// assert_eq!(report(Process::spawn(|x: u32| x, 1)?), "value 1");
/// assert_eq!(report(Process::spawn(|x: u32| -> u32 { panic!("no {x}") }, 1)?), "panicked: no 1");
/// assert_eq!(report(Process::spawn(|_: u32| -> u32 { std::process::exit(3) }, 1)?), "left with code 3");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JoinError {
    /// Its function panicked.
    Panicked(Panic),
    /// It left by itself with this code before its function returned.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core dump was made.
        core: bool,
    },
    /// It ended without a value, and its status is not known.
    Lost,
    /// Its function returned, and the value does not cross, or could not be sent.
    Encode(String),
    /// The value came, and could not be received or decoded here.
    Decode(String),
    /// The new process refused its work, and said why: another build of the program, or an argument that could not be
    /// decoded there.
    Refused(String),
    /// An earlier call has taken the value.
    Taken,
    /// The handle was made by another process, and was carried here by a fork.
    NotInherited,
    /// The system refused to wait.
    Wait(String),
}

impl JoinError {
    pub(crate) fn from_status(status: ExitStatus) -> JoinError {
        match status {
            ExitStatus::Exited(code) => JoinError::Exited(code),
            ExitStatus::Signaled { signal, core } => JoinError::Signaled { signal, core },
            ExitStatus::Lost => JoinError::Lost,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => write!(f, "the process {panic}"),
            JoinError::Exited(code) => {
                write!(f, "the process exited with code {code} before its function returned")
            }
            JoinError::Signaled { signal, core } => {
                write!(f, "the process was {}", ExitStatus::Signaled { signal: *signal, core: *core })
            }
            JoinError::Lost => f.write_str("the process ended without a value, and its status was lost"),
            JoinError::Encode(why) => write!(f, "the value of the process does not cross: {why}"),
            JoinError::Decode(why) => write!(f, "the value of the process could not be decoded: {why}"),
            JoinError::Refused(why) => write!(f, "the process refused its work: {why}"),
            JoinError::Taken => f.write_str("the value of the process was taken by an earlier call"),
            JoinError::NotInherited => f.write_str("the process belongs to the parent of this one"),
            JoinError::Wait(why) => write!(f, "the process could not be waited for: {why}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}

impl From<JoinError> for RemoteError {
    fn from(error: JoinError) -> Self {
        RemoteError::new(error)
    }
}
