//! The calls a child makes on the parent's memory, before its exec: raw, without allocation, lock or panic.

use crate::settings::Settings;
use crate::spawner::Step;
use rustix::io::Errno;
use std::ffi::{CString, c_char, c_int};
use std::os::fd::RawFd;
use std::ptr;

/// What a step gives: nothing, or which step failed and why.
pub(crate) type Outcome = Result<(), (Step, Errno)>;

fn errno() -> Errno {
    // SAFETY: errno is this thread's own.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// The process's id as the kernel says it: libc and the parent's memory may know another.
pub(crate) fn own_pid() -> i32 {
    // SAFETY: getpid has no precondition.
    unsafe { libc::syscall(libc::SYS_getpid) as i32 }
}

/// Session, group and place of the process: what must come before the lifeline and the descriptors.
pub(crate) fn apply_place(settings: &Settings, terminal: Option<RawFd>, cgroup: Option<RawFd>) -> Outcome {
    if settings.session {
        rustix::process::setsid().map_err(|e| (Step::Session, e))?;
    }
    // A session's leader leads a group of its own already, and may not ask for it.
    if let Some(group) = settings.group.filter(|group| !(settings.session && *group == 0)) {
        // SAFETY: setpgid takes numbers only.
        check(unsafe { libc::syscall(libc::SYS_setpgid, 0, group) }).map_err(|e| (Step::ProcessGroup, e))?;
    }
    if let Some(fd) = terminal {
        // SAFETY: TIOCSCTTY takes a number.
        check(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCSCTTY, 0) })
            .map_err(|e| (Step::Terminal, e))?;
    }
    if let Some(fd) = cgroup {
        // "0" moves the writer itself.
        // SAFETY: one readable byte.
        check(unsafe { libc::syscall(libc::SYS_write, fd, c"0".as_ptr(), 1) })
            .map_err(|e| (Step::Cgroup, e))?;
    }
    Ok(())
}

/// Working directory, mask, priority, affinity and limits.
pub(crate) fn apply_environment(settings: &Settings) -> Outcome {
    if let Some(dir) = &settings.current_dir {
        rustix::process::chdir(dir.as_c_str()).map_err(|e| (Step::CurrentDir, e))?;
    }
    if let Some(mask) = settings.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    }
    if let Some(nice) = settings.nice {
        rustix::process::setpriority_process(None, nice).map_err(|e| (Step::Nice, e))?;
    }
    if !settings.affinity.is_empty() {
        let mut set = rustix::thread::CpuSet::new();
        for cpu in &settings.affinity {
            // `set` panics on what does not fit, which must not happen here even if a check was forgotten.
            if *cpu >= rustix::thread::CpuSet::MAX_CPU {
                return Err((Step::Affinity, Errno::INVAL));
            }
            set.set(*cpu);
        }
        rustix::thread::sched_setaffinity(None, &set).map_err(|e| (Step::Affinity, e))?;
    }
    Ok(())
}

/// Resource limits: after the descriptors were arranged, which a low limit would forbid.
pub(crate) fn apply_limits(settings: &Settings) -> Outcome {
    for limit in &settings.limits {
        let value = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
        let none = ptr::null_mut::<libc::rlimit64>();
        // SAFETY: the pointer is to a live structure; pid 0 is the caller.
        check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource, &value as *const _, none) })
            .map_err(|e| (Step::ResourceLimit, e))?;
    }
    Ok(())
}

/// User, groups and what must come after a change of user: the kernel clears the death signal then.
pub(crate) fn apply_credentials(settings: &Settings, parent: i32) -> Outcome {
    if let Some(groups) = &settings.groups {
        // SAFETY: the pointer is to as many ids as the length says.
        check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
            .map_err(|e| (Step::Groups, e))?;
    }
    if let Some(gid) = settings.gid {
        // SAFETY: numbers only. The raw call: libc's would signal threads that this child does not have.
        check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map_err(|e| (Step::Group, e))?;
    }
    if let Some(uid) = settings.uid {
        // SAFETY: as above.
        check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map_err(|e| (Step::User, e))?;
    }
    if settings.no_new_privs {
        rustix::thread::set_no_new_privs(true).map_err(|e| (Step::NoNewPrivileges, e))?;
    }
    if let Some(signal) = settings.parent_death_signal {
        // SAFETY: prctl with numbers.
        check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) })
            .map_err(|e| (Step::ParentDeathSignal, e))?;
        // The parent may have died before the call: then nothing would ever be sent.
        // SAFETY: getppid has no precondition.
        if unsafe { libc::syscall(libc::SYS_getppid) } as i32 != parent {
            return Err((Step::ParentDeathSignal, Errno::SRCH));
        }
    }
    Ok(())
}

