//! Values as they come, in the order of the inputs or of their ends.

use crate::bytes::Bytes;
use crate::engine::{Arrival, Outcome};
use crate::error::TaskError;
use crate::feed::Feed;
use crate::parcel::Parcel;
use crate::pool::{Hook, Pool};
use crate::progress::Progress;
use crate::task::{Decode, finish};
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

/// Taking inputs for longer than this is slow.
const SLOW: Duration = Duration::from_micros(200);

/// How an input goes on its way; `false`: there is none.
pub(crate) type Take<I> = fn(&mut I, &mut Feed) -> bool;

/// The values of [`Pool::imap`](crate::Pool::imap), in the order of the inputs.
///
/// Inputs are taken a little ahead of the values, never more. An error is that item's alone: the iteration goes on.
/// Dropping it takes back what has not begun.
pub struct Imap<R, I> {
    source: Source<R, I>,
    /// What ended before its turn: the first is the next one's.
    early: VecDeque<Option<Outcome>>,
    ready: usize,
    next: u64,
}

/// The values of [`Pool::imap_unordered`](crate::Pool::imap_unordered), in the order in which the tasks end.
///
/// As [`Imap`] otherwise.
pub struct ImapUnordered<R, I> {
    source: Source<R, I>,
    ready: VecDeque<Outcome>,
}

struct Source<R, I> {
    inputs: Option<I>,
    take: Take<I>,
    decode: Decode<R>,
    feed: Feed,
    hook: Option<Hook>,
    done: u64,
    /// In a forked child: that it has said so.
    is_over: bool,
    /// Keeps the workers.
    pool: Pool,
}

impl<R, I> Source<R, I> {
    /// Takes inputs until so many are under way as there should be. An input that panics ends the inputs, and panics on.
    fn fill(&mut self, waiting: usize) {
        let Some(mut inputs) = self.inputs.take() else { return };
        let start = Instant::now();
        // While a value waits for its turn an input less is taken, but never none.
        while self.feed.open() + waiting < self.feed.window().max(waiting + 1) {
            if !(self.take)(&mut inputs, &mut self.feed) {
                self.feed.flush();
                return;
            }
            // A value that is there does not wait for slow inputs.
            if (waiting > 0 || self.feed.has_arrivals()) && start.elapsed() > SLOW {
                break;
            }
        }
        self.inputs = Some(inputs);
    }

    fn collect(&mut self, deadline: Option<Instant>) -> Vec<(u64, Outcome)> {
        let mut outcomes = Vec::new();
        for arrival in self.feed.collect(deadline) {
            match arrival {
                Arrival::One(place, outcome) => outcomes.push((place, outcome)),
                Arrival::Values(run) => {
                    let taken: Result<(), ()> = run.each(|place, value| {
                        outcomes.push((place, Ok(Parcel::new(Bytes::copy(value), Vec::new()))));
                        Ok(())
                    });
                    debug_assert!(taken.is_ok());
                }
            }
        }
        outcomes
    }

    /// In a forked child of the process that made it: the one error, and then the end. No lock is taken that may have been
    /// held at the fork.
    fn strange(&mut self) -> Option<Option<Result<R, TaskError>>> {
        let engine = self.pool.engine();
        if engine.is_ours() {
            return None;
        }
        let error = TaskError::Broken(engine.why_not());
        Some((!std::mem::replace(&mut self.is_over, true)).then_some(Err(error)))
    }

    fn give(&mut self, outcome: Outcome) -> Result<R, TaskError> {
        self.done += 1;
        if let Some(hook) = &self.hook {
            let total = self.inputs.is_none().then(|| self.feed.taken());
            hook(Progress { done: self.done, total });
        }
        finish(outcome, self.decode)
    }
}

impl<R, I> Imap<R, I> {
    pub(crate) fn new(pool: Pool, feed: Feed, inputs: I, take: Take<I>, decode: Decode<R>) -> Self {
        Imap { source: source(pool, feed, inputs, take, decode), early: VecDeque::new(), ready: 0, next: 0 }
    }

    /// The next value; `None` if it has not come in time. That is no end: the next call waits for the same value.
    /// `Some(None)` is the end, `Some(Some(..))` is what [`next`](Iterator::next) would have given.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Option<Result<R, TaskError>>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Option<Result<R, TaskError>>> {
        if let Some(strange) = self.source.strange() {
            return Some(strange);
        }
        loop {
            // First, as an input may panic: the value that is ready is then the next call's.
            self.source.fill(self.ready);
            if let Some(Some(_)) = self.early.front() {
                let outcome = self.early.pop_front().flatten()?;
                self.ready -= 1;
                self.next += 1;
                return Some(Some(self.source.give(outcome)));
            }
            if self.next >= self.source.feed.taken() {
                return Some(None);
            }
            let arrived = self.source.collect(deadline);
            if arrived.is_empty() {
                return None;
            }
            for (place, outcome) in arrived {
                let index = (place - self.next) as usize;
                if self.early.len() <= index {
                    self.early.resize_with(index + 1, || None);
                }
                self.early[index] = Some(outcome);
                self.ready += 1;
            }
        }
    }
}

impl<R, I> ImapUnordered<R, I> {
    pub(crate) fn new(pool: Pool, feed: Feed, inputs: I, take: Take<I>, decode: Decode<R>) -> Self {
        ImapUnordered { source: source(pool, feed, inputs, take, decode), ready: VecDeque::new() }
    }

    /// The next value; `None` if none has come in time. That is no end. `Some(None)` is the end.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Option<Result<R, TaskError>>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Option<Result<R, TaskError>>> {
        if let Some(strange) = self.source.strange() {
            return Some(strange);
        }
        self.source.fill(self.ready.len());
        if self.ready.is_empty() {
            if self.source.feed.open() == 0 {
                return Some(None);
            }
            let arrived = self.source.collect(deadline);
            self.ready.extend(arrived.into_iter().map(|(_, outcome)| outcome));
        }
        let outcome = self.ready.pop_front()?;
        Some(Some(self.source.give(outcome)))
    }
}

fn source<R, I>(pool: Pool, feed: Feed, inputs: I, take: Take<I>, decode: Decode<R>) -> Source<R, I> {
    let hook = pool.hook();
    Source { inputs: Some(inputs), take, decode, feed, hook, done: 0, is_over: false, pool }
}

impl<R, I: Iterator> Iterator for Imap<R, I> {
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).flatten()
    }
}

impl<R, I: Iterator> Iterator for ImapUnordered<R, I> {
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None).flatten()
    }
}

impl<R, I: Iterator> FusedIterator for Imap<R, I> {}
impl<R, I: Iterator> FusedIterator for ImapUnordered<R, I> {}

impl<R, I> fmt::Debug for Imap<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<R, I> fmt::Debug for ImapUnordered<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapUnordered").field("open", &self.source.feed.open()).finish_non_exhaustive()
    }
}
