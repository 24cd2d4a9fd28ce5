//! Programs of which each reads what the one before writes.

use crate::cancel::CancelToken;
use crate::child::Child;
use crate::command::{Command, Limits};
use crate::engine::{KillScope, Overflow};
use crate::error::RunError;
use crate::lines::Lines;
use crate::output::Output;
use crate::start::{self, Mode};
use crate::stdio::Input;
use proc_core::ExitStatus;
use std::borrow::BorrowMut;
use std::fmt;
use std::time::Duration;

/// A pipeline: each program reads the standard output of the one before. Made by [`Command::pipe`].
///
/// - The programs start together or not at all: if one can't be started, those before it are killed at once.
/// - The bounds (time, output, kill scope, cancellation) are those of the first command, and the methods here change
///   them; a shorter time limit of a later command counts too. With a limit, all are in one process group: that of the
///   first, or one of their own if the first has a session.
/// - One of them can have an input of bytes, a reader or a pipe: the first, as a rule.
/// - A program that ends badly is an error, wherever it stands; the last such one is told. One that its reader has left
///   (SIGPIPE) has not ended badly, unless it is the last: `yes | head -1` is a success.
/// - Standard error of each is captured apart: [`Output::stderr_of`]. [`Output::stages`] has all statuses.
///
/// ```
/// use proc_exec::{Command, cmd};
///
/// let count = cmd!("sort", "-u").pipe(Command::new("wc").arg("-l")).input("b\na\nb\n").read()?;
/// assert_eq!(count, "2");
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[derive(Clone)]
pub struct Pipeline {
    stages: Vec<Command>,
    input: Option<Input>,
    limits: Limits,
}

impl Pipeline {
    pub(crate) fn new(first: Command) -> Self {
        let limits = first.limits.clone();
        Pipeline { stages: vec![first], input: None, limits }
    }

    /// Adds a program at the end.
    pub fn pipe(&mut self, next: impl BorrowMut<Command>) -> &mut Self {
        let next = next.borrow().clone();
        let limits = [self.limits.timeout, next.limits.timeout];
        self.limits.timeout = limits.into_iter().flatten().min();
        self.stages.push(next);
        self
    }

    /// What the first program reads.
    pub fn input(&mut self, input: impl Into<Input>) -> &mut Self {
        self.input = Some(input.into());
        self
    }

    /// As [`Command::timeout`], for all of it.
    pub fn timeout(&mut self, limit: Duration) -> &mut Self {
        self.limits.timeout = Some(limit);
        self
    }

    /// As [`Command::grace`].
    pub fn grace(&mut self, grace: Duration) -> &mut Self {
        self.limits.grace = Some(grace);
        self
    }

    /// As [`Command::drain_grace`].
    pub fn drain_grace(&mut self, grace: Duration) -> &mut Self {
        self.limits.drain_grace = Some(grace);
        self
    }

    /// As [`Command::kill_scope`].
    pub fn kill_scope(&mut self, scope: KillScope) -> &mut Self {
        self.limits.scope = Some(scope);
        self
    }

    /// As [`Command::output_limit`].
    pub fn output_limit(&mut self, bytes: usize, overflow: Overflow) -> &mut Self {
        self.limits.output = Some((bytes, overflow));
        self
    }

    /// As [`Command::cancel_with`].
    pub fn cancel_with(&mut self, token: &CancelToken) -> &mut Self {
        self.limits.cancel = Some(token.clone());
        self
    }

    /// Takes any status of every program.
    pub fn unchecked(&mut self) -> &mut Self {
        for stage in &mut self.stages {
            stage.unchecked();
        }
        self
    }

    /// As [`Command::run`].
    ///
    /// # Errors
    /// As [`Command::run`]; [`RunError::stage`] says which program is to blame.
    pub fn run(&mut self) -> Result<Output, RunError> {
        start::run(&self.stages(), self.mode(Mode::captured()))
    }

    /// As [`Command::output`].
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the statuses.
    pub fn output(&mut self) -> Result<Output, RunError> {
        start::run(&self.stages(), self.mode(Mode::captured().unchecked()))
    }

    /// As [`Command::status`].
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the statuses.
    pub fn status(&mut self) -> Result<ExitStatus, RunError> {
        let output = start::run(&self.stages(), self.mode(Mode::inherited().unchecked()))?;
        Ok(output.status)
    }

    /// As [`Command::read`].
    ///
    /// # Errors
    /// As [`run`](Self::run), and where the output is no text.
    pub fn read(&mut self) -> Result<String, RunError> {
        start::read(&self.stages(), self.mode(Mode::captured()))
    }

    /// As [`Command::lines`].
    ///
    /// # Errors
    /// A program could not be started.
    pub fn lines(&mut self) -> Result<Lines, RunError> {
        Ok(Lines::new(start::start(&self.stages(), self.mode(Mode::captured()))?))
    }

    /// As [`Command::spawn`]: one handle for all.
    ///
    /// # Errors
    /// A program could not be started.
    pub fn spawn(&mut self) -> Result<Child, RunError> {
        Ok(Child::new(start::start(&self.stages(), self.mode(Mode::inherited().with_handle()))?))
    }

    #[cfg(feature = "async")]
    pub(crate) fn start(&self) -> Result<crate::engine::Engine, RunError> {
        start::start(&self.stages(), self.mode(Mode::captured()))
    }

    fn stages(&self) -> Vec<&Command> {
        self.stages.iter().collect()
    }

    fn mode(&self, mode: Mode) -> Mode {
        mode.of_pipeline(self.input.clone(), self.limits.clone())
    }
}

/// The command lines, as a shell takes them.
impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, stage) in self.stages.iter().enumerate() {
            let bar = if i == 0 { "" } else { " | " };
            write!(f, "{bar}{stage}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("stages", &self.stages).field("limits", &self.limits).finish()
    }
}
