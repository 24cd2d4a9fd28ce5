//! A child that borrows our memory until it execs, and a plain fork.

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

const GUARD: usize = 4096;
/// Room for the child's steps in a build without optimisation; only the pages it touches cost anything.
const ROOM: usize = 128 * 1024;

/// A stack with a guard page below it, so that an overflow is a fault and not a scribble.
pub(crate) struct Stack {
    base: *mut c_void,
}

/// The stack of an earlier start, for the next one: a new one costs three system calls and the faults of its pages.
///
/// | pointer | meaning | leaves it by |
/// |---|---|---|
/// | null | all stacks are in use, or none was made | [`Stack`]'s drop, to its mapping |
/// | other | a mapping with its guard that nobody uses | [`Stack::new`], to null |
static SPARE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

impl Stack {
    pub(crate) fn new() -> io::Result<Stack> {
        let base = SPARE.swap(ptr::null_mut(), Ordering::Acquire);
        if !base.is_null() {
            return Ok(Stack { base });
        }
        let flags = MapFlags::PRIVATE | MapFlags::STACK | MapFlags::NORESERVE;
        // SAFETY: a null hint lets the kernel choose a range that nothing else uses.
        let base = unsafe {
            mmap_anonymous(ptr::null_mut(), GUARD + ROOM, ProtFlags::READ | ProtFlags::WRITE, flags)?
        };
        // SAFETY: the first page of the mapping made above, which nobody uses yet.
        if let Err(e) = unsafe { mprotect(base, GUARD, MprotectFlags::empty()) } {
            // Not by a drop: that would keep a stack without a guard for the next start.
            // SAFETY: nobody has seen the mapping.
            let _ = unsafe { munmap(base, GUARD + ROOM) };
            return Err(e.into());
        }
        Ok(Stack { base })
    }

    fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(GUARD + ROOM)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let kept = SPARE.compare_exchange(ptr::null_mut(), self.base, Ordering::Release, Ordering::Relaxed);
        if kept.is_ok() {
            return;
        }
        // SAFETY: the mapping is ours, and a child that ran on it has left it: `vfork_on` returns only then.
        let _ = unsafe { munmap(self.base, GUARD + ROOM) };
    }
}

/// A word by which a child sees whether it really runs on its parent's memory: its page is wiped in a copy.
///
/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | this is a copy of the memory of the process that stored the 1 | the kernel, in each forked child |
/// | 1 | this is that memory | [`Witness::new`], before each clone |
///
/// Sandboxes and emulators that don't know CLONE_VM leave it out and say that all is well. Without the witness such a
/// child would run the program, and the fork that replaces it would run it again.
#[derive(Clone, Copy)]
pub(crate) struct Witness(&'static AtomicU32);

impl Witness {
    /// `None`: the kernel has no such pages, so nothing can be known.
    pub(crate) fn new() -> Option<Witness> {
        /// | pointer | meaning | leaves it by |
        /// |---|---|---|
        /// | null | no page was made | the first call of `new` |
        /// | other | the page, for ever; a forked child uses its parent's, wiped | never |
        static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
        let mut page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            let fresh = wiped_page()?;
            page = match PAGE.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => fresh,
                Err(theirs) => {
                    // SAFETY: nobody has seen the page that was made above.
                    let _ = unsafe { munmap(fresh.cast(), GUARD) };
                    theirs
                }
            };
        }
        // SAFETY: the page is mapped for ever, zeroed at first, and used as this one word only.
        let word = unsafe { &*page };
        word.store(1, Ordering::Relaxed);
        Some(Witness(word))
    }

    /// Whether this is the memory in which the witness was made.
    pub(crate) fn is_here(self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

/// A page that a fork does not copy: its children find zeros.
fn wiped_page() -> Option<*mut AtomicU32> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a null hint lets the kernel choose a range that nothing else uses; the advice is about that range.
    unsafe {
        let page = mmap_anonymous(ptr::null_mut(), GUARD, access, MapFlags::PRIVATE).ok()?;
        if madvise(page, GUARD, Advice::LinuxWipeOnFork).is_err() {
            let _ = munmap(page, GUARD);
            return None;
        }
        Some(page.cast())
    }
}

