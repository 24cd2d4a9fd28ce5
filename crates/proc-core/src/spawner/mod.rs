//! Starting an executable: these arguments, these descriptors, these settings.
//!
//! [`Spawner`] is the one place in the workspace where programs are started. Its cost does not grow with the memory of
//! the parent, whichever settings are used: the child is made by `clone(CLONE_VM | CLONE_VFORK)`, borrows the parent's
//! memory for its few system calls, and then execs. The calling thread alone is suspended for that time.
//!
//! Only two things take the slower road of a fork: a change of user or groups (a child on our memory that changes its
//! user would make *us* undumpable), and a sandbox or emulator that can't do this kind of clone.
//!
//! ```
//! use proc_core::spawner::Spawner;
//!
//! let child = Spawner::new("sh").args(["-c", "exit 3"]).start()?;
//! assert_eq!(child.wait()?.status.code(), Some(3));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What a child gets
//!
//! - Descriptors 0 to 2 as the parent has them, those named by [`Spawner::fd`], and no others.
//! - An empty signal mask, unless [`Spawner::signal_mask`] says otherwise. Signals with a handler get their default
//!   action, ignored ones stay ignored, except SIGPIPE and SIGXFSZ, which language runtimes ignore and programs don't
//!   expect to be.
//! - The parent's environment, working directory and everything else that the settings don't change.

mod error;
mod plan;
mod search;
mod start;
mod steps;

pub use error::{StartError, StartErrorKind, Step};

use crate::child::Child;
use crate::settings::{Limit, Settings, path_or_poison};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::time::Instant;

/// Describes a program to start: executable, arguments, environment, descriptors, settings.
///
/// A spawner can be started any number of times. It borrows the descriptors that it hands on, for as long as it lives.
///
/// Relative paths (the program's too, if it has a slash) are those of the child: they are resolved after
/// [`current_dir`](Self::current_dir). A program without a slash is looked up in the child's `PATH`.
#[derive(Clone)]
pub struct Spawner<'fd> {
    pub(super) program: OsString,
    pub(super) arg0: Option<OsString>,
    pub(super) args: Vec<OsString>,
    pub(super) clear_env: bool,
    /// Changes to the environment: a value, or `None` for a name that is taken out.
    pub(crate) env: BTreeMap<OsString, Option<OsString>>,
    pub(super) fds: Vec<(BorrowedFd<'fd>, RawFd)>,
    pub(super) inherit_others: bool,
    pub(crate) settings: Settings,
    pub(super) terminal: Option<BorrowedFd<'fd>>,
    pub(super) cgroup: Option<BorrowedFd<'fd>>,
    pub(super) lifeline: Option<(BorrowedFd<'fd>, LifelineScope)>,
    pub(super) signal_mask: u64,
    pub(super) keep_sigpipe: bool,
    pub(super) deadline: Option<Instant>,
}

/// Whom a lifeline kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifelineScope {
    /// The started process.
    Process,
    /// Its whole process group. Ask for a group or session of its own as well, or the caller's group is killed.
    Group,
}

