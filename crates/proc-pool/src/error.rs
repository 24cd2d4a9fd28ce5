//! Why a task gave no value, and why a pool could not be had.

use crate::task::TaskId;
use proc_core::{ExitStatus, Panic, RemoteError};
use serde::{Deserialize, Serialize};
use std::{error::Error, fmt, io};

/// Why a task gave no value. It is the error of this task alone: the pool goes on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// Its function panicked. The worker lives.
    Panicked(Panic),
    /// Its function returned this error (`try_submit`, `try_map`).
    Failed(RemoteError),
    /// Its worker ended while it ran: killed, crashed, or by an exit in the function. The worker is replaced.
    WorkerDied {
        /// The worker's process id.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
        /// The task that it was running.
        task: TaskId,
    },
    /// It ran longer than its time limit, and its worker was killed.
    TimedOut,
    /// It was cancelled, or killed, by its handle.
    Cancelled,
    /// Its argument, its state or its value could not be encoded: why.
    Encode(String),
    /// Its argument or its state could not be decoded in the worker, or its value here: why.
    Decode(String),
    /// The pool was closed before it was submitted, or ended before it was done.
    Closed,
    /// The pool has no workers and can't get any: why.
    Broken(String),
    /// An earlier call has taken its value or its error.
    Taken,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panic) => write!(f, "the task {panic}"),
            TaskError::Failed(error) => write!(f, "the task failed: {error}"),
            TaskError::WorkerDied { pid, status, task } => {
                write!(f, "the worker process {pid} {status} while it ran {task}")
            }
            TaskError::TimedOut => f.write_str("the task ran longer than its time limit"),
            TaskError::Cancelled => f.write_str("the task was cancelled"),
            TaskError::Encode(why) => write!(f, "the task's argument or value could not be encoded: {why}"),
            TaskError::Decode(why) => {
                write!(f, "the task's argument or value could not be decoded: {why}")
            }
            TaskError::Closed => f.write_str("the pool was closed before the task was done"),
            TaskError::Broken(why) => write!(f, "the pool is broken: {why}"),
            TaskError::Taken => f.write_str("the value of the task was taken by an earlier call"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TaskError::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        let kind = match &error {
            TaskError::Failed(remote) => remote.io_kind().unwrap_or(io::ErrorKind::Other),
            TaskError::TimedOut => io::ErrorKind::TimedOut,
            TaskError::Decode(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<TaskError> for RemoteError {
    fn from(error: TaskError) -> Self {
        RemoteError::new(error)
    }
}

/// Why a pool could not be made, or did not end as it should.
#[derive(Clone, Serialize, Deserialize)]
pub struct PoolError {
    what: String,
    source: Option<RemoteError>,
}

impl PoolError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        PoolError { what: what.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(RemoteError::new(source));
        self
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<PoolError> for io::Error {
    fn from(error: PoolError) -> Self {
        let kind = error.source.as_ref().and_then(RemoteError::io_kind).unwrap_or(io::ErrorKind::Other);
        io::Error::new(kind, error)
    }
}

impl From<PoolError> for RemoteError {
    fn from(error: PoolError) -> Self {
        RemoteError::new(error)
    }
}
