//! The start itself: by a child on our memory, or by a fork where that can't be.

use super::plan::Plan;
use super::steps::{self, Failure};
use super::{Spawner, StartError, StartErrorKind, Step};
use crate::child::Child;
use crate::sys::clone::{self, Cloned, Stack, Witness};
use crate::sys::{pidfd, signals};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::ffi::{CString, OsStr, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A program file that is still open for writing somewhere (a forked sibling holds it for a moment) can't be run.
/// The waits double from 1 ms; together they last 255 ms.
const BUSY_RETRIES: u32 = 8;

pub(super) fn start(spawner: &Spawner<'_>) -> Result<Child, StartError> {
    let mut plan = Plan::new(spawner)?;
    let mut retry = 0;
    loop {
        let failure = match attempt(&mut plan) {
            Ok(cloned) => return Ok(cloned.into()),
            Err(failure) => failure,
        };
        let busy = failure.step == Step::Exec && failure.errno == Errno::TXTBSY;
        let pause = Duration::from_millis(1 << retry);
        let late = spawner.deadline.is_some_and(|at| at.saturating_duration_since(Instant::now()) < pause);
        if !busy || late || retry == BUSY_RETRIES {
            return Err(describe(&plan, failure));
        }
        std::thread::sleep(pause);
        retry += 1;
    }
}

fn attempt(plan: &mut Plan<'_>) -> Result<Cloned, Failure> {
    if plan.spawner.settings.change_credentials() {
        return by_fork(plan);
    }
    plan.scratch.clone_from(&plan.fds);
    match by_vfork(plan)? {
        Some(cloned) => Ok(cloned),
        None => by_fork(plan),
    }
}

fn not_made(error: io::Error) -> Failure {
    let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
    Failure { step: Step::Clone, errno, candidate: 0 }
}

fn describe(plan: &Plan<'_>, failure: Failure) -> StartError {
    let program = Path::new(&plan.spawner.program);
    let error = StartError::new(program, failure.step, failure.errno.into());
    let path = |s: &CString| PathBuf::from(OsStr::from_bytes(s.to_bytes()));
    let dir = plan.spawner.settings.current_dir.as_ref().map(path);
    // A relative path is the child's: only from its directory can we see whether the file is there.
    let absolute = |s: &CString| dir.as_ref().map_or_else(|| path(s), |dir| dir.join(path(s)));
    let about = match failure.step {
        // After a search, the file that is there is the one whose interpreter is not.
        Step::Exec if failure.errno == Errno::NOENT && plan.candidates.len() > 1 => {
            plan.candidates.iter().map(absolute).find(|path| path.exists())
        }
        Step::Exec => plan.candidates.get(failure.candidate).map(absolute),
        Step::CurrentDir => dir.clone(),
        _ => None,
    };
    let error = match about {
        Some(about) => error.with_path(about).classified(),
        None => error.classified(),
    };
    if error.kind != StartErrorKind::ArgumentsTooLong {
        return error;
    }
    let ((arguments, longest), (environment, longest_variable)) = (plan.argv.sizes(), plan.envp.sizes());
    error.with_detail(format!(
        "{arguments} bytes of arguments (the longest {longest}) and {environment} bytes of environment (the longest {longest_variable})"
    ))
}

// ---------------------------------------------------------------- on our memory

/// What the child tells by shared memory. One writer (the child, while we are suspended), one reader (we, after it).
struct Report {
    /// 0: the child has not run on our memory. 1: it has.
    started: AtomicU32,
    /// 0: no step failed. Otherwise the `Step`.
    step: AtomicU8,
    errno: AtomicU32,
    candidate: AtomicUsize,
}

struct Shared<'a, 'b> {
    plan: &'a mut Plan<'b>,
    report: &'a Report,
    witness: Witness,
}

extern "C" fn child_entry(arg: *mut c_void) -> c_int {
    // SAFETY: `by_vfork` passes its `Shared`, and is suspended for as long as this child uses it.
    let shared = unsafe { &mut *arg.cast::<Shared<'_, '_>>() };
    if !shared.witness.is_here() {
        clone::exit_now(127);
    }
    shared.report.started.store(1, Ordering::Release);
    let failure = steps::run(shared.plan, None);
    shared.report.errno.store(failure.errno.raw_os_error() as u32, Ordering::Relaxed);
    shared.report.candidate.store(failure.candidate, Ordering::Relaxed);
    shared.report.step.store(failure.step as u8, Ordering::Release);
    clone::exit_now(127)
}

/// `Ok(None)`: this kind of clone is not to be had here.
fn by_vfork(plan: &mut Plan<'_>) -> Result<Option<Cloned>, Failure> {
    // Where a copy can't be told from the real thing, a fork is safe.
    let Some(witness) = Witness::new() else { return Ok(None) };
    let stack = Stack::new().map_err(not_made)?;
    let report = Report {
        started: AtomicU32::new(0),
        step: AtomicU8::new(0),
        errno: AtomicU32::new(0),
        candidate: AtomicUsize::new(0),
    };
    let mut shared = Shared { plan, report: &report, witness };
    let mask = signals::set_mask(!0);
    // SAFETY: `child_entry` makes system calls and atomic stores only; all signals are blocked; `shared` and the stack
    // live until the call returns, which is after the child has left our memory.
    let cloned = unsafe { clone::vfork_on(&stack, child_entry, (&raw mut shared).cast()) };
    signals::set_mask(mask);
    let cloned = match cloned {
        Ok(cloned) => cloned,
        // Sandboxes refuse in these ways what they don't know.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EPERM | libc::ENOSYS)) => {
            return Ok(None);
        }
        Err(e) => return Err(not_made(e)),
    };
    if report.started.load(Ordering::Acquire) == 0 {
        // The child had a copy of our memory, saw that, and ran nothing.
        discard(cloned);
        return Ok(None);
    }
    match step_of(report.step.load(Ordering::Acquire)) {
        None => Ok(Some(cloned)),
        Some(step) => {
            discard(cloned);
            let errno = Errno::from_raw_os_error(report.errno.load(Ordering::Relaxed) as i32);
            Err(Failure { step, errno, candidate: report.candidate.load(Ordering::Relaxed) })
        }
    }
}

