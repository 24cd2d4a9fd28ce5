//! Tasks as the engine moves them: a batch of items of one function, and the part of one that is somewhere.

use super::group::Group;
use super::life::{Course, Life, Place};
use crate::error::TaskError;
use crate::function::{Function, Held};
use crate::link::record::PIECE;
use crate::parcel::Parcel;
use crate::task::TaskId;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What a task ended with: the encoded value, or why there is none.
pub(crate) type Outcome = Result<Parcel, Box<TaskError>>;

/// What was asked for beside the function and the argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) limit: Limit,
    pub(crate) retries: u16,
}

impl Options {
    pub(crate) fn with_limit(self, limit: Duration) -> Options {
        Options { limit: Limit::new(limit), ..self }
    }

    pub(crate) fn with_retries(self, n: u32) -> Options {
        Options { retries: n.try_into().unwrap_or(u16::MAX), ..self }
    }
}

/// How long a task may run, in one word, as each queued task has it: nanoseconds; `u64::MAX` for no limit. What is longer
/// than 584 years is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(u64);

impl Limit {
    pub(crate) const NONE: Limit = Limit(u64::MAX);

    pub(crate) fn new(limit: Duration) -> Limit {
        u64::try_from(limit.as_nanos()).map_or(Limit::NONE, Limit)
    }

    #[inline]
    pub(crate) fn get(self) -> Option<Duration> {
        (self != Limit::NONE).then(|| Duration::from_nanos(self.0))
    }
}

/// Items that were submitted together: one task with a handle, or some of the inputs of a `map`.
///
/// It keeps the arguments until its last item is done: an item that has to go elsewhere is written anew from here, never
/// from a ring, which its worker may have scribbled on.
///
/// All but `done` and `course` is as it was made. See [`Life`] for these two.
pub(crate) struct Batch {
    /// The first item's number; the others' follow.
    pub(crate) id: u64,
    pub(crate) function: Arc<Function>,
    pub(crate) limit: Limit,
    pub(crate) count: u32,
    pub(crate) retries: u16,
    /// Descriptors go with the arguments: to close one may block.
    pub(crate) has_fds: bool,
    done: AtomicBool,
    /// It begins with the argument; with several items, each behind its length (`u32`, native order).
    course: Mutex<Course>,
    pub(crate) sink: Sink,
}

/// A million tasks may be queued. With the two counts of its `Arc` a batch is a block of 136 bytes, for which an allocator
/// takes 144; with 24 in the queue and 24 of the handle a task is below 200.
const _: () = assert!(size_of::<Batch>() + 2 * size_of::<usize>() <= 136, "a queued task is under 200 bytes");
const _: () = assert!(size_of::<Unit>() <= 24, "a queued task is under 200 bytes");

/// Who gets the outcomes.
pub(crate) enum Sink {
    /// The handle of the one item. What is here keeps the function's state in the workers.
    One(#[expect(dead_code, reason = "it is only kept")] Option<Arc<Held>>),
    /// A consumer of many, which keeps the state; the number is the first item's place in its input.
    Many(Arc<Group>, u64),
}

impl Batch {
    pub(crate) fn new(
        function: Arc<Function>,
        options: Options,
        count: u32,
        args: Parcel,
        sink: Sink,
    ) -> Arc<Batch> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(u64::from(count), Ordering::Relaxed);
        let has_fds = args.fds.is_some();
        let Options { limit, retries } = options;
        let (done, course) = (AtomicBool::new(false), Mutex::new(Course::new(args)));
        Arc::new(Batch { id, function, limit, count, retries, has_fds, done, course, sink })
    }

    pub(crate) fn task(&self, item: u32) -> TaskId {
        TaskId(self.id + u64::from(item))
    }

