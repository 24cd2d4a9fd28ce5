//! The untyped handle: who a process is, whether it lives, and signals to it.

use super::link::Link;
use crate::child::Child;
use crate::inherit::{Lineage, LocalFd, NotInherited};
use crate::per_process::PerProcess;
use crate::status::ExitStatus;
use crate::sys::pidfd;
use rustix::event::PollFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a zygote may take to tell the status of a process that has ended, before it counts as lost.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
/// How long whoever else reaps it may take. Nobody has promised to.
const ADOPTED_PATIENCE: Duration = Duration::from_millis(250);
/// How long a zygote is listened to beyond the caller's deadline: it is woken by the same end and tells at once, and "has
/// ended, status not known" would be an odd thing to say for the sake of a moment.
const GRACE: Duration = Duration::from_millis(20);

/// An untyped handle of a process: cheap to clone, `Send` and `Sync`. It is what a thread holds that watches or kills.
///
/// As a descriptor ([`AsFd`]) it is readable once the process has ended.
///
/// A handle keeps no process alive and ends none. In a forked child the handles of its parent's children can't wait
/// or signal; they say so, and `as_fd` panics there.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{ExitStatus, Process};
/// use std::time::Duration;
///
/// proc_core::init();
/// let p = Process::spawn(|()| std::thread::sleep(Duration::from_secs(60)), ())?;
/// let handle = p.handle();
/// std::thread::spawn(move || handle.kill());
/// assert_eq!(p.wait()?, ExitStatus::Signaled { signal: 9, core: false });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProcessHandle(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The work and reply socket, if this process started the other.
    pub(crate) link: Option<Link>,
    /// The write end of a daemon's lifeline: closing it ends the daemon.
    _lifeline: Option<LocalFd>,
    lineage: Lineage,
}

/// Where the status of a process comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// It is our child: we reap it.
    Own(Child),
    /// It is not: a zygote reaps it and says so over the link (`told`), or somebody unknown does.
    Foreign { pid: u32, pidfd: LocalFd, told: bool, end: Mutex<End> },
}

/// What is known of the end of a process that somebody else reaps.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// When it was first seen to have ended: from then on there is patience for its status.
    seen: Option<Instant>,
    status: Option<ExitStatus>,
}

impl Source {
    pub(crate) fn foreign(pid: u32, pidfd: OwnedFd, told: bool) -> Source {
        Source::Foreign { pid, pidfd: LocalFd::new(pidfd), told, end: Mutex::default() }
    }
}

