//! A worker as the engine sees it: what was written to it, how far it is, why it is to end.
//!
//! Everything here is the parent's private memory. Of what the worker says only that counts which fits to it: results come
//! in the order in which entries were written and items follow each other, so there is exactly one result that may come
//! next.

use super::batch::Unit;
use super::life::Place;
use crate::error::TaskError;
use crate::link::record::{self, Head, PIECE};
use crate::link::slots::{Recall, SLOTS, Word};
use crate::link::{Gone, Link, Sent};
use crate::parcel::Parcel;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a worker is.
///
/// | stage | leaves it to |
/// |---|---|
/// | `Vacant` | `Starting` by the starter, if the seat is wanted |
/// | `Starting` | `Booting` with a process, `Vacant` without |
/// | `Booting` | `Up` by the worker's word; `Dying` |
/// | `Up` | `Ending` by a close, a resize or a limit; `Dying` |
/// | `Ending` | `Vacant` by its end; `Dying` when it takes too long |
/// | `Dying` | `Vacant` by its end |
///
/// `Booting`, `Up` and `Ending` are left for `Vacant` by the worker's own end too, whenever that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Vacant,
    Starting,
    Booting,
    Up,
    Ending(Instant),
    Dying,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) index: u16,
    pub(super) stage: Stage,
    /// Its worker has said that its initializer has run.
    pub(super) came_up: bool,
    pub(super) link: Option<Link>,
    /// What was written and is not done, in the order of writing.
    pub(super) open: VecDeque<Open>,
    slots: FreeSlots,
    /// A long argument, or a state, of which a part is not written yet.
    outgoing: Option<Outgoing>,
    /// How long what is open will take, as far as is known; in nanoseconds.
    pub(super) backlog: u64,
    /// Items written to this worker and not taken back, and those that it has done.
    pub(super) given: u64,
    pub(super) done: u64,
    /// When it last had something to begin with, or sent a result.
    pub(super) moved: Instant,
    /// It is not wanted any more, and was ended before it came up.
    pub(super) dismissed: bool,
    /// What it sent made no sense, so that not all of it was taken in.
    pub(super) spoilt: bool,
    /// Who ended it, if it was us: what its running task ends with.
    pub(super) cause: Option<TaskError>,
    /// The task that it was ended for, if it was us.
    pub(super) struck: Option<u64>,
    /// The running item whose time limit is watched, and since when.
    pub(super) watched: Option<(u64, Instant)>,
    /// When a worker that was asked to end its task is killed.
    pub(super) kill_at: Option<Instant>,
    /// Items that were done when its memory was last looked at.
    pub(super) measured: u64,
    /// When it last had nothing to do; the least idle are used first, as they may not be asleep yet.
    pub(super) idle_since: u64,
    pub(super) totals: Totals,
}

/// Over all workers that sat here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) tasks: u64,
    pub(super) starts: u64,
    pub(super) deaths: u64,
}

/// An entry in a worker.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) unit: Unit,
    pub(super) slot: u16,
    pub(super) generation: u32,
    /// The item whose result comes next.
    pub(super) next: u32,
    estimate: u64,
}

impl Open {
    /// The first item that has certainly not begun, by the word of a worker that has ended. Of one whose results could be
    /// read to their end, only the next item may have. Anything odd counts as begun, so that nothing is ever run twice.
    fn begun(&self, word: Word, spoilt: bool) -> u32 {
        let (first, next, end) = (self.unit.from, self.next, self.unit.to);
        let not_begun = next == first && word.is_queued(self.generation, next);
        let between = next > first && word.running(self.generation) == Some(next - 1);
        if not_begun || between {
            return next;
        }
        if !spoilt {
            return (next + 1).min(end);
        }
        // Results are lost, so it may be further than is known here.
        match word.at(self.generation) {
            Some(item) if (next..end).contains(&item) => item + 1,
            _ => end,
        }
    }
}

/// What is passed in pieces, as the ring has room.
#[derive(Debug)]
struct Outgoing {
    bytes: Source,
    at: usize,
}

#[derive(Debug)]
enum Source {
    Argument(Arc<super::batch::Batch>),
    State(Arc<crate::function::State>),
}

impl Source {
    fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Source::Argument(batch) => batch.with_args(|args| (f(&args.bytes), None)),
            Source::State(state) => f(state.recipe.as_ref().map_or(&[], |recipe| &recipe.bytes)),
        }
    }
}

/// The most workers of a pool: a queued task has two bytes for the seat that it is in.
pub(crate) const MOST_WORKERS: usize = 1 << 16;

/// How long a worker that closed its rings may take to end.
const LINGER: Duration = Duration::from_millis(500);

