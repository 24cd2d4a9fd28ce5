//! Sleeping on a word in shared memory.

use std::time::Duration;

#[cfg(not(loom))]
use rustix::thread::futex;

use crate::sync::AtomicU32;

/// Sleeps while `word` is `value`, for at most `timeout`. It may wake for nothing.
#[cfg(not(loom))]
pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Duration) {
    let timeout = futex::Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // Every error is a reason to look again: another value, a signal, the time.
    let _ = futex::wait(word, futex::Flags::empty(), value, Some(&timeout));
}

/// Wakes all who sleep on `word`.
#[cfg(not(loom))]
pub(crate) fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}

/// Models have no system below them.
#[cfg(loom)]
pub(crate) fn wait(_: &AtomicU32, _: u32, _: Duration) {
    loom::thread::yield_now();
}

/// Models have no system below them.
#[cfg(loom)]
pub(crate) fn wake_all(_: &AtomicU32) {}