impl Inner {
    pub(crate) fn new(
        name: String,
        source: Source,
        link: Option<Link>,
        lifeline: Option<LocalFd>,
    ) -> Arc<Self> {
        Arc::new(Inner { name, source, link, _lifeline: lifeline, lineage: Lineage::current() })
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.lineage.is_current()
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Own(child) => child.as_fd(),
            Source::Foreign { pidfd, .. } => pidfd.as_fd(),
        }
    }

    /// Waits for the end until `deadline`, and reaps what is ours. `None` also for one that has ended where the deadline
    /// is over before whoever reaps it has said how.
    pub(crate) fn wait_deadline(&self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        self.lineage.check()?;
        match &self.source {
            Source::Own(child) => Ok(child.wait_deadline(deadline)?.map(|ended| ended.status)),
            Source::Foreign { pidfd, told, end, .. } => {
                if let Some(status) = lock(end).status {
                    return Ok(Some(status));
                }
                if pidfd::poll_one(pidfd.as_fd(), PollFlags::IN, deadline)?.is_none() {
                    return Ok(None);
                }
                let seen = *lock(end).seen.get_or_insert_with(Instant::now);
                let found = self.foreign_status(pidfd.as_fd(), *told, seen, deadline)?;
                Ok(found.map(|found| *lock(end).status.get_or_insert(found)))
            }
        }
    }

    /// Waits for the end until `deadline`, and reaps nothing: whether it has ended.
    pub(crate) fn wait_ended(&self, deadline: Option<Instant>) -> io::Result<bool> {
        self.lineage.check()?;
        Ok(pidfd::poll_one(self.pidfd(), PollFlags::IN, deadline)?.is_some())
    }

    /// Whether it has ended: a system call, which reaps nothing.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.wait_ended(Some(Instant::now())), Ok(true))
    }

    /// Whether this process reaps it, and need ask nobody how it ended.
    pub(crate) fn is_reaped_here(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// Reaps it if it has ended and is ours to reap; whether nothing is left to do about it.
    pub(crate) fn is_done(&self) -> bool {
        match &self.source {
            Source::Own(_) => !matches!(self.wait_deadline(Some(Instant::now())), Ok(None)),
            Source::Foreign { .. } => self.has_ended(),
        }
    }

    /// Whether its end is known, without a system call.
    pub(crate) fn is_known_to_have_ended(&self) -> bool {
        match &self.source {
            Source::Own(child) => child.ended_as().is_some(),
            Source::Foreign { end, .. } => lock(end).status.is_some(),
        }
    }

    /// The status of a process that has ended and that somebody else reaps: told over the link, or kept by the kernel.
    fn foreign_status(
        &self,
        pidfd: BorrowedFd<'_>,
        told: bool,
        seen: Instant,
        deadline: Option<Instant>,
    ) -> io::Result<Option<ExitStatus>> {
        let link = self.link.as_ref().filter(|_| told);
        loop {
            if let Some(link) = link {
                link.collect();
                if let Some(status) = link.status() {
                    return Ok(Some(status));
                }
            }
            // In this order: once it is gone, what the kernel does not know it will never know (before 6.15).
            let gone = is_gone(pidfd);
            if let Some(status) = pidfd::status_of_reaped(pidfd) {
                return Ok(Some(status));
            }
            let open = link.filter(|link| !link.is_closed());
            let lost = match open {
                Some(_) => seen.elapsed() > STATUS_PATIENCE,
                None => gone || seen.elapsed() > ADOPTED_PATIENCE,
            };
            if lost {
                return Ok(Some(ExitStatus::Lost));
            }
            // Whoever asks again later finds the status; the first one to ask is listened for.
            let grace = if open.is_some() && seen.elapsed() < GRACE { GRACE } else { Duration::ZERO };
            let left = deadline.map(|at| (at + grace).saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let pause = |most: Duration| left.map_or(most, |left| left.min(most));
            match open {
                // A pause even where the link is readable for another reason.
                Some(link) => {
                    link.collect_until(Some(Instant::now() + pause(Duration::from_millis(10))))?;
                }
                None => std::thread::sleep(pause(Duration::from_millis(1))),
            }
        }
    }
}

fn lock(end: &Mutex<End>) -> MutexGuard<'_, End> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nothing is left of the process, not even a zombie.
fn is_gone(pidfd: BorrowedFd<'_>) -> bool {
    pidfd::send_signal(pidfd, 0).is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH))
}

impl ProcessHandle {
    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        ProcessHandle(inner)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        match &self.0.source {
            Source::Own(child) => child.id(),
            Source::Foreign { pid, .. } => *pid,
        }
    }

    /// Its name: the one it was started with, or `Process-1` and so on in the order of the starts.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it has not ended yet: it runs, sleeps or is stopped. A system call, and no wait; it reaps nothing.
    ///
    /// `false` means that it has ended for good. `false` as well in a forked child of the process that the handle was made
    /// in.
    pub fn is_alive(&self) -> bool {
        self.0.is_ours() && !self.0.has_ended()
    }

    /// How it ended; `None` while it runs. It waits for nothing, but reaps a process that has ended, so that no zombie is
    /// left of it. Every handle gives the same answer from then on.
    ///
    /// Of a process that is no child of this one, somebody else has to tell. For the child of a zygote that is the zygote,
    /// which is listened to for up to 20 ms once the process has ended. Of another (a [`parent`](crate::parent), a
    /// [detached](crate::ProcessBuilder::detached) process) the kernel may know once it was reaped. `None` as long as
    /// nobody has told, though it has ended, as [`is_alive`](Self::is_alive) says. After a quarter of a second (five seconds
    /// where a zygote lives that ought to tell) it is [`Lost`](crate::ExitStatus::Lost).
    ///
    /// `Lost` also if somebody else has taken the status of a child: another part of the program that waits for every
    /// child, or SIGCHLD is ignored, on a kernel before 6.15. `None` also in a forked child of the process that the handle
    /// was made in, where [`wait`](Self::wait) says why.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.0.wait_deadline(Some(Instant::now())).ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// In a forked child of the process that the handle was made in; or if the kernel refuses to wait.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        self.0.wait_deadline(None)?.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// Waits for its end at most this long; `Ok(None)` if it still runs. Never returns early.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.wait_deadline_opt(Instant::now().checked_add(timeout))
    }

    /// Waits for its end until `deadline`; `Ok(None)` if it still runs.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        self.wait_deadline_opt(Some(deadline))
    }

    fn wait_deadline_opt(&self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        self.0.wait_deadline(deadline)
    }

    /// Asks it to end (SIGTERM). A process that has ended is no error, here and in the three methods below.
    ///
    /// # Errors
    /// EPERM if it runs as another user. In a forked child of the process that the handle was made in.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(libc::SIGTERM)
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate).
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Interrupts it as Ctrl-C would (SIGINT).
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate).
    pub fn interrupt(&self) -> io::Result<()> {
        self.signal(libc::SIGINT)
    }

    /// Sends it a signal by number.
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate); EINVAL if there is no such signal.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        self.0.lineage.check()?;
        let sent = match &self.0.source {
            Source::Own(child) => child.signal(number),
            Source::Foreign { pidfd, .. } => pidfd::send_signal(pidfd.as_fd(), number),
        };
        match sent {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }
}

