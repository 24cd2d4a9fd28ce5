//! A word to sleep on until it changes.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    deadline::Slices,
    sync::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
    sys::futex,
};

/// A counter in shared memory on which processes sleep until it changes: what condition variables, semaphores and barriers
/// ring.
///
/// All zero bytes are one. Whoever is killed between [`ring`](Bell::ring) and [`wake_all`](Bell::wake_all) leaves sleepers
/// that have not heard: a sleeper looks again after 16 ms at first, and four times a second in the long run.
#[repr(C)]
pub struct Bell {
    /// Adds up, and wraps around.
    count: AtomicU32,
}

impl Bell {
    /// A bell of its own.
    #[cfg(not(loom))]
    pub const fn new() -> Bell {
        Bell { count: AtomicU32::new(0) }
    }

    /// A bell of its own.
    #[cfg(loom)]
    pub fn new() -> Bell {
        Bell { count: AtomicU32::new(0) }
    }

    /// What to sleep on: the count of now.
    #[inline]
    pub fn hear(&self) -> u32 {
        self.count.load(SeqCst)
    }

    /// Adds one. It wakes nobody yet.
    #[inline]
    pub fn ring(&self) {
        self.count.fetch_add(1, SeqCst);
    }

    /// Wakes all who sleep.
    #[inline]
    pub fn wake_all(&self) {
        futex::wake(&self.count, u32::MAX);
    }

    /// Wakes one who sleeps. That one may be killed then: the others look again after a quarter of a second.
    #[inline]
    pub fn wake_one(&self) {
        futex::wake(&self.count, 1);
    }

    /// Sleeps while the count is `heard`, until `deadline` if there is one. False: the time is up, and it still is.
    pub fn wait(&self, heard: u32, deadline: Option<Instant>) -> bool {
        let mut slices = Slices::new();
        while self.hear() == heard {
            let Some(slice) = slices.next(deadline) else { return false };
            futex::look_again(&self.count, heard, slice);
        }
        true
    }

    /// Sleeps once while the count is `heard`, for at most `slice`. It may also return for no reason.
    pub fn nap(&self, heard: u32, slice: Duration) {
        if self.count.load(Relaxed) == heard {
            futex::look_again(&self.count, heard, slice);
        }
    }
}

impl Default for Bell {
    fn default() -> Bell {
        Bell::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("count", &self.hear()).finish()
    }
}
