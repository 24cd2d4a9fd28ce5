//! Whether a thread or process that is known by its number still runs.

use std::{fs, io};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags},
};

/// Whether no thread has this id any more, or it has ended and only waits to be reaped. A thread that can't be looked at
/// counts as running.
pub(crate) fn is_gone(tid: u32) -> bool {
    match look(tid) {
        Look::Gone => true,
        Look::Hidden => false,
        Look::There(task) => task.ended,
    }
}

/// Whether `tid` is a thread of this process.
pub(crate) fn is_ours(tid: u32) -> bool {
    // SAFETY: signal 0 is none.
    tid != 0 && unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), tid, 0) } == 0
}

/// What is known of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// The thread has ended and was not reaped.
    pub(crate) ended: bool,
    /// So has each thread of its process: a first thread that ends before the others is seen until they end, too.
    pub(crate) process_ended: bool,
    /// In ticks since the start of the machine, as the time namespace has it. With its id this names a process for ever.
    pub(crate) started: u64,
}

/// A look at a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// There is none of this id.
    Gone,
    /// There is one, and /proc does not show it to us.
    Hidden,
    /// There is one.
    There(Task),
}

/// Looks at the thread or process `tid`.
pub(crate) fn look(tid: u32) -> Look {
    // tkill says whether the id is in use; of a zombie it says so too. /proc alone would not do: it can hide what belongs
    // to other users, or be that of another PID namespace, where the id is somebody else's.
    // SAFETY: signal 0 is none.
    let result = unsafe { libc::syscall(libc::SYS_tkill, tid, 0) };
    // Any other error says nothing of the thread: it is another user's, or a filter of system calls does not let us ask.
    if result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
        return Look::Gone;
    }
    if !proc_is_ours() {
        return Look::Hidden;
    }
    let stat = fs::read_to_string(format!("/proc/{tid}/stat")).ok();
    stat.and_then(|stat| parse(&stat)).map_or(Look::Hidden, Look::There)
}

/// Whether the process `pid` has ended with all its threads, without a look at `/proc`: a tenth of the cost. Of an id that was
/// given to another process since, it says what that one does. `None`: the system does not say (no descriptor is left, or a
/// filter of system calls is in the way).
pub(crate) fn process_has_ended(pid: u32) -> Option<bool> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Some(true),
        Err(_) => return None,
    };
    // It is readable when nobody of the process is left but perhaps a zombie.
    let mut ready = [PollFd::new(&process, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut ready, Some(&now)).ok().map(|n| n != 0)
}

/// When this process was started, as [`Task::started`] of others.
///
/// # Errors
///
/// There is no /proc.
pub(crate) fn own_start() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    parse(&stat).map(|task| task.started).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether /proc shows the PID namespace that this process is in. (`unshare --pid` without a mount does that.)
fn proc_is_ours() -> bool {
    let own = fs::read_link("/proc/self");
    own.is_ok_and(|own| own.to_str().and_then(|own| own.parse().ok()) == Some(std::process::id()))
}

/// The name, in brackets, is the second field and may hold anything, so that fields are counted from its end: the state is
/// the third of all, the number of threads, those that have ended aside but for the first, the 20th, the start the 22nd.
fn parse(stat: &str) -> Option<Task> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Task { ended, process_ended: ended && threads <= 1, started })
}
