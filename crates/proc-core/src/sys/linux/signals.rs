//! Signal sets and dispositions as the kernel keeps them: 64 bits, libc's own two signals included.

use std::io;
use std::ptr;

/// A set of signals: bit `n - 1` is signal `n`.
pub(crate) type Set = u64;

const SIZE: usize = size_of::<Set>();
const LAST: i32 = 64;

pub(crate) const fn bit(signal: i32) -> Set {
    1 << (signal - 1)
}

/// Sets the calling thread's mask and returns the one before. The raw call: libc's leaves its own two signals open,
/// and either of them would run a handler in a child on the parent's memory.
pub(crate) fn set_mask(set: Set) -> Set {
    let mut old: Set = 0;
    // SAFETY: both pointers are to sets of the size that is passed.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &set as *const Set,
            &mut old as *mut Set,
            SIZE,
        )
    };
    old
}

/// The calling thread's mask.
#[cfg(feature = "functions")]
pub(crate) fn mask() -> Set {
    let mut old: Set = 0;
    // SAFETY: a null new set only reads the mask.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::null::<Set>(),
            &mut old as *mut Set,
            SIZE,
        )
    };
    old
}

/// The kernel's `struct sigaction`: libc's has another layout.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: Set,
}

const DEFAULT: KernelAction = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };

fn action(signal: i32, new: *const KernelAction, old: *mut KernelAction) -> bool {
    // SAFETY: the callers pass null or a pointer to a live action of the kernel's layout.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIZE) == 0 }
}

/// Sets every signal that has a handler back to its default, and those of `ignored_to_default` that are ignored.
/// Ignored signals otherwise stay ignored, as over an exec.
pub(crate) fn reset_handlers(ignored_to_default: Set) {
    for signal in 1..=LAST {
        let mut old = DEFAULT;
        if !action(signal, ptr::null(), &mut old) || old.handler == libc::SIG_DFL {
            continue;
        }
        if old.handler != libc::SIG_IGN || ignored_to_default & bit(signal) != 0 {
            action(signal, &DEFAULT, ptr::null_mut());
        }
    }
}

/// All signals.
#[cfg(feature = "functions")]
pub(crate) const ALL: Set = !0;
/// The signal that Rust's runtime ignores before `main`.
#[cfg(feature = "functions")]
pub(crate) const PIPE: Set = bit(libc::SIGPIPE);

/// The signals among `these` that are ignored in this process: a system call each.
#[cfg(feature = "functions")]
pub(crate) fn ignored(these: Set) -> Set {
    (1..=LAST).filter(|signal| these & bit(*signal) != 0).fold(0, |set, signal| {
        let mut old = DEFAULT;
        let is = action(signal, ptr::null(), &mut old) && old.handler == libc::SIG_IGN;
        if is { set | bit(signal) } else { set }
    })
}

/// Among `these`, makes the signals of `set` ignored, and those that are ignored and not in it default. Handlers of
/// others stay. `known` are those that are ignored now, if the caller knows it: to ask is a system call each.
#[cfg(feature = "functions")]
pub(crate) fn match_ignored(these: Set, set: Set, known: Option<Set>) {
    let (set, now) = (set & these, known.map_or_else(|| ignored(these), |known| known & these));
    for signal in 1..=LAST {
        let (want, have) = (set & bit(signal) != 0, now & bit(signal) != 0);
        if want != have {
            let handler = if want { libc::SIG_IGN } else { libc::SIG_DFL };
            action(signal, &KernelAction { handler, ..DEFAULT }, ptr::null_mut());
        }
    }
}

/// Makes one signal ignored.
#[cfg(feature = "functions")]
pub(crate) fn ignore(signal: i32) {
    action(signal, &KernelAction { handler: libc::SIG_IGN, ..DEFAULT }, ptr::null_mut());
}

/// Gives one signal its default action.
#[cfg(feature = "functions")]
pub(crate) fn set_default(signal: i32) {
    action(signal, &DEFAULT, ptr::null_mut());
}

/// Makes one signal do nothing, with calls restarted. Unlike an ignored signal it is default again after an exec.
#[cfg(feature = "functions")]
pub(crate) fn set_no_op(signal: i32) {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = nothing as *const () as usize;
    new.sa_flags = libc::SA_RESTART;
    // libc's call: a handler needs the return path that libc provides.
    // SAFETY: the structure is live, and the handler is async-signal-safe.
    unsafe { libc::sigaction(signal, &new, ptr::null_mut()) };
}

/// Whether a call failed because a signal came.
pub(crate) fn is_interrupted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINTR)
}
