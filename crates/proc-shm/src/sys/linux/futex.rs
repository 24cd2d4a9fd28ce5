//! Sleeping on a word in memory that several processes map.

use std::{sync::atomic::AtomicU32, time::Duration};

use rustix::{
    thread::futex::{self, Flags},
    time::Timespec,
};

/// Sleeps while `word` is `expected`, at most for `timeout`. It may also return for no reason (a signal, a stray wake):
/// the caller looks at the word and at its clock. The clock is CLOCK_MONOTONIC.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
    // EINTR, EAGAIN and ETIMEDOUT all mean: look again. Others can't be: the word is mapped and aligned.
    let _ = futex::wait(word, Flags::empty(), expected, timeout.as_ref());
}

/// [`wait`] of somebody who looks after each slice whether others live.
pub(crate) fn look_again(word: &AtomicU32, expected: u32, slice: Duration) {
    wait(word, expected, Some(slice));
}

/// Wakes at most `count` sleepers, and says how many there were.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
    // The kernel counts in an `int`.
    futex::wake(word, Flags::empty(), count.min(i32::MAX as u32)).unwrap_or(0)
}

/// Lets others run for a while.
pub(crate) fn nap(time: Duration) {
    std::thread::sleep(time);
}