/// Puts each descriptor of `map` at its number, without close-on-exec, and closes all others from 3 on if asked to,
/// save `keep`.
///
/// A source that is another entry's target is first moved above all targets.
pub(crate) fn arrange_descriptors(
    map: &mut [(RawFd, RawFd)],
    close_others: bool,
    keep: Option<RawFd>,
) -> Outcome {
    let fail = |e| (Step::Descriptors, e);
    let top = map.iter().map(|(_, to)| *to).max().unwrap_or(0);
    for i in 0..map.len() {
        let (from, to) = map[i];
        if from != to && map.iter().any(|(_, other)| *other == from) {
            // SAFETY: fcntl with numbers.
            let moved =
                unsafe { libc::syscall(libc::SYS_fcntl, from, libc::F_DUPFD_CLOEXEC, top.wrapping_add(1)) };
            map[i].0 = check(moved).map_err(fail)? as RawFd;
        }
    }
    for (from, to) in map.iter().copied() {
        let done = if from == to {
            // SAFETY: fcntl with numbers; 0 takes close-on-exec away.
            unsafe { libc::syscall(libc::SYS_fcntl, to, libc::F_SETFD, 0) }
        } else {
            // SAFETY: dup3 with numbers; what was at `to` is a copy that this child owns.
            unsafe { libc::syscall(libc::SYS_dup3, from, to, 0) }
        };
        check(done).map_err(fail)?;
    }
    if close_others { close_gaps(map, keep).map_err(|e| (Step::CloseDescriptors, e)) } else { Ok(()) }
}

/// Closes every descriptor from 3 on that is no target of `map` and is not `keep`: one call a gap.
fn close_gaps(map: &[(RawFd, RawFd)], keep: Option<RawFd>) -> Result<(), Errno> {
    let mut first: u32 = 3;
    loop {
        let kept = |fd: &RawFd| *fd >= 0 && *fd as u32 >= first;
        let next = map.iter().map(|(_, to)| *to).chain(keep).filter(kept).min();
        let last = next.map_or(u32::MAX, |fd| (fd as u32).wrapping_sub(1));
        if next.is_none() || last >= first {
            // SAFETY: close_range on the child's own table.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        match next {
            Some(fd) => first = (fd as u32).wrapping_add(1),
            None => return Ok(()),
        }
    }
}

/// Arms `fd`, the read end of a pipe that nobody writes: `target` (a pid, or minus a group) is killed when the last
/// write end is closed. If that has already happened, the caller ends here.
pub(crate) fn arm_lifeline(fd: RawFd, target: i32) -> Result<(), Errno> {
    const F_SETSIG: c_int = 10;
    // SAFETY: fcntl with numbers.
    unsafe {
        check(libc::syscall(libc::SYS_fcntl, fd, libc::F_SETOWN, target))?;
        check(libc::syscall(libc::SYS_fcntl, fd, F_SETSIG, libc::SIGKILL))?;
        let flags = check(libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL))?;
        check(libc::syscall(libc::SYS_fcntl, fd, libc::F_SETFL, flags | libc::c_long::from(libc::O_ASYNC)))?;
    }
    // The parent may have died before the descriptor was armed, and then no signal comes.
    if is_hung_up(fd) {
        // SAFETY: the group or process is our own.
        unsafe { libc::syscall(libc::SYS_kill, target, libc::SIGKILL) };
        super::clone::exit_now(127);
    }
    Ok(())
}

fn is_hung_up(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let no_mask = ptr::null::<libc::c_void>();
    // SAFETY: one live pollfd, a live timeout; the last argument is the size of a set that is not given.
    let n = unsafe { libc::syscall(libc::SYS_ppoll, &mut poll as *mut _, 1, &now as *const _, no_mask, 8) };
    n == 1 && poll.revents & libc::POLLHUP != 0
}

/// Tries the candidates in turn as `execvp` does, and returns only if none could be run: which one, and why.
///
/// # Safety
/// Both arrays are null-terminated arrays of C strings.
pub(crate) unsafe fn exec(
    candidates: &[CString],
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> (usize, Errno) {
    let mut denied = None;
    let mut last = (0, Errno::NOENT);
    for (i, path) in candidates.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv, envp) };
        let error = errno();
        last = (i, error);
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::TIMEDOUT | Errno::STALE => {}
            Errno::ACCESS => denied = denied.or(Some(last)),
            _ => return last,
        }
    }
    denied.unwrap_or(last)
}
