//! Futexes shared between processes.

use std::ptr::null;
use std::sync::atomic::AtomicU32;

/// Sleeps while the word has this value, or until a wake or a signal, or for so many milliseconds if there is a limit.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, limit: Option<i64>) {
    let time = limit.map(|ms| libc::timespec { tv_sec: ms / 1_000, tv_nsec: ms % 1_000 * 1_000_000 });
    let time = time.as_ref().map_or(null(), std::ptr::from_ref);
    // SAFETY: the word and the time live through the call; no time is no limit.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, time) };
}

/// Wakes up to `count` that sleep on the word.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: the word lives through the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}
