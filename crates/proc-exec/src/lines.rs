//! Standard output line by line, as it comes.

use crate::engine::Engine;
use crate::error::{Cause, RunError};
use crate::output::Output;
use crate::stdio::Stream;
use std::fmt;

/// The lines of a program's standard output, without their ends (`\n` or `\r\n`). A last line without an end is a line.
///
/// The program is read only when a line is asked for, so it never runs far ahead of whoever takes the lines. The end of
/// the lines is the end of the program: a bad status, or a time limit that is over, is the last item, an error.
/// [`finish`](Self::finish) gives its [`Output`]. Dropped before its end, the program is killed, with its group if it has
/// one, and reaped.
///
/// [`Command::output_limit`](crate::Command::output_limit) bounds each line: a longer one is the last item, an error, or it
/// is cut, and the next line comes whole.
///
/// ```
/// use proc_exec::cmd;
///
/// let mut seen = Vec::new();
/// for line in cmd!("printf", "a\nb").lines()? {
///     seen.push(line?);
/// }
/// assert_eq!(seen, ["a", "b"]);
/// # Ok::<(), proc_exec::RunError>(())
/// ```
pub struct Lines {
    state: State,
}

enum State {
    Running(Box<Engine>),
    /// The program's end, which may have been the last item.
    Ended(Box<Result<Output, RunError>>),
}

impl Lines {
    pub(crate) fn new(mut engine: Engine) -> Self {
        by_line(&mut engine, true);
        Lines { state: State::Running(Box::new(engine)) }
    }

    fn take(&mut self) -> Result<Option<String>, RunError> {
        let State::Running(engine) = &mut self.state else { return Ok(None) };
        let result = match engine.pump(None, has_line) {
            Ok(done) => match take_line(engine, done)? {
                Some(line) => return Ok(Some(line)),
                None => engine.result(),
            },
            Err(error) => Err(engine.error_so_far(Cause::Io("it could not be waited for", error))),
        };
        let told = result.as_ref().map(|_| None).map_err(RunError::clone);
        self.state = State::Ended(Box::new(result));
        told
    }

    /// Takes no more lines: waits for the program to end, and gives its output. What was not taken of standard output is
    /// in it; after the last line that is nothing.
    ///
    /// ```
    /// use proc_exec::cmd;
    ///
    /// let mut lines = cmd!("sh", "-c", "echo a; echo b; echo and more >&2").lines()?;
    /// assert_eq!(lines.next().transpose()?.as_deref(), Some("a"));
    /// let output = lines.finish()?;
    /// assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"b\n"[..], &b"and more\n"[..]));
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Command::run`](crate::Command::run), be it that the iterator has told it already.
    pub fn finish(self) -> Result<Output, RunError> {
        match self.state {
            State::Running(mut engine) => {
                by_line(&mut engine, false);
                crate::start::finish(&mut engine)
            }
            State::Ended(result) => *result,
        }
    }
}

fn by_line(engine: &mut Engine, yes: bool) {
    for outlet in engine.outlets.iter_mut().filter(|outlet| outlet.stream == Stream::Stdout) {
        outlet.read_by_line(yes);
    }
}

pub(crate) fn has_line(engine: &Engine) -> bool {
    engine.outlets.iter().any(|outlet| outlet.stream == Stream::Stdout && outlet.kept.has_line())
}

/// The next line; after the end of the stream, also one without an end.
pub(crate) fn take_line(engine: &mut Engine, done: bool) -> Result<Option<String>, RunError> {
    let outlet = engine.outlets.iter_mut().find(|outlet| outlet.stream == Stream::Stdout);
    let Some(outlet) = outlet else { return Ok(None) };
    let at_end = done || !outlet.is_open();
    // After a bound has struck, what has no end is a piece of a line.
    let at_end = at_end && !engine.is_stopped();
    let outlet = engine.outlets.iter_mut().find(|outlet| outlet.stream == Stream::Stdout);
    let Some(bytes) = outlet.and_then(|outlet| outlet.kept.take_line(at_end)) else { return Ok(None) };
    match engine.encoding().decode(bytes) {
        Ok(line) => Ok(Some(line)),
        Err((error, bytes)) => {
            let error = engine.error_so_far(Cause::Decode(Stream::Stdout, error));
            Err(error.with_stdout(bytes))
        }
    }
}

impl Iterator for Lines {
    type Item = Result<String, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

impl std::iter::FusedIterator for Lines {}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("ended", &matches!(self.state, State::Ended(_))).finish_non_exhaustive()
    }
}
