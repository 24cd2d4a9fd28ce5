//! Processes, tracing, a timer, shared pages.

use std::ffi::c_int;
use std::io;
use std::ptr::null_mut;

/// A process id. Every one here is a child of ours that is not yet reaped, so it can't be another's.
pub(crate) type Pid = libc::pid_t;

/// Which side of a fork this is.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

/// Copies this process, running the fork hooks: handles of the library are refused in the child.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the lab has one thread, so its child may do everything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Ends this process without destructors or buffers.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(code) }
}

/// Dies with its parent. Runs on every processor, but for a traced one, which stays beside the tracer.
pub(crate) fn become_actor(cpus: &libc::cpu_set_t, traced: bool) {
    // SAFETY: both calls read their arguments and change this process alone.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
        if !traced {
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cpus);
        }
    }
}

/// The processors that this process may use.
pub(crate) fn cpus() -> libc::cpu_set_t {
    // SAFETY: zeros are an empty set, and the call writes no more than its size.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        set
    }
}

/// Stays on one processor of `cpus`: a step is two switches between tracer and traced, which cost a tenth there.
pub(crate) fn stay_on_one_cpu(cpus: &libc::cpu_set_t) {
    // SAFETY: the sets are ours, the numbers below the size of a set.
    unsafe {
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|&n| libc::CPU_ISSET(n, cpus));
        let mut one = std::mem::zeroed();
        libc::CPU_SET(last.unwrap_or(0), &mut one);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one);
    }
}

/// Asks to be traced by the parent.
pub(crate) fn trace_me() -> io::Result<()> {
    ptrace(libc::PTRACE_TRACEME, 0, 0)
}

/// Stops here until the tracer goes on. One system call, so that little besides the operation is stepped through.
#[inline(always)]
pub(crate) fn stop_here() {
    // SAFETY: stops this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
}

/// Lets a stopped child run one instruction.
pub(crate) fn step(pid: Pid) -> io::Result<()> {
    ptrace(libc::PTRACE_SINGLESTEP, pid, 0)
}

/// A traced child dies if we do.
pub(crate) fn die_with_tracer(pid: Pid) -> io::Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS, pid, libc::PTRACE_O_EXITKILL as usize)
}

/// Where a stopped child is.
#[cfg(target_arch = "x86_64")]
pub(crate) fn instruction(pid: Pid) -> io::Result<u64> {
    // SAFETY: zeros are registers, and the call writes exactly these.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS, pid, (&raw mut registers).addr())?;
    Ok(registers.rip)
}

/// Where a stopped child is: not asked for on this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn instruction(_: Pid) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

fn ptrace(request: libc::c_uint, pid: Pid, data: usize) -> io::Result<()> {
    // SAFETY: requests of this module, each with the data that it takes.
    if unsafe { libc::ptrace(request, pid, 0_usize, data) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What a child did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped(c_int),
    Exited(c_int),
    Killed(c_int),
}

/// Waits until a child stops or ends; `None` if a signal came first.
pub(crate) fn wait(pid: Pid) -> io::Result<Option<Change>> {
    wait_with(pid, 0)
}

/// [`wait`] that does not wait.
pub(crate) fn poll(pid: Pid) -> io::Result<Option<Change>> {
    wait_with(pid, libc::WNOHANG)
}

fn wait_with(pid: Pid, flags: c_int) -> io::Result<Option<Change>> {
    let mut status = 0;
    // SAFETY: writes the status.
    match unsafe { libc::waitpid(pid, &raw mut status, flags) } {
        0 => Ok(None),
        -1 => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(None),
            e => Err(e),
        },
        _ if libc::WIFSTOPPED(status) => Ok(Some(Change::Stopped(libc::WSTOPSIG(status)))),
        _ if libc::WIFEXITED(status) => Ok(Some(Change::Exited(libc::WEXITSTATUS(status)))),
        _ => Ok(Some(Change::Killed(libc::WTERMSIG(status)))),
    }
}

/// Kills a child and reaps it.
pub(crate) fn kill(pid: Pid) {
    // SAFETY: the child is not reaped, so the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    while !matches!(wait(pid), Ok(Some(Change::Exited(_) | Change::Killed(_))) | Err(_)) {}
}

/// A signal every `micros` microseconds that does nothing but end our waiting; zero ends it.
pub(crate) fn tick(micros: i64) {
    extern "C" fn nothing(_: c_int) {}
    let time = libc::timeval { tv_sec: micros / 1_000_000, tv_usec: micros % 1_000_000 };
    // SAFETY: the handler does nothing; without SA_RESTART a wait ends with EINTR.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, null_mut());
        let timer = libc::itimerval { it_interval: time, it_value: time };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, null_mut());
    }
}

/// Zeroed memory that forked children share, never given back.
pub(crate) fn shared_pages(size: usize) -> io::Result<*mut u8> {
    // SAFETY: a new mapping, where the kernel likes.
    let at = unsafe {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(null_mut(), size, rights, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
    };
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at.cast()) }
}

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it has no arguments and can't fail.
    unsafe { libc::gettid() as u32 }
}
