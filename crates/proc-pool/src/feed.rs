//! Many tasks for one consumer: what `map`, `imap` and `imap_unordered` have in common.

use crate::bytes::Bytes;
use crate::engine::{Arrival, Batch, Engine, Group, Options, Sink, ahead};
use crate::error::TaskError;
use crate::function::{Candidate, Function};
use crate::parcel::{Parcel, same};
use proc_core::transfer;
use serde::Serialize;
use std::any::TypeId;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Inputs under way, by their place. Dropping it takes back those that have not begun.
///
/// Small tasks are put into batches by what one costs: a batch is about [`BATCH`] of a worker's time, whatever the number
/// of inputs. A batch that turns out to be long is no harm, as what has not begun of it is taken back for workers that
/// have nothing to do.
pub(crate) struct Feed {
    engine: Arc<Engine>,
    function: Arc<Function>,
    options: Options,
    group: Arc<Group>,
    chunk: Option<u32>,
    /// The most inputs that are taken ahead.
    most: usize,
    workers: usize,
    /// How many inputs make a batch now.
    batch: u32,
    window: usize,
    /// The place of the next input.
    next: u64,
    /// Inputs that were taken and whose outcomes have not arrived.
    open: usize,
    /// Of those, the ones that are not submitted yet, and their arguments.
    held: u32,
    args: Vec<u8>,
    held_since: Instant,
    /// The inputs come slowly: each is timed.
    slow: bool,
    /// Nothing is known of how many inputs there are: the next may be a long time coming.
    unsure: bool,
    /// The last input went alone.
    large: bool,
}

/// What a batch should take: some times what it costs to hand it over, and little beside the time of a whole map.
const BATCH: u64 = 100_000;

/// The most inputs in a batch, and the most bytes: a batch is written into the ring in one piece.
const MOST: u32 = 4096;
const MOST_BYTES: usize = 32 * 1024;

/// An argument of this size goes alone.
const ALONE: usize = 8 * 1024;

/// Inputs that are held longer than this are submitted, few as they are.
const HELD: Duration = Duration::from_micros(200);

/// Between looks at the clock.
const TIMED: u32 = 32;

impl Feed {
    pub(crate) fn new(
        engine: Arc<Engine>,
        f: Candidate,
        options: Options,
        chunk: Option<u32>,
        most: usize,
    ) -> Feed {
        let workers = engine.workers();
        let group = Group::new(f.held.clone());
        let function = engine.function(f);
        let most = engine.config().look_ahead.unwrap_or(most).max(1);
        let mut feed = Feed {
            engine,
            function,
            options,
            group,
            chunk,
            most,
            workers,
            batch: 1,
            window: 1,
            next: 0,
            open: 0,
            held: 0,
            args: Vec::new(),
            held_since: Instant::now(),
            slow: false,
            unsure: false,
            large: false,
        };
        feed.plan();
        feed
    }

    /// Learns how many inputs are left.
    pub(crate) fn hint(&mut self, (least, most): (usize, Option<usize>)) {
        let unsure = least == 0 && most.is_none();
        if unsure != self.unsure {
            self.unsure = unsure;
            self.plan();
        }
    }

    /// Plans anew: how many inputs make a batch, and how many are taken ahead of the outcomes.
    fn plan(&mut self) {
        self.batch = self.best_batch();
        let cost = self.function.cost();
        // As much as the workers are given; but what is small comes in large batches anyway, and what is large takes memory.
        let ahead =
            if self.large { 0 } else { ahead(cost).checked_div(cost).unwrap_or(0).min(1_000) as usize };
        let each = (self.batch as usize * 3).max(ahead).max(4);
        self.window = (each * self.workers + 4).min(self.most);
    }

    fn best_batch(&self) -> u32 {
        if let Some(chunk) = self.chunk {
            return chunk.min(MOST);
        }
        if self.unsure {
            return 1;
        }
        let fair = (self.most / (2 * self.workers)).max(1) as u32;
        match self.function.cost() {
            // Nothing is known: one each first, then a few.
            0 if self.next < 4 * self.workers as u64 => 1,
            0 => 4.min(fair),
            cost => u32::try_from(BATCH / cost).unwrap_or(MOST).clamp(1, MOST.min(fair)),
        }
    }