/// A child that was made.
pub(crate) struct Cloned {
    pub(crate) pid: i32,
    /// Its pidfd; of a child that is gone, a descriptor that is readable in its place.
    pub(crate) fd: OwnedFd,
    /// Whether it had ended, and somebody else had reaped it, before a pidfd of it could be had: SIGCHLD is ignored here,
    /// or another part of the program waits for every child. Its number may be another's by now.
    pub(crate) gone: bool,
}

/// Starts a child that runs `entry(arg)` on `stack` in our memory, and suspends the calling thread until the child
/// has replaced its image or has ended.
///
/// The child's exit signal is 0: an exec sets it back to SIGCHLD, and a child that failed before its exec disturbs
/// no handler and no foreign `wait`. Such a child must be waited for with `__WALL`.
///
/// # Safety
/// `entry` must only make system calls and write to memory that this call keeps alive: no allocation, no lock, no panic.
/// All signals must be blocked by the caller.
pub(crate) unsafe fn vfork_on(
    stack: &Stack,
    entry: extern "C" fn(*mut c_void) -> c_int,
    arg: *mut c_void,
) -> io::Result<Cloned> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let mut pidfd: c_int = -1;
    // SAFETY: errno is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    // SAFETY: the stack is ours and large enough, `entry` keeps to the caller's promise, and with CLONE_VFORK this
    // frame outlives the child's use of it.
    let pid = unsafe { libc::clone(entry, stack.top(), flags, arg, &mut pidfd as *mut c_int) };
    let result = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    // The child's failed calls have written to our errno: it shares this thread's memory.
    // SAFETY: errno is this thread's own.
    unsafe { *errno = saved };
    let pid = result?;
    if pidfd < 0 {
        // An emulator that knows `clone` but not CLONE_PIDFD.
        return open_or_end(pid);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Cloned { pid, fd: unsafe { OwnedFd::from_raw_fd(pidfd) }, gone: false })
}

/// libc's fork, with its handlers: 0 in the child, the child's pid in the parent.
///
/// # Safety
/// In the child of a process with several threads only async-signal-safe calls are allowed.
pub(crate) unsafe fn fork() -> io::Result<i32> {
    // SAFETY: passed on to the caller.
    let pid = unsafe { libc::fork() };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

/// Ends the process at once: no destructor, no handler, no flush.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(code) }
}

/// Writes out what C code has buffered for standard output.
///
/// Not for all streams: that takes the lock of each, which after a fork is a page fault each. No other stream appears
/// twice, as a forked child leaves by `_exit`.
#[cfg(feature = "functions")]
pub(crate) fn flush_c_stdout() {
    unsafe extern "C" {
        static stdout: *mut libc::FILE;
        fn __fpending(stream: *mut libc::FILE) -> libc::size_t;
    }
    // SAFETY: libc's standard output is open for as long as the process lives. Whoever writes to it at this moment has
    // its lock, which `fflush` waits for; before that only a difference of two pointers is read.
    unsafe {
        if !stdout.is_null() && __fpending(stdout) > 0 {
            libc::fflush(stdout);
        }
    }
}

/// A child that was just made, with its descriptor. One that none can be had of is ended and reaped: it could neither be
/// waited for with a deadline nor be signalled safely.
pub(crate) fn open_or_end(pid: i32) -> io::Result<Cloned> {
    match super::pidfd::open(pid) {
        Ok(fd) => Ok(Cloned { pid, fd, gone: false }),
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {
            let fd = rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC)?;
            Ok(Cloned { pid, fd, gone: true })
        }
        Err(e) => {
            kill_and_reap(pid);
            Err(e)
        }
    }
}

/// Ends and reaps a child by its number, unless it has been reaped.
pub(crate) fn kill_and_reap(pid: i32) {
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: a live structure; with WNOWAIT nothing is reaped.
    if unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, look) } != 0 {
        // No child of ours has the number.
        return;
    }
    // SAFETY: it takes numbers. The one here was that of our child a moment ago, and still is unless another thread waits
    // for every child, or SIGCHLD is ignored, and the child has ended within this moment; the system gives a number
    // again only after all others.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: a null status is not written.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) } < 0
        && super::signals::is_interrupted(&io::Error::last_os_error())
    {}
}
