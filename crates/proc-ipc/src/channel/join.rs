//! Counting what is done.

use std::time::{Duration, Instant};

use super::{
    core::Core,
    layout::{COUNT, Place},
};
use crate::{
    sync::{Acquire, Relaxed, SeqCst},
    sys::futex,
};

/// The longest sleep without a look: whoever did the last task may be killed before it wakes us.
const SLICE: Duration = Duration::from_millis(100);

impl Core {
    /// Messages in the channel; none in a forked child that does not have it.
    pub(super) fn len(&self) -> usize {
        if self.store.check().is_err() {
            return 0;
        }
        let (tail, head) = self.places();
        tail.messages_from(head) as usize
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.limits.messages < COUNT - 1).then_some(self.limits.messages as usize)
    }

    pub(super) fn capacity_bytes(&self) -> Option<usize> {
        (self.limits.bytes < self.store.most_bytes()).then_some(self.limits.bytes as usize)
    }

    /// Messages sent and not done. The first number is exact: it commits with the messages themselves.
    fn unfinished(&self) -> u64 {
        let header = self.store.header();
        let done = header.rare.done.load(SeqCst);
        Place(header.tail.load(Acquire)).count().wrapping_sub(done) & COUNT
    }

    /// One more is done; false if there was none to do.
    pub(super) fn task_done(&self) -> bool {
        let header = self.store.header();
        let counted = header.rare.done.fetch_update(SeqCst, Relaxed, |done| {
            let sent = Place(header.tail.load(Acquire)).count();
            (sent.wrapping_sub(done) & COUNT != 0).then_some(done.wrapping_add(1))
        });
        if counted.is_ok() && self.unfinished() == 0 {
            header.rare.joiners.fetch_add(1, SeqCst);
            futex::wake_all(&header.rare.joiners);
        }
        counted.is_ok()
    }

    /// Waits until all is done; false at the deadline.
    pub(super) fn join(&self, deadline: Option<Instant>) -> bool {
        let joiners = &self.store.header().rare.joiners;
        loop {
            let seen = joiners.load(SeqCst);
            if self.unfinished() == 0 {
                return true;
            }
            let left = deadline.map(|t| t.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            futex::wait(joiners, seen, left.map_or(SLICE, |left| left.min(SLICE)));
        }
    }
}