pub(crate) fn inner_of(handle: &ProcessHandle) -> &Arc<Inner> {
    &handle.0
}

impl ProcessHandle {
    /// Its pidfd, readable once it has ended.
    ///
    /// # Errors
    /// This is a forked child of the process that the handle belongs to.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>, NotInherited> {
        match &self.0.source {
            Source::Own(child) => child.pidfd(),
            Source::Foreign { pidfd, .. } => pidfd.get(),
        }
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.pidfd()
    }
}

impl PartialEq for ProcessHandle {
    /// Whether both are handles of the same process.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

// ---------------------------------------------------------------- who we are

/// What a process of ours was told when it was started.
#[derive(Default)]
struct Identity {
    name: OnceLock<String>,
    parent: OnceLock<ProcessHandle>,
    current: OnceLock<ProcessHandle>,
}

static IDENTITY: PerProcess<Identity> = PerProcess::new(Identity::default);

/// Notes, in a new process, its name and its parent, if there is a pidfd of that.
pub(crate) fn become_child(name: String, parent_pid: u32, parent: Option<OwnedFd>) {
    let identity = IDENTITY.get();
    let _ = identity.name.set(name);
    let Some(parent) = parent else { return };
    let parent = Inner::new("parent".into(), Source::foreign(parent_pid, parent, false), None, None);
    let _ = identity.parent.set(ProcessHandle(parent));
}

/// A handle of this process. Its name is `main` unless this library started it.
///
/// # Panics
/// If the system refuses a pidfd of the process itself: it is out of descriptors, or a sandbox forbids the call.
pub fn current() -> ProcessHandle {
    match try_current() {
        Ok(current) => current,
        Err(e) => panic!("no pidfd of the current process can be had: {e}"),
    }
}

pub(crate) fn try_current() -> io::Result<ProcessHandle> {
    let identity = IDENTITY.get();
    if let Some(current) = identity.current.get() {
        return Ok(current.clone());
    }
    let pid = std::process::id();
    let pidfd = pidfd::open(pid as i32)?;
    let name = identity.name.get().cloned().unwrap_or_else(|| "main".into());
    let handle = ProcessHandle(Inner::new(name, Source::foreign(pid, pidfd, false), None, None));
    Ok(identity.current.get_or_init(|| handle).clone())
}

/// A pidfd of this process, for a child of it. `None` where a sandbox gives none, and the child then knows no parent; that
/// the system is out of descriptors or memory is an error.
pub(crate) fn pidfd_of_self() -> io::Result<Option<OwnedFd>> {
    let exhausted =
        |e: &io::Error| matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
    match try_current().and_then(|own| own.as_fd().try_clone_to_owned()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(e) if exhausted(&e) => Err(e),
        Err(_) => Ok(None),
    }
}

/// A handle of the process that started this one, if this library did; with a zygote in between, of the process that
/// asked it. `None` also where a sandbox gives no pidfds.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{Process, current, parent};
///
/// proc_core::init();
/// assert!(parent().is_none());
/// assert_eq!(current().name(), "main");
/// let who = |()| (current().name().to_owned(), parent().map(|p| p.id()));
/// let p = Process::builder().name("child").spawn(who, ())?;
/// assert_eq!(p.join()?, ("child".to_owned(), Some(current().id())));
/// # Ok(())
/// # }
/// ```
pub fn parent() -> Option<ProcessHandle> {
    IDENTITY.get().parent.get().cloned()
}
