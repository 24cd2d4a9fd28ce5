//! Buffers that a thread uses again and again.

use std::{cell::RefCell, os::fd::OwnedFd};

/// Where a message is encoded before it is sent, and received before it is decoded: private memory, so that the code of
/// its type runs neither under a lock nor on shared memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
    /// Uses in a row that needed little of it.
    small: u32,
}

thread_local! {
    /// Borrowed while it is in use: a message whose code sends another one gets a fresh buffer for that.
    static SPARE: RefCell<Scratch> = const { RefCell::new(Scratch { bytes: Vec::new(), fds: Vec::new(), small: 0 }) };
}

/// Fresh pages cost more than the copy into them (1.3 us for 4 KiB), so large buffers are kept for a while.
const LARGE: usize = 1 << 20;
const TOO_LARGE: usize = 64 << 20;
const PATIENCE: u32 = 64;

/// Runs `work` with the thread's buffer, empty.
#[inline]
pub(crate) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut work = Some(work);
    let usual = SPARE.try_with(|spare| {
        let mut scratch = spare.try_borrow_mut().ok()?;
        let tidy = Tidy(&mut scratch);
        Some(work.take()?(&mut *tidy.0))
    });
    match (usual, work) {
        (Ok(Some(result)), _) => result,
        // It is in use further up, or this is the end of the thread.
        (_, Some(work)) => work(&mut Scratch::default()),
        (_, None) => unreachable!("the work was done, and its result is there"),
    }
}

/// Leaves the buffer empty for the next use, though the code of a message panics: what it had encoded by then must not go
/// before another message.
struct Tidy<'a>(&'a mut Scratch);

impl Drop for Tidy<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.tidy();
    }
}

impl Scratch {
    #[inline]
    fn tidy(&mut self) {
        if self.bytes.capacity() > LARGE {
            self.shrink();
        }
        self.bytes.clear();
        self.fds.clear();
    }

    #[cold]
    fn shrink(&mut self) {
        let capacity = self.bytes.capacity();
        self.small = if self.bytes.len() < capacity / 8 { self.small + 1 } else { 0 };
        if self.small > PATIENCE || capacity > TOO_LARGE {
            self.bytes = Vec::new();
            self.small = 0;
        }
    }
}