impl<'fd> Spawner<'fd> {
    /// A program to start, without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Spawner {
            program: program.as_ref().to_owned(),
            arg0: None,
            args: Vec::new(),
            clear_env: false,
            env: BTreeMap::new(),
            fds: Vec::new(),
            inherit_others: false,
            settings: Settings::default(),
            terminal: None,
            cgroup: None,
            lifeline: None,
            signal_mask: 0,
            keep_sigpipe: false,
            deadline: None,
        }
    }

    /// Another file to run. The first element of the argument vector becomes this too, unless [`arg0`](Self::arg0) has
    /// set it.
    pub fn program(&mut self, program: impl AsRef<OsStr>) -> &mut Self {
        self.program = program.as_ref().to_owned();
        self
    }

    /// The first element of the program's argument vector; otherwise it is the program as given.
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Self {
        self.arg0 = Some(arg0.as_ref().to_owned());
        self
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> &mut Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment. `PATH` also decides where the program is looked up.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Starts with an empty environment; variables that were set before this call are forgotten too.
    pub fn env_clear(&mut self) -> &mut Self {
        self.clear_env = true;
        self.env.clear();
        self
    }

    /// Gives the child `fd` as its descriptor `number`. The last call for a number counts.
    pub fn fd(&mut self, fd: BorrowedFd<'fd>, number: RawFd) -> &mut Self {
        self.fds.retain(|(_, other)| *other != number);
        self.fds.push((fd, number));
        self
    }

    /// Lets the child inherit every descriptor of ours that is not close-on-exec, as `std::process::Command` does. Off
    /// by default: a descriptor that another library forgot to mark keeps pipes open and files busy in the child.
    pub fn inherit_others(&mut self, yes: bool) -> &mut Self {
        self.inherit_others = yes;
        self
    }

    /// The child's working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        // A path with a NUL is kept as bytes that `start` will refuse.
        self.settings.current_dir = Some(path_or_poison(dir.as_ref()));
        self
    }

    /// Makes the child the leader of a session of its own, without a controlling terminal.
    pub fn session(&mut self) -> &mut Self {
        self.settings.session = true;
        self
    }

    /// Puts the child in process group `group`; 0 makes a group of its own.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.settings.group = Some(group);
        self
    }

    /// Makes `terminal` the controlling terminal of the child. Needs [`session`](Self::session).
    pub fn controlling_terminal(&mut self, terminal: BorrowedFd<'fd>) -> &mut Self {
        self.terminal = Some(terminal);
        self
    }

    /// Puts the child in a control group before it runs: `procs` is its `cgroup.procs`, open for writing.
    pub fn cgroup(&mut self, procs: BorrowedFd<'fd>) -> &mut Self {
        self.cgroup = Some(procs);
        self
    }

    /// The child's file mode creation mask.
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        self.settings.umask = Some(mask & 0o777);
        self
    }

    /// The child's priority, -20 (favoured) to 19. Lower than the parent's needs a privilege.
    pub fn nice(&mut self, nice: i32) -> &mut Self {
        self.settings.nice = Some(nice);
        self
    }

    /// The CPUs that the child may run on, by number. Numbers above 1023 are refused by [`start`](Self::start).
    pub fn affinity(&mut self, cpus: impl IntoIterator<Item = usize>) -> &mut Self {
        self.settings.affinity = cpus.into_iter().collect();
        self
    }

    /// A resource limit (`libc::RLIMIT_*`) of the child: soft and hard value. Set after the descriptors are arranged.
    pub fn resource_limit(&mut self, resource: u32, soft: u64, hard: u64) -> &mut Self {
        self.settings.limits.retain(|limit| limit.resource != resource);
        self.settings.limits.push(Limit { resource, soft, hard });
        self
    }

    /// The user that the child runs as. Takes the road of a fork, whose cost grows with the parent's memory.
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        self.settings.uid = Some(uid);
        self
    }

    /// The group that the child runs as. Takes the road of a fork.
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        self.settings.gid = Some(gid);
        self
    }

    /// The child's supplementary groups; empty clears them. Takes the road of a fork.
    pub fn groups(&mut self, groups: impl IntoIterator<Item = u32>) -> &mut Self {
        self.settings.groups = Some(groups.into_iter().collect());
        self
    }

    /// Forbids the child and its children ever to gain privileges by an exec.
    pub fn no_new_privs(&mut self) -> &mut Self {
        self.settings.no_new_privs = true;
        self
    }

    /// A signal that the kernel sends to the child when the *thread* that started it ends. A trap: a pool of threads
    /// that retires the thread kills the child. [`lifeline`](Self::lifeline) has no such trap.
    pub fn parent_death_signal(&mut self, signal: i32) -> &mut Self {
        self.settings.parent_death_signal = Some(signal);
        self
    }

    /// Ties the child to `read_end`, the read end of a pipe: when the last write end of that pipe is closed, by
    /// whatever end of its owner, the kernel kills the child (SIGKILL), or its whole group. No thread is involved.
    ///
    /// The pipe must belong to this child alone (a pipe has one owner), nobody may write to it, and the write end must
    /// be close-on-exec. The tie holds only while somebody keeps the read end open: hand it to the child too
    /// ([`fd`](Self::fd)), or keep it in flight to it over a socket.
    pub fn lifeline(&mut self, read_end: BorrowedFd<'fd>, scope: LifelineScope) -> &mut Self {
        self.lifeline = Some((read_end, scope));
        self
    }

    /// The child's signal mask: bit `n - 1` blocks signal `n`. Empty by default.
    pub fn signal_mask(&mut self, mask: u64) -> &mut Self {
        self.signal_mask = mask;
        self
    }

    /// Leaves SIGPIPE and SIGXFSZ ignored in the child if they are so here.
    pub fn keep_sigpipe(&mut self, yes: bool) -> &mut Self {
        self.keep_sigpipe = yes;
        self
    }

    /// When [`start`](Self::start) stops trying again. It tries again only where the program's file is still open for
    /// writing somewhere (ETXTBSY), for a quarter of a second at most.
    pub fn deadline(&mut self, deadline: Option<Instant>) -> &mut Self {
        self.deadline = deadline;
        self
    }

    /// The program as given.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments, without the first element of the argument vector.
    pub fn get_args(&self) -> impl ExactSizeIterator<Item = &OsStr> + Clone {
        self.args.iter().map(OsString::as_os_str)
    }

    /// The changes to the environment, by name: a value, or `None` for a variable that is taken out.
    pub fn get_envs(&self) -> impl ExactSizeIterator<Item = (&OsStr, Option<&OsStr>)> + Clone {
        self.env.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// Whether the environment starts empty.
    pub fn get_env_clear(&self) -> bool {
        self.clear_env
    }

    /// The child's working directory, if it is not ours.
    pub fn get_current_dir(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt;
        self.settings.current_dir.as_ref().map(|dir| Path::new(OsStr::from_bytes(dir.to_bytes())))
    }

    /// Starts the program, and returns when its image has been replaced or when that has failed.
    ///
    /// # Errors
    /// [`StartError`] says which [`Step`] failed, on which path, and why. Nothing is left behind: a child that failed
    /// has been reaped.
    pub fn start(&self) -> Result<Child, StartError> {
        start::start(self)
    }
}

impl fmt::Debug for Spawner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env)
            .field("fds", &self.fds)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
