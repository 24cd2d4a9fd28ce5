//! The bounds of a call: time, output, and what a bad end is.

use super::Command;
use crate::cancel::CancelToken;
use crate::engine::{Check, KillScope, Overflow};
use std::path::Path;
use std::time::Duration;

impl Command {
    /// Bounds the whole call: start, input, output, and whatever the program has started.
    ///
    /// When it is over, the program and its group get SIGTERM, after the [grace](Self::grace) SIGKILL, and the call
    /// fails with what was captured until then. So it returns within the limit plus the grace plus the few milliseconds
    /// in which the kernel ends processes. What the bound can't cover is the kernel's own work in a start: a working
    /// directory or a program on a network that hangs.
    ///
    /// A limit makes a process group of its own, unless [`kill_scope`](Self::kill_scope) says [`KillScope::Child`].
    /// Four things follow: Ctrl-C reaches us and not the program; the program can't read our terminal, so an inherited
    /// input that is one is refused ([`RunErrorKind::InvalidInput`](crate::RunErrorKind::InvalidInput)); when the call
    /// returns, well or not, what is left of the group is killed; and the group dies with us, however we end (see
    /// [`die_with_parent`](Self::die_with_parent)).
    ///
    /// For a [`Child`](crate::Child) the limit is kept by whoever waits, as no thread of ours runs.
    pub fn timeout(&mut self, limit: Duration) -> &mut Self {
        self.limits.timeout = Some(limit);
        self
    }

    /// How long after SIGTERM comes SIGKILL. Default: a fifth of the [time limit](Self::timeout), a second at most;
    /// 200 ms where there is no limit. Zero kills at once. The grace is over early once the program has ended and nobody
    /// holds its output open: what is left of the group is killed then.
    pub fn grace(&mut self, grace: Duration) -> &mut Self {
        self.limits.grace = Some(grace);
        self
    }

    /// How long the output is read on after the program has ended, while something that it started holds it open.
    /// Default: 250 ms. Then the call returns, with [`Output::incomplete`](crate::Output::incomplete) set.
    pub fn drain_grace(&mut self, grace: Duration) -> &mut Self {
        self.limits.drain_grace = Some(grace);
        self
    }

    /// Whom a time limit, a cancellation, a kill or a drop ends. Default: the group, if a time limit or a setting gives
    /// the program one; else the program alone.
    ///
    /// All but [`KillScope::Child`] make a process group for the program, unless [`session`](Self::session) or
    /// [`process_group`](Self::process_group) says which it has. With a group of its own it can't read our terminal: an
    /// inherited input that is one is refused.
    ///
    /// ```
    /// use proc_exec::{Command, KillScope};
    /// use std::time::Duration;
    ///
    /// // What made a session of its own is out of the group, and still in the tree.
    /// let mut stuck = Command::shell("setsid sleep 60 & sleep 60");
    /// let error = stuck.kill_scope(KillScope::Tree).timeout(Duration::from_millis(100)).run().unwrap_err();
    /// assert!(error.is_timeout());
    /// ```
    pub fn kill_scope(&mut self, scope: KillScope) -> &mut Self {
        self.limits.scope = Some(scope);
        self
    }

    /// Puts the program into the control group at `folder` (cgroup v2) before it runs, and sets the kill scope to
    /// [`KillScope::Cgroup`]. The caller makes the group, which should be empty, and removes it.
    pub fn cgroup(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.settings.cgroup = Some(folder.as_ref().to_owned());
        self.kill_scope(KillScope::Cgroup)
    }

    /// The signal that asks the program to end, instead of SIGTERM.
    pub fn stop_signal(&mut self, signal: i32) -> &mut Self {
        self.limits.stop_signal = Some(signal);
        self
    }

    /// Bounds what is captured of each stream, in bytes. Output is read on in any case: a program never waits because
    /// of a limit.
    ///
    /// For [`lines`](Self::lines) it bounds each line: a longer one is an error after the lines before it, or it is cut,
    /// and the next one comes whole. So it does for the lines of [`on_line`](Self::on_line). For a
    /// [`Session`](crate::Session) it bounds what was read and not yet taken; with [`Overflow::Truncate`] what is over is
    /// left out up to the end of a line, so that no line is glued to another's rest.
    ///
    /// ```
    /// use proc_exec::{Overflow, cmd};
    ///
    /// let out = cmd!("seq", "1", "1000").output_limit(8, Overflow::HeadAndTail).run()?;
    /// assert_eq!((&out.stdout[..], out.omitted), (&b"1\n2\n000\n"[..], 3885));
    /// assert!(cmd!("yes").output_limit(8, Overflow::Fail).run().unwrap_err().is_output_limit());
    /// assert_eq!(cmd!("seq", "1", "1000").output_limit(8, Overflow::Truncate).lines()?.count(), 1000);
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    pub fn output_limit(&mut self, bytes: usize, overflow: Overflow) -> &mut Self {
        self.limits.output = Some((bytes, overflow));
        self
    }

    /// Lets `token` end the call from another thread.
    pub fn cancel_with(&mut self, token: &CancelToken) -> &mut Self {
        self.limits.cancel = Some(token.clone());
        self
    }

    /// Whether the program dies with this process, however that ends: the kernel kills it, or its group, when the last
    /// copy of a pipe's end that only we have is closed. Default: yes, where there is a time limit or a kill scope.
    ///
    /// The program has the other end as a descriptor above 2. One that closes all its descriptors cuts the tie. Where
    /// there is no group of its own (a scope of [`KillScope::Child`], a group that others made), each program is tied by
    /// itself, and what it starts is not. When the call returns, what is left of a tied group is killed.
    ///
    /// ```
    /// use proc_exec::cmd;
    ///
    /// // Were we killed now, the program would be as well.
    /// let child = cmd!("sleep", "60").die_with_parent(true).spawn()?;
    /// child.kill()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn die_with_parent(&mut self, yes: bool) -> &mut Self {
        self.limits.die_with_parent = Some(yes);
        self
    }

    /// Whether a bad status is an error. A start that fails, a time limit that is over and the like are errors in any
    /// case.
    pub fn check(&mut self, yes: bool) -> &mut Self {
        self.check = Some(if yes { Check::Success } else { Check::Nothing });
        self
    }

    /// Takes any status: `check(false)`.
    pub fn unchecked(&mut self) -> &mut Self {
        self.check(false)
    }

    /// The exit codes that are no error. 0 is one only if it is named.
    ///
    /// ```
    /// use proc_exec::cmd;
    ///
    /// // `grep` says 1 for "no line", which is an answer.
    /// let found = cmd!("grep", "-c", "x").input("a\n").ok_codes([0, 1]).read()?;
    /// assert_eq!(found, "0");
    /// # Ok::<(), proc_exec::RunError>(())
    /// ```
    pub fn ok_codes(&mut self, codes: impl IntoIterator<Item = i32>) -> &mut Self {
        self.check = Some(Check::Codes(codes.into_iter().collect()));
        self
    }
}
