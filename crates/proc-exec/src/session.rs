//! A conversation with a program.

use crate::engine::Engine;
use crate::error::{Cause, RunError};
use crate::lines::{has_line, take_line};
use crate::output::Output;
use crate::stdio::{Bytes, Input, Source, Stream};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::{Duration, Instant};

/// A program that is talked to: its input is written, its output read, in any order.
///
/// Each call moves all streams, so a program that writes much while we write much is no deadlock. Standard error is
/// kept for the [`Output`] at the end. Dropped before that, the program is killed, with its group if it has one, and
/// reaped. Programs that talk to people often hold back their output when it is a pipe: ask them not to (`python3 -u`,
/// `grep --line-buffered`), or give them a terminal ([`Command::pty`](crate::Command), a feature).
///
/// ```
/// use proc_exec::cmd;
/// use std::time::Duration;
///
/// let mut cat = cmd!("cat").interactive()?;
/// cat.write_line("hello")?;
/// assert_eq!(cat.read_line()?.as_deref(), Some("hello"));
/// assert_eq!(cat.read_line_timeout(Duration::from_millis(10))?, None);
/// assert!(cat.finish()?.status.success());
/// # Ok::<(), proc_exec::RunError>(())
/// ```
pub struct Session {
    /// A cell for [`Session::communicate`] alone, which most conversations call once, at their end.
    engine: RefCell<Engine>,
}

impl Session {
    pub(crate) fn new(engine: Engine) -> Self {
        Session { engine: RefCell::new(engine) }
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.engine.borrow().processes.stages[0].child.id()
    }