/// Slots that are not in use, and how often each was. A slot's generation never comes back within the life of a ring's
/// record: there are 2^32 of them, less one, as none is 0.
#[derive(Debug)]
struct FreeSlots {
    free: Vec<u16>,
    generations: Vec<u32>,
}

impl FreeSlots {
    fn new() -> FreeSlots {
        FreeSlots { free: (0..SLOTS as u16).rev().collect(), generations: vec![0; SLOTS] }
    }

    fn next_generation(&self, slot: u16) -> NonZeroU32 {
        NonZeroU32::new(self.generations[usize::from(slot)].wrapping_add(1)).unwrap_or(NonZeroU32::MIN)
    }
}

/// What became of an attempt to write a unit.
#[derive(Debug)]
pub(super) enum Given {
    Yes,
    /// There is no room now.
    Full(Unit),
    /// It can't be written to any worker.
    Refused(Unit, TaskError),
    /// The worker is gone, which its pidfd will say.
    Gone(Unit),
}

/// What was written of a unit.
enum Written {
    Whole,
    /// Its argument follows in pieces.
    Announced,
    Full,
    Refused(String),
}

impl Seat {
    pub(super) fn new(index: u16) -> Seat {
        Seat {
            index,
            stage: Stage::Vacant,
            came_up: false,
            link: None,
            open: VecDeque::new(),
            slots: FreeSlots::new(),
            outgoing: None,
            backlog: 0,
            given: 0,
            done: 0,
            moved: Instant::now(),
            dismissed: false,
            spoilt: false,
            cause: None,
            struck: None,
            watched: None,
            kill_at: None,
            measured: 0,
            idle_since: 0,
            totals: Totals::default(),
        }
    }

    /// A new worker sits down.
    pub(super) fn seat(&mut self, link: Link) {
        let totals = self.totals;
        *self = Seat::new(self.index);
        self.totals = Totals { starts: totals.starts + 1, ..totals };
        self.link = Some(link);
        self.stage = Stage::Booting;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Up && self.open.is_empty() && self.outgoing.is_none()
    }

    /// Whether anything may be written to it now.
    pub(super) fn takes_more(&self) -> bool {
        self.stage == Stage::Up && self.outgoing.is_none() && !self.slots.free.is_empty()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether something is to be written as soon as there is room for it.
    pub(super) fn has_to_write(&self) -> bool {
        self.outgoing.is_some() || self.link.as_ref().is_some_and(Link::owes)
    }

    pub(super) fn has_process(&self) -> bool {
        self.link.is_some()
    }

    /// Writes a unit, and wakes the worker if it sleeps.
    pub(super) fn give(&mut self, unit: Unit) -> Given {
        let Some(slot) = self.slots.free.last().copied() else { return Given::Full(unit) };
        let generation = self.slots.next_generation(slot);
        let long = match self.write(&unit, slot, generation) {
            Ok(Written::Whole) => false,
            Ok(Written::Announced) => true,
            Ok(Written::Full) => return Given::Full(unit),
            Ok(Written::Refused(why)) => return Given::Refused(unit, TaskError::Encode(why)),
            Err(Gone) => {
                // Its pidfd says so, or will: it may only have spoilt its memory.
                self.condemn();
                return Given::Gone(unit);
            }
        };
        self.slots.free.pop();
        self.slots.generations[usize::from(slot)] = generation.get();
        if self.open.is_empty() {
            self.moved = Instant::now();
        }
        if long {
            self.outgoing = Some(Outgoing { bytes: Source::Argument(unit.batch.clone()), at: 0 });
        }
        let generation = generation.get();
        let estimate = unit.estimate();
        self.backlog += estimate;
        self.given += u64::from(unit.len());
        self.open.push_back(Open { next: unit.from, unit, slot, generation, estimate });
        if long {
            self.pump();
        }
        Given::Yes
    }

    /// Writes what the worker must know, and the entry.
    fn write(&mut self, unit: &Unit, slot: u16, generation: NonZeroU32) -> Result<Written, Gone> {
        let link = self.link.as_mut().ok_or(Gone)?;
        match link.teach(&unit.batch.function)? {
            Sent::Yes => {}
            Sent::Full => return Ok(Written::Full),
            Sent::Partly(state) => {
                self.outgoing = Some(Outgoing { bytes: Source::State(state), at: 0 });
                self.pump();
                return Ok(Written::Full);
            }
            Sent::Refused(why) => return Ok(Written::Refused(why)),
        }
        let place = Place { seat: self.index, slot, generation };
        let idle = self.open.is_empty();
        unit.batch.with_args(|args| {
            let written = write(link, unit, args, place, idle);
            let place = matches!(written, Ok(Written::Whole | Written::Announced)).then_some(place);
            (written, place)
        })
    }

    /// Writes on at what is passed in pieces.
    pub(super) fn pump(&mut self) {
        let Some(link) = &mut self.link else { return };
        while let Some(out) = &mut self.outgoing {
            let at = out.at;
            let next = out.bytes.with(|all| {
                let end = all.len().min(at + PIECE);
                if at >= end {
                    return Ok(None);
                }
                let sent = link.send(Head::of(record::PART), &all[at..end], &[])?;
                Ok(Some(matches!(sent, Sent::Yes).then_some(end)))
            });
            match next {
                Ok(None) => self.outgoing = None,
                Ok(Some(None)) => return,
                Ok(Some(Some(end))) => out.at = end,
                // It may live on: only its memory is spoilt. But it will never have the rest.
                Err(Gone) => return self.condemn(),
            }
        }
        // Not between the pieces of a state: the worker would not know it yet.
        if link.pay().is_err() {
            self.condemn();
        }
    }

    /// Has the worker drop a state and its functions, now or as soon as it can be told.
    pub(super) fn forget(&mut self, state: u64, functions: &[u32]) {
        if let Some(link) = &mut self.link {
            link.forget(state, functions);
            self.pump();
        }
    }

    /// Ends the worker at once: what comes next is its death.
    pub(super) fn condemn(&mut self) {
        self.stage = Stage::Dying;
        if let Some(link) = &self.link {
            link.kill();
        }
    }

    /// Nothing more is given to the worker, which is killed if it does not end soon.
    pub(super) fn expire(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Booting | Stage::Up) {
            self.stage = Stage::Dying;
            self.kill_at = now.checked_add(LINGER);
        }
    }

