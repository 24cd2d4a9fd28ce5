//! An end of a ring that the threads of a process share.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use crate::typed::Until;

/// One thread has the end at a time: for the moment of a copy, or for as long as it waits.
#[derive(Debug)]
pub(super) struct Shared<E> {
    end: Mutex<E>,
    /// | | meaning | changed by |
    /// |---|---|---|
    /// | false | whoever has the end has it for a moment | whoever got it; who had it for long, before giving it back |
    /// | true | it waits for its peer, or is armed | whoever has it |
    ///
    /// A hint for those who may not wait. It orders nothing: the lock does.
    for_long: AtomicBool,
}

/// Longer than any copy: an end that is not free by then is in the hands of a thread that does not run.
const MOMENT: Duration = Duration::from_millis(20);

impl<E> Shared<E> {
    pub(super) fn new(end: E) -> Shared<E> {
        Shared { end: Mutex::new(end), for_long: AtomicBool::new(false) }
    }

    /// The end; `None` if another thread has it until then. Who may not wait gets it too when that other is only in the
    /// middle of a copy: it must not be told that there is no message, or no room.
    #[inline]
    pub(super) fn lock(&self, until: Until) -> Option<MutexGuard<'_, E>> {
        let end = match until {
            Until::Now => self.end.try_lock().or_else(|| self.lock_in_a_moment())?,
            Until::Time(None) => self.end.lock(),
            Until::Time(Some(deadline)) => self.end.try_lock_until(deadline)?,
        };
        if self.for_long.load(Relaxed) {
            self.for_long.store(false, Relaxed);
        }
        Some(end)
    }

    #[cold]
    fn lock_in_a_moment(&self) -> Option<MutexGuard<'_, E>> {
        let moment = Instant::now() + MOMENT;
        while !self.for_long.load(Relaxed) && Instant::now() < moment {
            if let Some(end) = self.end.try_lock_for(Duration::from_micros(100)) {
                return Some(end);
            }
        }
        None
    }

    /// Says, by the thread that has the end, that this may last.
    pub(super) fn keep(&self) {
        self.for_long.store(true, Relaxed);
    }

    /// [`keep`](Shared::keep) while `work` runs.
    pub(super) fn keep_for<R>(&self, work: impl FnOnce() -> R) -> R {
        self.keep();
        let result = work();
        self.for_long.store(false, Relaxed);
        result
    }
}