fn step_of(number: u8) -> Option<Step> {
    Step::ALL.into_iter().find(|step| *step as u8 == number)
}

/// Ends and reaps a child that has failed: it leaves no zombie.
fn discard(cloned: Cloned) {
    let child = Child::from(cloned);
    let _ = child.signal(libc::SIGKILL);
    let _ = child.wait();
}

// ---------------------------------------------------------------- by a fork

/// A failure as it goes through the error pipe.
const RECORD: usize = 13;

fn by_fork(plan: &mut Plan<'_>) -> Result<Cloned, Failure> {
    // The fork hook closes every `LocalFd` in the child; what the child is to have must not be one of them.
    let _held =
        hold_descriptors(plan).map_err(|errno| Failure { step: Step::Descriptors, errno, candidate: 0 })?;
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (read, write) = rustix::pipe::pipe_with(flags).map_err(|e| not_made(e.into()))?;
    let write = above_targets(plan, write).map_err(not_made)?;
    let mask = signals::set_mask(!0);
    // SAFETY: the child makes system calls only; its memory is a copy.
    let forked = unsafe { clone::fork() };
    if let Ok(0) = forked {
        let failure = steps::run(plan, Some(write.as_raw_fd()));
        let mut record = [0; RECORD];
        record[0] = failure.step as u8;
        record[1..5].copy_from_slice(&failure.errno.raw_os_error().to_ne_bytes());
        record[5..].copy_from_slice(&(failure.candidate as u64).to_ne_bytes());
        let _ = rustix::io::write(&write, &record);
        clone::exit_now(127);
    }
    signals::set_mask(mask);
    let pid = forked.map_err(not_made)?;
    drop(write);
    let cloned = clone::open_or_end(pid).map_err(not_made)?;
    match read_record(&read, cloned.fd.as_fd()) {
        None => Ok(cloned),
        Some(failure) => {
            discard(cloned);
            Err(failure)
        }
    }
}

/// Duplicates what the plan refers to by number, above all targets, and makes the plan refer to the duplicates.
fn hold_descriptors(plan: &mut Plan<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let first = first_free(plan);
    let mut held = Vec::new();
    let mut hold = |fd: BorrowedFd<'_>| {
        held.push(rustix::io::fcntl_dupfd_cloexec(fd, first)?);
        Ok(held[held.len() - 1].as_raw_fd())
    };
    let spawner = plan.spawner;
    plan.scratch.clear();
    for (fd, to) in &spawner.fds {
        plan.scratch.push((hold(*fd)?, *to));
    }
    plan.terminal = spawner.terminal.map(&mut hold).transpose()?;
    plan.cgroup = spawner.cgroup.map(&mut hold).transpose()?;
    plan.lifeline = match spawner.lifeline {
        Some((fd, scope)) => Some((hold(fd)?, scope)),
        None => None,
    };
    Ok(held)
}

/// The first number above all targets.
fn first_free(plan: &Plan<'_>) -> RawFd {
    plan.fds.iter().map(|(_, to)| *to).max().unwrap_or(2).max(2).saturating_add(1)
}

/// Moves the error pipe out of the way of the descriptors that the child will arrange.
fn above_targets(plan: &Plan<'_>, fd: OwnedFd) -> io::Result<OwnedFd> {
    let first = first_free(plan);
    if fd.as_raw_fd() >= first {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, first)?)
}

/// `None`: the pipe was closed by a successful exec, or the child has ended. (A process that another thread forks at
/// this moment has a copy of the pipe, and may keep it open for longer than the child lives.)
fn read_record(read: &OwnedFd, child: BorrowedFd<'_>) -> Option<Failure> {
    let mut record = [0; RECORD];
    let mut filled = 0;
    while filled < RECORD {
        let mut both = [PollFd::new(read, PollFlags::IN), PollFd::from_borrowed_fd(child, PollFlags::IN)];
        pidfd::poll_many(&mut both, None).ok()?;
        if both[0].revents().is_empty() {
            return None;
        }
        match rustix::io::read(read, &mut record[filled..]) {
            Ok(0) => return None,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    let number = |range: std::ops::Range<usize>| record.get(range);
    let errno = i32::from_ne_bytes(number(1..5)?.try_into().ok()?);
    let candidate = u64::from_ne_bytes(number(5..13)?.try_into().ok()?);
    Some(Failure {
        step: step_of(record[0])?,
        errno: Errno::from_raw_os_error(errno),
        candidate: usize::try_from(candidate).unwrap_or(0),
    })
}