    /// The life of the one task that it is.
    #[inline]
    pub(crate) fn life(&self) -> Option<Life<'_>> {
        match &self.sink {
            Sink::One(_) => Some(self.whole()),
            Sink::Many(..) => None,
        }
    }

    /// The life of all of it, whatever it is.
    #[inline]
    fn whole(&self) -> Life<'_> {
        Life::new(&self.done, &self.course)
    }

    /// Calls `f` with the arguments; `f` may say where they were written.
    #[inline]
    pub(super) fn with_args<R>(&self, f: impl FnOnce(&Parcel) -> (R, Option<Place>)) -> R {
        self.whole().with_args(f)
    }

    /// The memory of the argument of a task whose value has come, if it is one task and not ended yet: nobody needs it any
    /// more.
    pub(super) fn take_spent(&self) -> Vec<u8> {
        if self.count == 1 && !self.has_fds { self.whole().take_args() } else { Vec::new() }
    }

    /// Ends a task that no worker ever had.
    pub(crate) fn fail(&self, why: TaskError) {
        if let Some((listener, _)) = self.life().and_then(|life| life.finish(Err(Box::new(why)))) {
            listener.tell();
        }
    }

    /// Whether nobody wants it any more: it ended in the queue, or its consumer is gone.
    pub(crate) fn is_over(&self) -> bool {
        match &self.sink {
            Sink::One(_) => self.whole().is_done(),
            Sink::Many(group, _) => group.is_over(),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("id", &self.id).field("count", &self.count).finish_non_exhaustive()
    }
}

/// Items of a batch that are together, in the queue or in a worker.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) batch: Arc<Batch>,
    pub(crate) from: u32,
    /// One behind the last.
    pub(crate) to: u32,
    /// Where the argument of `from` starts in the batch's bytes.
    at: u32,
    /// How often a worker died while it ran the item `from`.
    pub(crate) deaths: u32,
}

impl Unit {
    pub(crate) fn all_of(batch: Arc<Batch>) -> Unit {
        Unit { from: 0, to: batch.count, at: 0, deaths: 0, batch }
    }

    pub(crate) fn len(&self) -> u32 {
        self.to - self.from
    }

    /// Whether its argument is passed in pieces.
    #[inline]
    pub(super) fn is_long(&self) -> bool {
        !self.is_run() && self.batch.with_args(|args| (args.bytes.len() > PIECE, None))
    }

    /// Whether each argument has its length before it.
    pub(crate) fn is_run(&self) -> bool {
        self.batch.count > 1
    }

    /// The arguments as they are written, out of the batch's.
    #[inline]
    pub(super) fn bytes<'a>(&self, args: &'a Parcel) -> &'a [u8] {
        let all = &args.bytes[..];
        let end = if self.to == self.batch.count { all.len() } else { self.place_of(all, self.to) };
        &all[self.at as usize..end]
    }

    /// Cuts it in two before `item`, which is in it: this one keeps what comes before.
    pub(crate) fn split_off(&mut self, item: u32) -> Unit {
        let item = item.clamp(self.from, self.to);
        let deaths = if item == self.from { self.deaths } else { 0 };
        let at = self.batch.with_args(|args| (self.place_of(&args.bytes, item) as u32, None));
        let rest = Unit { batch: self.batch.clone(), from: item, to: self.to, at, deaths };
        self.to = item;
        rest
    }

    fn place_of(&self, all: &[u8], item: u32) -> usize {
        let mut at = self.at as usize;
        if !self.is_run() {
            return if item == self.from { at } else { all.len() };
        }
        for _ in self.from..item {
            let len = all[at..].first_chunk().map_or(0, |len| u32::from_ne_bytes(*len));
            at += 4 + len as usize;
        }
        at
    }

    /// How long it will take, as far as is known; in nanoseconds.
    pub(crate) fn estimate(&self) -> u64 {
        match self.batch.function.cost() {
            0 => UNKNOWN.saturating_mul(u64::from(self.len())),
            cost => cost.saturating_mul(u64::from(self.len())),
        }
    }
}

/// What a task counts for whose function was never measured, in nanoseconds.
const UNKNOWN: u64 = 100_000;
