//! Waiting for and signalling a process by a descriptor that can't be reused for another.

use crate::status::{Ended, ExitStatus, Usage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub(crate) fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until `fd` has one of `events`, or the deadline is over: then `None`.
pub(crate) fn poll_one(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Option<Instant>,
) -> io::Result<Option<PollFlags>> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    let ready = poll_many(&mut fds, deadline)?;
    Ok(if ready { Some(fds[0].revents()) } else { None })
}

/// Waits until one of `fds` is ready (`true`) or the deadline is over. Never early: what remains is computed again
/// after a signal and after a wake-up.
pub(crate) fn poll_many(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map(timespec);
        match poll(fds, timeout.as_ref()) {
            Ok(0) if left.is_some_and(|left| left > Duration::ZERO) => continue,
            Ok(n) => return Ok(n > 0),
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
    }
}

/// How long [`poll_soon`] looks before it sleeps.
#[cfg(feature = "functions")]
const SOON: Duration = Duration::from_micros(200);

/// As [`poll_many`], for what will come in a moment: where there are several CPUs it looks for a while before it sleeps, as
/// waking it from another CPU takes tens of microseconds. Between looks others may have this CPU.
#[cfg(feature = "functions")]
pub(crate) fn poll_soon(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    let several = rustix::thread::sched_getaffinity(None).is_ok_and(|set| set.count() > 1);
    let soon = Instant::now() + SOON;
    let until = deadline.map_or(soon, |deadline| deadline.min(soon));
    let mut now = Instant::now();
    while several && now < until {
        if poll_many(fds, Some(now))? {
            return Ok(true);
        }
        std::thread::yield_now();
        now = Instant::now();
    }
    poll_many(fds, deadline)
}

/// The kernel's form of a duration; longer than a century is cut, and the caller's loop waits again.
fn timespec(d: Duration) -> Timespec {
    Timespec {
        tv_sec: d.as_secs().min(u64::from(u32::MAX)) as i64,
        tv_nsec: i64::from(d.subsec_nanos()) as _,
    }
}

/// Reaps the process if it has ended. `Ok(None)`: it runs. ECHILD: it isn't our child, or nobody can reap it any more.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    // SAFETY: all zeros is a valid value of both plain C structures.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::__WALL;
    loop {
        // SAFETY: both pointers are to live structures; the descriptor is open. libc's waitid has no usage parameter.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                &mut info as *mut libc::siginfo_t,
                flags,
                &mut usage as *mut libc::rusage,
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if !super::signals::is_interrupted(&error) {
            return Err(error);
        }
    }
    // SAFETY: waitid filled the structure; with nothing to report the pid is 0.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => ExitStatus::Exited(status),
        libc::CLD_DUMPED => ExitStatus::Signaled { signal: status, core: true },
        _ => ExitStatus::Signaled { signal: status, core: false },
    };
    Ok(Some(Ended { status, usage: Some(usage_of(&usage)) }))
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let time = |t: libc::timeval| Duration::new(t.tv_sec.max(0) as u64, (t.tv_usec.max(0) as u32) * 1000);
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_resident: (usage.ru_maxrss.max(0) as u64) * 1024,
    }
}

/// The kernel's `struct pidfd_info`, in its first extended form.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
    coredump: [u32; 2],
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The status of a process that somebody else reaped, where the kernel keeps it (6.15 and newer).
pub(crate) fn status_of_reaped(pidfd: BorrowedFd<'_>) -> Option<ExitStatus> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // _IOWR(0xFF, 11, struct pidfd_info)
    let request = (3u64 << 30) | ((size_of::<PidfdInfo>() as u64) << 16) | (0xFF << 8) | 11;
    // SAFETY: the request says the size of the structure that the pointer is to; older kernels refuse it.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), request as _, &mut info as *mut PidfdInfo) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| ExitStatus::from_wait(info.exit_code))
}

/// Sends a signal. A process that has ended is no error: there is nobody left to tell.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open; a null info means what `kill` would say.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