    /// How many inputs are taken ahead of the outcomes.
    #[inline]
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// How many inputs are under way.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Says whether the input that is added next took its time: then nothing is held for a full batch.
    pub(crate) fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
        if slow {
            self.flush();
        }
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        self.group.has_arrivals()
    }

    /// How many have been taken.
    pub(crate) fn taken(&self) -> u64 {
        self.next
    }

    /// Takes an input that is given away.
    #[inline]
    pub(crate) fn add<A: Serialize + 'static>(&mut self, arg: A) {
        if TypeId::of::<A>() == TypeId::of::<Vec<u8>>() {
            match same::<A, Vec<u8>>(arg) {
                Ok(bytes) if bytes.len() >= ALONE => {
                    self.flush();
                    self.count();
                    self.submit(1, self.next - 1, Parcel::new(bytes.into(), Vec::new()));
                }
                Ok(bytes) => self.add_ref(&bytes),
                Err(arg) => self.add_ref(&arg),
            }
            return;
        }
        self.add_ref(&arg);
    }

    /// Takes an input that is lent.
    #[inline]
    pub(crate) fn add_ref<A: Serialize + ?Sized + 'static>(&mut self, arg: &A) {
        let start = self.args.len();
        self.args.extend_from_slice(&[0; 4]);
        let mut fds = Vec::new();
        let packed = transfer::pack_into(arg, &mut self.args, &mut fds);
        self.count();
        let len = self.args.len() - start - 4;
        if packed.is_err() || len >= ALONE || !fds.is_empty() {
            return self.add_alone(start, packed.map_err(|e| e.to_string()), fds);
        }
        self.args[start..start + 4].copy_from_slice(&(len as u32).to_ne_bytes());
        self.held += 1;
        if self.slow {
            let now = Instant::now();
            self.slow = now.saturating_duration_since(self.held_since) > HELD / TIMED;
            self.held_since = now;
            self.flush();
        } else if self.held >= self.batch || self.args.len() >= MOST_BYTES {
            self.flush();
        } else if self.held == 1 {
            self.held_since = Instant::now();
        } else if self.held % TIMED == 0 {
            self.slow = self.held_since.elapsed() > HELD;
            if self.slow {
                self.flush();
            }
        }
    }

    /// An input that can't be one of several.
    #[cold]
    fn add_alone(&mut self, start: usize, packed: Result<(), String>, fds: Vec<OwnedFd>) {
        let arg = self.args.split_off((start + 4).min(self.args.len()));
        self.args.truncate(start);
        self.flush();
        let place = self.next - 1;
        match packed {
            Ok(()) => self.submit(1, place, Parcel::new(Bytes::from(arg), fds)),
            Err(why) => {
                let outcome = Err(Box::new(TaskError::Encode(why)));
                if let Some(signal) = self.group.add(Arrival::One(place, outcome)) {
                    signal.set();
                }
            }
        }
    }

    fn count(&mut self) {
        self.next += 1;
        self.open += 1;
    }

    /// Submits what is held.
    pub(crate) fn flush(&mut self) {
        let count = std::mem::take(&mut self.held);
        let args = match count {
            0 => return,
            1 => Bytes::copy(&self.args[4..]),
            // A fresh vector of the same size next time: batches are alike.
            _ => {
                let fresh = Vec::with_capacity(self.args.len() + self.args.len() / 8);
                Bytes::Long(std::mem::replace(&mut self.args, fresh))
            }
        };
        self.args.clear();
        self.submit(count, self.next - u64::from(count), Parcel::new(args, Vec::new()));
    }

    fn submit(&mut self, count: u32, first: u64, args: Parcel) {
        self.large = count == 1 && args.bytes.len() >= ALONE;
        let sink = Sink::Many(self.group.clone(), first);
        self.engine.submit(&Batch::new(self.function.clone(), self.options, count, args, sink));
        self.plan();
    }

    /// What has arrived since the last call; waits for something until the deadline.
    pub(crate) fn collect(&mut self, deadline: Option<Instant>) -> Vec<Arrival> {
        // While workers have enough, more inputs may be held for a full batch.
        if (self.open - self.held as usize) * 2 <= self.window() {
            self.flush();
        }
        let arrivals = self.engine.arrivals(&self.group, deadline);
        self.open -= arrivals.iter().map(Arrival::len).sum::<usize>();
        arrivals
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.open > 0 {
            self.engine.abandon(&self.group);
        }
    }
}
