//! The program's streams and descriptors, and what is made of them.

use super::Command;
use crate::encoding::Encoding;
use crate::stdio::{Input, Observer, Once, Sink, Stream};
use std::io::Write;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

impl Command {
    /// What the program reads: bytes, a file, a reader. The same as [`stdin`](Self::stdin).
    pub fn input(&mut self, input: impl Into<Input>) -> &mut Self {
        self.stdin(input)
    }

    /// What the program reads.
    pub fn stdin(&mut self, input: impl Into<Input>) -> &mut Self {
        self.stdin = Some(input.into());
        self
    }

    /// Where standard output goes.
    pub fn stdout(&mut self, sink: impl Into<Sink>) -> &mut Self {
        self.stdout = Some(sink.into());
        self
    }

    /// Where standard error goes.
    pub fn stderr(&mut self, sink: impl Into<Sink>) -> &mut Self {
        self.stderr = Some(sink.into());
        self
    }

    /// Sends standard error where standard output goes, in the order in which the program writes: `2>&1`.
    pub fn merge_stderr(&mut self) -> &mut Self {
        self.stderr(Sink::merge())
    }

    /// Calls `f` with each line of standard output as it comes, without its end. What is not UTF-8 becomes U+FFFD. A line
    /// is held until its end comes: [`output_limit`](Self::output_limit) bounds it.
    ///
    /// `f` runs on the thread that waits for the program. Clones of the command share it, and it never runs for two of
    /// them at the same time: one that runs a clone of its own command waits for itself for ever. The output is captured
    /// all the same, unless [`keep_output`](Self::keep_output) says no, and even if it would go to ours or to
    /// `/dev/null` without `f`. What goes to a file or a descriptor is not seen.
    pub fn on_line(&mut self, f: impl FnMut(&str) + Send + 'static) -> &mut Self {
        self.observe(Stream::Stdout, Observer::lines(f))
    }

    /// As [`on_line`](Self::on_line), of standard error.
    pub fn on_stderr_line(&mut self, f: impl FnMut(&str) + Send + 'static) -> &mut Self {
        self.observe(Stream::Stderr, Observer::lines(f))
    }

    /// Calls `f` with the bytes of a stream as they come.
    pub fn on_bytes(&mut self, stream: Stream, f: impl FnMut(&[u8]) + Send + 'static) -> &mut Self {
        self.observe(stream, Observer::Bytes(Arc::new(Mutex::new(f))))
    }

    /// Writes a copy of a stream to `writer` as it comes. An error of the writer ends the program. A writer that blocks
    /// holds up the thread that waits for the program, and with it the time limit.
    ///
    /// ```
    /// use proc_exec::{Stream, cmd};
    ///
    /// let copy = tempfile::tempfile()?;
    /// let out = cmd!("echo", "kept").tee(Stream::Stdout, copy.try_clone()?).run()?;
    /// assert_eq!(out.stdout, b"kept\n");
    /// assert_eq!(copy.metadata()?.len(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tee(&mut self, stream: Stream, writer: impl Write + Send + 'static) -> &mut Self {
        self.observe(stream, Observer::Tee(Arc::new(Mutex::new(writer))))
    }

    /// Whether output that a callback or a [`tee`](Self::tee) has seen is kept as well. Default: yes.
    pub fn keep_output(&mut self, yes: bool) -> &mut Self {
        self.keep_output = yes;
        self
    }

    /// How text is made of bytes.
    pub fn encoding(&mut self, encoding: Encoding) -> &mut Self {
        self.encoding = encoding;
        self
    }

    /// Gives the program `fd` as its descriptor `number`; of two for the same number, the last counts. It is given away:
    /// the first start closes our copy, so that whoever reads the other end of a pipe sees its end when the program has
    /// ended.
    ///
    /// ```
    /// use proc_exec::cmd;
    /// use std::io::Read;
    ///
    /// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let mut ours = std::fs::File::from(std::os::fd::OwnedFd::from(ours));
    /// cmd!("sh", "-c", "echo over three >&3").fd(3, theirs).run()?;
    /// let mut text = String::new();
    /// ours.read_to_string(&mut text)?;
    /// assert_eq!(text, "over three\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fd(&mut self, number: RawFd, fd: impl Into<OwnedFd>) -> &mut Self {
        self.fds.retain(|(other, _)| *other != number);
        self.fds.push((number, Once::new(Box::new(fd.into()))));
        self
    }

    /// Lets the program inherit every descriptor of ours that is not close-on-exec, as `std::process::Command` does.
    /// Default: no.
    pub fn inherit_descriptors(&mut self, yes: bool) -> &mut Self {
        self.inherit_others = yes;
        self
    }

    fn observe(&mut self, stream: Stream, observer: Observer) -> &mut Self {
        self.observers[usize::from(stream == Stream::Stderr)].push(observer);
        self
    }
}