    /// Writes a line: the text and `\n`. Returns when the pipe has taken it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_line(&mut self, line: impl AsRef<str>) -> Result<(), RunError> {
        let mut bytes = line.as_ref().as_bytes().to_vec();
        bytes.push(b'\n');
        self.write_all(bytes)
    }

    /// Writes bytes. Returns when the pipe has taken them.
    ///
    /// # Errors
    /// - The program no longer reads (a broken pipe).
    /// - A bound of the command has struck.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), RunError> {
        self.write_all(bytes.as_ref().to_vec())
    }

    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), RunError> {
        let engine = self.engine.get_mut();
        let fed = feed(engine, bytes);
        let done = pump(engine, None, |engine| {
            !engine.is_stopped() && engine.feed.as_ref().is_none_or(|feed| feed.is_idle())
        })?;
        if done && engine.is_stopped() {
            return engine.result().map(drop);
        }
        fed?;
        // Whether it still reads: a pipe that broke under the write has been closed.
        if engine.feed.as_ref().is_some_and(|feed| feed.is_open()) { Ok(()) } else { Err(broken(engine)) }
    }

    /// The next line of standard output, without its end; `None` when there are no more.
    ///
    /// # Errors
    /// - A bound of the command has struck.
    /// - The line is no text by the [`encoding`](crate::Command::encoding).
    pub fn read_line(&mut self) -> Result<Option<String>, RunError> {
        self.read_line_until(None)
    }

    /// As [`read_line`](Self::read_line), for so long at most. `None`: the time is over, and what has come of the line
    /// is still there for the next call; or there are no more lines ([`is_at_end`](Self::is_at_end) tells).
    ///
    /// # Errors
    /// As [`read_line`](Self::read_line).
    pub fn read_line_timeout(&mut self, timeout: Duration) -> Result<Option<String>, RunError> {
        self.read_line_until(Instant::now().checked_add(timeout))
    }

    fn read_line_until(&mut self, until: Option<Instant>) -> Result<Option<String>, RunError> {
        let engine = self.engine.get_mut();
        let done = pump(engine, until, |engine| has_line(engine) || no_more_comes(engine))?;
        if let Some(line) = take_line(engine, done)? {
            return Ok(Some(line));
        }
        if done && engine.is_stopped() { Err(stopped(engine)) } else { Ok(None) }
    }

    /// Reads standard output until `pattern` has come, for so long at most, and takes it with all that is before it.
    /// `None`: the time is over or the output has ended, and nothing was taken.
    ///
    /// ```
    /// use proc_exec::Command;
    /// use std::time::Duration;
    ///
    /// let mut shell = Command::shell("printf 'name: '; read name; echo hello $name").interactive()?;
    /// assert_eq!(shell.read_until(": ", Duration::from_secs(10))?.as_deref(), Some(&b"name: "[..]));
    /// shell.write_line("Ann")?;
    /// assert_eq!(shell.read_line()?.as_deref(), Some("hello Ann"));
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_line`](Self::read_line).
    pub fn read_until(
        &mut self,
        pattern: impl AsRef<[u8]>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Vec<u8>>, RunError> {
        let pattern = pattern.as_ref();
        let until = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let engine = self.engine.get_mut();
        let searched = Cell::default();
        let find = |engine: &Engine| {
            let outlet = engine.outlets.iter().find(|outlet| outlet.stream == Stream::Stdout);
            outlet.and_then(|outlet| outlet.kept.find(pattern, &searched))
        };
        let found = Cell::new(None);
        let done = pump(engine, until, |engine| {
            found.set(find(engine));
            found.get().is_some() || no_more_comes(engine)
        })?;
        // What came with the last turn before the end, or before the time was over.
        if let Some(end) = found.get().or_else(|| find(engine)) {
            let outlet = engine.outlets.iter_mut().find(|outlet| outlet.stream == Stream::Stdout);
            return Ok(outlet.map(|outlet| outlet.kept.take_first(end)));
        }
        if done && engine.is_stopped() { Err(stopped(engine)) } else { Ok(None) }
    }

    /// The lines that are still to come.
    pub fn lines(&mut self) -> impl Iterator<Item = Result<String, RunError>> {
        std::iter::from_fn(|| self.read_line().transpose())
    }

    /// Standard output has ended, and all of it was taken.
    pub fn is_at_end(&self) -> bool {
        let engine = self.engine.borrow();
        let mut outlets = engine.outlets.iter().filter(|outlet| outlet.stream == Stream::Stdout);
        outlets.all(|outlet| !outlet.is_open() && outlet.kept.len() == 0)
    }

    /// Closes the program's input: it reads an end.
    pub fn close_input(&mut self) {
        if let Some(feed) = &mut self.engine.get_mut().feed {
            feed.finish();
        }
    }

    /// Writes `input`, closes the input, and captures the rest of the output until the program has ended, for so long at
    /// most.
    ///
    /// A time-out of this call is an error with what has come so far, and ends nothing: the program goes on, what is
    /// left of the input is kept, and the call can be made again, without any loss. It can bring more input for as long
    /// as the first is not written whole; then the input is closed, and more of it is an error. Call it again with `""`.
    ///
    /// ```
    /// use proc_exec::cmd;
    /// use std::time::Duration;
    ///
    /// let slow = cmd!("sh", "-c", "echo begun; sleep 0.3; cat").interactive()?;
    /// let error = slow.communicate("text", Duration::from_millis(50)).unwrap_err();
    /// assert!(error.is_timeout() && error.is_still_running());
    /// assert_eq!(slow.communicate("", None)?.stdout, b"begun\ntext");
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    ///
    /// # Errors
    /// - The time is over ([`RunError::is_timeout`], [`RunError::is_still_running`]).
    /// - The program has ended with a status that is not accepted.
    /// - A bound of the command has struck.
    /// - The input is a descriptor or a file, which a running program can't be given; or there is more of it after its
    ///   end ([`RunErrorKind::InvalidInput`](crate::RunErrorKind::InvalidInput)). The program goes on.
    pub fn communicate(
        &self,
        input: impl Into<Input>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Output, RunError> {
        let until = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let engine = &mut *self.engine.borrow_mut();
        if let Err(what) = add(engine, input.into().0) {
            return Err(engine.error_so_far(Cause::InvalidInput(what)));
        }
        if let Some(feed) = &mut engine.feed {
            feed.finish();
        }
        if pump(engine, until, |_| false)? {
            return engine.result();
        }
        Err(engine.error_so_far(Cause::TimedOut))
    }

    /// Closes the input and waits for the program to end. The output is what was not taken yet.
    ///
    /// # Errors
    /// - The program has ended with a status that is not accepted.
    /// - A bound of the command has struck.
    pub fn finish(self) -> Result<Output, RunError> {
        self.communicate(Input::null(), None)
    }

    /// Kills the program, or all that its [scope](crate::Command::kill_scope) reaches.
    ///
    /// # Errors
    /// It runs as another user by now.
    pub fn kill(&self) -> std::io::Result<()> {
        self.engine.borrow().processes.signal(libc::SIGKILL)
    }

    /// Changes the size of the program's terminal; it is told by SIGWINCH.
    ///
    /// # Errors
    /// The program has no terminal of its own, or it was closed.
    #[cfg(feature = "pty")]
    pub fn resize(&self, window: crate::pty::Window) -> std::io::Result<()> {
        let engine = self.engine.borrow();
        let fd = engine.descriptor(crate::engine::Token::Outlet(0))?;
        crate::sys::pty::resize(fd, window)
    }
}