    /// Whether the argument of its only entry is on its way: the worker can't have a result of it yet.
    #[inline]
    fn is_sending_argument(&self) -> bool {
        matches!(&self.outgoing, Some(Outgoing { bytes: Source::Argument(_), .. }))
    }

    /// Whether an item is still to be run here.
    pub(super) fn is_due(&self, head: &Head) -> bool {
        self.open.iter().any(|open| {
            open.slot == head.slot && open.generation == head.generation && open.unit.to > head.item
        })
    }

    /// Whether the result that came may come now. A state that is on its way does not concern the entries before it.
    #[inline]
    pub(super) fn expects(&self, head: &Head) -> bool {
        self.open.front().is_some_and(|open| {
            open.slot == head.slot
                && open.generation == head.generation
                && open.next == head.item
                && !self.is_sending_argument()
        })
    }

    /// Whether this item's task was killed by its handle, which was told so: a result that comes all the same is none.
    #[inline]
    pub(super) fn has_struck(&self, item: u32) -> bool {
        self.struck.is_some() && self.was_killed(item)
    }

    #[cold]
    fn was_killed(&self, item: u32) -> bool {
        let id = self.open.front().map(|open| open.unit.batch.id + u64::from(item));
        id == self.struck && self.cause == Some(TaskError::Cancelled)
    }

    /// The item whose result was expected is done; the unit, if it was its last.
    #[inline]
    pub(super) fn step(&mut self) -> Option<Open> {
        self.done += 1;
        self.totals.tasks += 1;
        let front = self.open.front_mut()?;
        front.next += 1;
        if front.next < front.unit.to {
            return None;
        }
        self.close(0)
    }

    /// Takes back what the worker has left out of its first entry, if that is what comes next.
    pub(super) fn give_back(&mut self, head: &Head) -> Option<Unit> {
        if !self.expects(head) {
            return None;
        }
        let open = self.close(0)?;
        let mut unit = open.unit;
        let unit = unit.split_off(open.next);
        self.given -= u64::from(unit.len());
        if let Some(life) = unit.batch.life() {
            life.set_place(None);
        }
        Some(unit)
    }

    /// Takes an entry out of the table.
    fn close(&mut self, index: usize) -> Option<Open> {
        let open = self.open.remove(index)?;
        self.backlog = self.backlog.saturating_sub(open.estimate);
        self.slots.free.push(open.slot);
        Some(open)
    }

