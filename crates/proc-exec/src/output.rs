//! What a program left behind.

use proc_core::{ExitStatus, Usage};
use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

/// What a program wrote, how it ended, and what it took.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended. Of a pipeline: the last stage that failed, else the last one.
    pub status: ExitStatus,
    /// What was captured of its standard output.
    pub stdout: Vec<u8>,
    /// What was captured of its standard error; of a pipeline, stage after stage.
    pub stderr: Vec<u8>,
    /// From the call to its return.
    pub duration: Duration,
    /// Something that it started, and that still runs, holds its output open: more may have come later. See
    /// [`Command::drain_grace`](crate::Command::drain_grace).
    pub incomplete: bool,
    /// Bytes that a limit of the output kept out. See [`Overflow`](crate::Overflow) for where they are missing.
    pub omitted: u64,
    /// Time on a CPU and memory of all stages, where the system told us.
    pub usage: Option<Usage>,
    /// Each stage of a pipeline; one for a single program.
    pub stages: Vec<Stage>,
}

/// One program of a pipeline, after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stage {
    /// How it ended.
    pub status: ExitStatus,
    /// Time on a CPU and memory, where the system told us.
    pub usage: Option<Usage>,
    /// Where its bytes begin in [`Output::stderr`].
    pub stderr_start: usize,
}

impl Output {
    /// Standard output as text, with its ends of lines.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.stdout)
    }

    /// Standard output as text; what is not UTF-8 is replaced by U+FFFD.
    pub fn text_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error as text; what is not UTF-8 is replaced by U+FFFD.
    pub fn stderr_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }

    /// What stage `index` of a pipeline wrote to its standard error.
    ///
    /// ```
    /// use proc_exec::Command;
    ///
    /// let loud = |word: &str| Command::shell(format!("cat; echo {word} >&2"));
    /// let out = loud("one").pipe(loud("two")).run()?;
    /// assert_eq!(out.stderr_of(1), Some(&b"two\n"[..]));
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    pub fn stderr_of(&self, index: usize) -> Option<&[u8]> {
        let start = self.stages.get(index)?.stderr_start;
        let end = self.stages.get(index + 1).map_or(self.stderr.len(), |next| next.stderr_start);
        self.stderr.get(start..end)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| format!("{}", Excerpt(bytes));
        f.debug_struct("Output")
            .field("status", &self.status)
            .field("stdout", &text(&self.stdout))
            .field("stderr", &text(&self.stderr))
            .field("duration", &self.duration)
            .field("incomplete", &self.incomplete)
            .field("omitted", &self.omitted)
            .finish_non_exhaustive()
    }
}

/// Head and tail of what may be long.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

/// Of longer output this much is shown from each end.
const END: usize = 1024;

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        if bytes.len() <= 2 * END + 64 {
            return f.write_str(&String::from_utf8_lossy(bytes));
        }
        // Cut at characters, so that none is shown in halves.
        let is_inside = |i: usize| bytes[i] & 0xC0 == 0x80;
        let head = (END - 3..=END).rev().find(|i| !is_inside(*i)).unwrap_or(END);
        let from = bytes.len() - END;
        let tail = (from..from + 4).find(|i| !is_inside(*i)).unwrap_or(from);
        f.write_str(&String::from_utf8_lossy(&bytes[..head]))?;
        write!(f, "\n[... {} bytes ...]\n", tail - head)?;
        f.write_str(&String::from_utf8_lossy(&bytes[tail..]))
    }
}
