//! The text of an error: who, what, where, how long, and what the program said.

use super::{Cause, Inner, RunError};
use crate::output::Excerpt;
use std::fmt;

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        write!(f, "`{}` ", inner.command)?;
        if let Some(stage) = inner.stage {
            write!(f, "(stage {} of {}) ", stage + 1, inner.stages)?;
        }
        what(f, inner)?;
        circumstances(f, inner)?;
        excerpt(f, inner)
    }
}

fn what(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    match &*inner.cause {
        Cause::Start(error) => write!(f, "was not started: {error}"),
        Cause::Prepare(what, Some(path), error) => {
            write!(f, "was not started: {what} (`{}`): {error}", path.display())
        }
        Cause::Prepare(what, None, error) => write!(f, "was not started: {what}: {error}"),
        Cause::InvalidInput(what) => f.write_str(what),
        Cause::Status => match &inner.output {
            Some(output) => write!(f, "{}", output.status),
            None => f.write_str("failed"),
        },
        Cause::TimedOut => {
            f.write_str("timed out")?;
            ending(f, inner)
        }
        Cause::Cancelled => {
            f.write_str("was cancelled")?;
            ending(f, inner)
        }
        Cause::OutputLimit(stream) => write!(f, "wrote more to its {stream} than the limit"),
        Cause::Decode(stream, error) => write!(f, "wrote no text to its {stream}: {error}"),
        Cause::Io(what, error) => write!(f, "failed: {what}: {error}"),
    }
}

/// How a program that was told to end did so.
fn ending(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    if inner.still_running {
        return f.write_str(" and is still running");
    }
    match &inner.output {
        Some(output) if output.status.signal().is_some() => write!(f, " and was {}", output.status),
        Some(output) => write!(f, " and {}", output.status),
        None => Ok(()),
    }
}

fn circumstances(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    let time = inner.output.as_ref().map(|output| output.duration);
    match (&inner.dir, time) {
        (Some(dir), Some(time)) => write!(f, " (in `{}`, after {time:.1?})", dir.display()),
        (Some(dir), None) => write!(f, " (in `{}`)", dir.display()),
        (None, Some(time)) => write!(f, " (after {time:.1?})"),
        (None, None) => Ok(()),
    }
}

fn excerpt(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    let Some(output) = &inner.output else { return Ok(()) };
    let own = inner.stage.and_then(|stage| output.stderr_of(stage)).filter(|stderr| !stderr.is_empty());
    let stderr = own.unwrap_or(&output.stderr).trim_ascii_end();
    if stderr.is_empty() {
        return Ok(());
    }
    // Several lines are shown as they are, below a heading.
    let gap = if stderr.contains(&b'\n') { '\n' } else { ' ' };
    write!(f, "\nstderr:{gap}{}", Excerpt(stderr))
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
