//! What runs a command.

use super::Command;
use crate::child::Child;
use crate::error::{Cause, RunError};
use crate::lines::Lines;
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::session::Session;
use crate::start::{self, Mode};
use crate::stdio::Stream;
use proc_core::ExitStatus;
use std::borrow::BorrowMut;

impl Command {
    /// Runs the program to its end, and captures what it writes.
    ///
    /// # Errors
    /// [`RunError`]:
    /// - it could not be started;
    /// - it ended with a status that is not accepted ([`check`](Self::check), [`ok_codes`](Self::ok_codes));
    /// - a bound ended it ([`timeout`](Self::timeout), [`output_limit`](Self::output_limit),
    ///   [`cancel_with`](Self::cancel_with));
    /// - a callback's writer or the input's reader failed.
    pub fn run(&mut self) -> Result<Output, RunError> {
        start::run(&[&*self], Mode::captured())
    }

    /// Runs the program to its end, captures what it writes, and takes any status.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the status.
    pub fn output(&mut self) -> Result<Output, RunError> {
        start::run(&[&*self], Mode::captured().unchecked())
    }

    /// Runs the program to its end with our input and output, and takes any status.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the status.
    pub fn status(&mut self) -> Result<ExitStatus, RunError> {
        start::run(&[&*self], Mode::inherited().unchecked()).map(|output| output.status)
    }

    /// Runs the program, and gives its standard output as text, without the ends of lines at its end: what `$(...)` is in
    /// a shell.
    ///
    /// # Errors
    /// As [`run`](Self::run), and where the output is no text by the [`encoding`](Self::encoding).
    pub fn read(&mut self) -> Result<String, RunError> {
        start::read(&[&*self], Mode::captured())
    }

    /// Starts the program, and gives its standard output line by line as it comes.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn lines(&mut self) -> Result<Lines, RunError> {
        Ok(Lines::new(start::start(&[&*self], Mode::captured())?))
    }

    /// Starts the program with our input and output, and gives a handle to it. What is to be captured is said by
    /// [`stdout`](Self::stdout) and [`stderr`](Self::stderr).
    ///
    /// # Errors
    /// The program could not be started.
    pub fn spawn(&mut self) -> Result<Child, RunError> {
        Ok(Child::new(start::start(&[&*self], Mode::inherited().with_handle())?))
    }

    /// Starts the program for a conversation: its input is written to, its output is read, as it goes.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn interactive(&mut self) -> Result<Session, RunError> {
        Ok(Session::new(start::start(&[&*self], Mode::interactive())?))
    }

    /// A pipeline of this command and `next`, which reads what this one writes.
    pub fn pipe(&mut self, next: impl BorrowMut<Command>) -> Pipeline {
        let mut pipeline = Pipeline::new(self.clone());
        pipeline.pipe(next);
        pipeline
    }
}

/// Runs a program with arguments to its end, checked and captured.
///
/// ```
/// use proc_exec::run;
///
/// assert_eq!(run(["echo", "hello"])?.text()?, "hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Command::run`]; an empty list is [`RunErrorKind::InvalidInput`](crate::RunErrorKind::InvalidInput).
pub fn run(argv: impl IntoIterator<Item: AsRef<std::ffi::OsStr>>) -> Result<Output, RunError> {
    let mut argv = argv.into_iter();
    let Some(program) = argv.next() else {
        let what = "there is nothing to run: the list is empty".to_owned();
        return Err(RunError::new(Cause::InvalidInput(what), &[], None, None, None));
    };
    Command::new(program).args(argv).run()
}

/// Text of bytes that were captured, by the rule of the call.
pub(crate) fn decoded(
    engine: &crate::engine::Engine,
    mut output: Output,
    bytes: Vec<u8>,
) -> Result<String, RunError> {
    match engine.encoding().decode(bytes) {
        Ok(text) => Ok(text),
        Err((error, bytes)) => {
            output.stdout = bytes;
            Err(engine.error(Cause::Decode(Stream::Stdout, error), Some(output), None))
        }
    }
}

/// A [`Command`]: a program, then arguments of any mixture of types that are like paths or strings. Nothing is parsed,
/// and no shell is involved.
///
/// ```
/// use proc_exec::cmd;
/// use std::path::PathBuf;
///
/// let path = PathBuf::from("/dev/null");
/// assert_eq!(cmd!("cat", "-u", &path).read()?, "");
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[macro_export]
macro_rules! cmd {
    ($program:expr $(, $arg:expr)* $(,)?) => {{
        #[allow(unused_mut)]
        let mut command = $crate::Command::new($program);
        $( command.arg($arg); )*
        command
    }};
}