    /// Takes back what has not begun of one entry, if that is exactly known. The swap decides, in a worker that is to
    /// die too.
    pub(super) fn recall(&mut self, index: usize) -> Option<Unit> {
        let link = self.link.as_ref()?;
        let open = &mut self.open[index];
        if open.next != open.unit.from && open.next + 1 >= open.unit.to {
            return None;
        }
        match link.slots().recall(open.slot, open.generation, open.unit.from, open.unit.to) {
            Recall::Whole if open.next == open.unit.from => {
                self.given -= u64::from(open.unit.len());
                // The rest of an argument that was on its way is not wanted: the worker leaves out what came of it.
                if self.is_sending_argument() {
                    self.outgoing = None;
                }
                let unit = self.close(index)?.unit;
                if let Some(life) = unit.batch.life() {
                    life.set_place(None);
                }
                Some(unit)
            }
            // Further than what has arrived, and no further than the entry: else it is nonsense, and nothing is taken.
            Recall::Behind(item) if (open.next.saturating_sub(1)..open.unit.to).contains(&item) => {
                let rest = open.unit.split_off((item + 1).max(open.next));
                let taken = rest.estimate().min(open.estimate);
                open.estimate -= taken;
                self.backlog = self.backlog.saturating_sub(taken);
                self.given -= u64::from(rest.len());
                if open.next >= open.unit.to {
                    // The result of its last item has arrived already.
                    let _ = self.close(index);
                }
                (rest.len() > 0).then_some(rest)
            }
            _ => None,
        }
    }

    /// Takes back all that has not begun, in its order.
    pub(super) fn recall_all(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        for index in (0..self.open.len()).rev() {
            units.extend(self.recall(index));
        }
        units.reverse();
        units
    }

    /// The item that the worker says it runs, if that can be.
    pub(super) fn running(&self) -> Option<(&Open, u32)> {
        let (link, front) = (self.link.as_ref()?, self.open.front()?);
        let item = link.slots().look(front.slot).at(front.generation)?;
        // The results before it may not have been collected.
        (front.next..front.unit.to).contains(&item).then_some((front, item))
    }

    /// Whether the worker says that it runs this entry's item. Unlike [`running`](Self::running), for entries that have
    /// uncollected ones before them.
    pub(super) fn is_running(&self, slot: u16, generation: u32) -> bool {
        let Some(link) = &self.link else { return false };
        link.slots().look(slot).at(generation).is_some()
    }

    /// The time limit of what comes next.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.open.front().and_then(|open| open.unit.batch.limit.get())
    }

    /// Its worker has ended, and all results that it sent were taken in: the item that was with it, and what goes on
    /// elsewhere. The seat is vacant.
    pub(super) fn bury(&mut self) -> Buried {
        let mut guilty = Vec::new();
        let mut others = Vec::new();
        let spoilt = self.spoilt;
        for (index, mut open) in std::mem::take(&mut self.open).into_iter().enumerate() {
            let begun = match &self.link {
                Some(link) if index == 0 || spoilt => open.begun(link.slots().look(open.slot), spoilt),
                // What lies behind the first that is not done has not begun: its result would have come.
                _ => open.next,
            };
            let mut unit = open.unit.split_off(open.next);
            let rest = unit.split_off(begun);
            while unit.len() > 0 {
                let behind = unit.split_off(unit.from + 1);
                guilty.push(std::mem::replace(&mut unit, behind));
            }
            if rest.len() > 0 {
                others.push(rest);
            }
        }
        for unit in &others {
            if let Some(life) = unit.batch.life() {
                life.set_place(None);
            }
        }
        let (cause, totals) = (self.cause.take(), self.totals);
        let link = self.link.take();
        *self = Seat::new(self.index);
        self.totals = Totals { deaths: totals.deaths + 1, ..totals };
        Buried { guilty, others, cause, link }
    }
}

/// Writes the entry.
fn write(link: &mut Link, unit: &Unit, args: &Parcel, place: Place, idle: bool) -> Result<Written, Gone> {
    let bytes = unit.bytes(args);
    let long = bytes.len() > PIECE;
    if long && !idle {
        return Ok(Written::Full);
    }
    let (slot, generation) = (place.slot, place.generation.get());
    let head = Head {
        kind: if long { record::LONG } else { record::ENTRY },
        is_run: unit.is_run(),
        slot,
        generation,
        item: unit.from,
        count: unit.len(),
        function: unit.batch.function.id,
    };
    link.slots().queue(slot, generation, unit.from);
    let length = (bytes.len() as u64).to_ne_bytes();
    let body = if long { &length[..] } else { bytes };
    let fds = args.fds.as_deref().map_or(&[][..], |fds| &fds[..]);
    Ok(match link.send(head, body, fds)? {
        Sent::Yes if long => Written::Announced,
        Sent::Yes => Written::Whole,
        // What the kernel carries already may be in the way; if nothing is under way, it is the argument itself.
        Sent::Refused(why) if idle => Written::Refused(why),
        _ => Written::Full,
    })
}

/// What is left of a worker.
#[derive(Debug)]
pub(super) struct Buried {
    /// One item each.
    pub(super) guilty: Vec<Unit>,
    pub(super) others: Vec<Unit>,
    pub(super) cause: Option<TaskError>,
    pub(super) link: Option<Link>,
}