fn pump(
    engine: &mut Engine,
    until: Option<Instant>,
    enough: impl Fn(&Engine) -> bool,
) -> Result<bool, RunError> {
    let pumped = engine.pump(until, enough);
    pumped.map_err(|error| engine.error_so_far(Cause::Io("it could not be waited for", error)))
}

fn feed(engine: &mut Engine, bytes: Vec<u8>) -> Result<(), RunError> {
    match &mut engine.feed {
        Some(feed) if feed.is_open() => feed.push(Bytes::new(bytes)),
        _ if bytes.is_empty() => {}
        _ => return Err(broken(engine)),
    }
    Ok(())
}

fn broken(engine: &Engine) -> RunError {
    let error = std::io::ErrorKind::BrokenPipe.into();
    engine.error_so_far(Cause::Io("its input is closed", error))
}

/// Adds the input of one call. What a program does not read that has gone, or has closed its input, is no error.
fn add(engine: &mut Engine, input: Source) -> Result<(), String> {
    let refusal = engine.feed.as_ref().and_then(|feed| feed.refusal());
    let refused = |why: &str| Err(format!("no more input can be given to it: {why}"));
    match (input, refusal) {
        (Source::Null, _) => {}
        (Source::Bytes(bytes), _) if bytes.as_ref().is_empty() => {}
        (Source::Bytes(_) | Source::Reader(_), Some(why)) => return refused(why),
        (Source::Bytes(bytes), None) => {
            if let Some(feed) = &mut engine.feed {
                feed.push(bytes);
            }
        }
        (Source::Reader(reader), None) => {
            let Some(reader) = reader.take() else {
                return refused("its reader was given to an earlier call");
            };
            if let Some(feed) = &mut engine.feed {
                feed.read_from(reader);
            }
        }
        _ => return Err("a running program can be given bytes or a reader only".to_owned()),
    }
    Ok(())
}

/// The error of a bound that has struck, with what is left of the output.
fn stopped(engine: &mut Engine) -> RunError {
    match engine.result() {
        Err(error) => error,
        Ok(output) => engine.error(Cause::Cancelled, Some(output), None),
    }
}

/// Standard output has ended, and of itself: programs that were told to end close it before they have ended, and whoever
/// waits is to be told why they were.
fn no_more_comes(engine: &Engine) -> bool {
    !engine.is_stopped()
        && engine
            .outlets
            .iter()
            .filter(|outlet| outlet.stream == Stream::Stdout)
            .all(|outlet| !outlet.is_open())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}
