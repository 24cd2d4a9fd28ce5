//! Who gets what: the queue, the seats, and how work is spread over them.

use super::batch::{Batch, Outcome, Sink, Unit};
use super::group::{Arrival, Group, Run};
use super::life::Listener;
use super::seat::{Seat, Stage};
use super::signal::Signal;
use super::spares::Spares;
use crate::bytes::{Bytes, LARGE};
use crate::error::TaskError;
use crate::function::Function;
use crate::hook::Hooks;
use crate::link::Link;
use crate::link::record::{self, Bare, Head};
use crate::parcel::Parcel;
use crate::worker::answer::Answer;
use proc_ipc::ring;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A worker from which nothing came for so long is taken to be stuck in a long task.
pub(super) const STALLED: Duration = Duration::from_micros(500);

/// What the engine knows, under one lock. It is held for short computations and copies; never while anything is waited
/// for, and never while code of the user runs.
pub(super) struct Core {
    pub(super) phase: Phase,
    pub(super) queue: VecDeque<Unit>,
    pub(super) seats: Vec<Seat>,
    /// How many seats there should be.
    pub(super) wanted: usize,
    /// Workers in a row that ended in their initializer, or with something to do and nothing done; no task was done in
    /// between.
    pub(super) crashes: u32,
    /// Receiving ends of new workers, for the collector.
    pub(super) new_ears: Vec<(usize, ring::Receiver)>,
    /// Threads that wait and do not collect.
    pub(super) parked: Vec<Arc<Signal>>,
    /// Tasks whose end is told to somebody who does not wait in a thread.
    pub(super) listening: usize,
    /// Counts looks at the rings, so that the pool's own thread sees whether anybody else looks.
    pub(super) looks: u64,
    /// Counts threads that came to wait.
    pub(super) waits: u64,
    pub(super) starting: bool,
    /// When a thread that starts workers is asked for again, as there was none to be had.
    pub(super) start_again: Option<Instant>,
    pub(super) thread: ThreadIs,
    /// Whoever sleeps with the role will soon look whether something should be moved to a worker with nothing to do.
    pub(super) watchful: bool,
    /// When something came last.
    pub(super) active: Instant,
    /// The first worker has come up: from now on seats without one get one.
    pub(super) born: bool,
    /// Why a worker did not come up, lately.
    pub(super) boot_failure: Option<BootFailure>,
    /// Threads that wait for the end.
    pub(super) enders: Vec<Arc<Signal>>,
    /// Workers that have ended, to be dropped when the lock is free.
    pub(super) dead: Vec<Link>,
    /// What workers call first and last. Empty once no worker will come: what is in the arguments is closed then.
    pub(super) hooks: Hooks,
    pub(super) max_tasks: Option<u64>,
    pub(super) max_memory: Option<u64>,
    pub(super) last: usize,
    idle_count: u64,
    /// Whom to tell once the lock is free.
    pub(super) told: Vec<Told>,
    run: Option<(Arc<Group>, Run)>,
    pub(super) spares: Spares,
}

/// What the pool's own thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadIs {
    /// It looks in every millisecond, and collects if nobody else does.
    Dozing,
    /// It dozes for longer, as a thread sleeps with the role and has nothing to do for now.
    Resting,
    /// It sleeps until a worker ends or it is called: nothing is open.
    Asleep,
    Collecting,
    Gone,
}

/// How far a pool is.
///
/// | phase | leaves it to |
/// |---|---|
/// | `Open` | `Closed` by close; `Broken` by a crash loop; `Ended` |
/// | `Closed` | `Broken`; `Ended` by terminate |
/// | `Broken` | `Ended` |
/// | `Ended` | never |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Closed,
    Broken(String),
    Ended,
}

/// Why a worker did not come up.
#[derive(Clone, Debug, Default)]
pub(super) struct BootFailure {
    pub(super) why: String,
    /// It ended by itself or was killed, where others say what is wrong.
    pub(super) died: bool,
}

/// What is done once the lock is free.
pub(super) enum Told {
    Listener(Listener),
    Signal(Arc<Signal>),
    /// It may hold descriptors, whose closing may block.
    Drop(Unit),
    DropArgs(Box<Parcel>),
    /// Its state's descriptors may go with it.
    DropFunction(#[expect(dead_code, reason = "it is only dropped")] Arc<Function>),
    /// Their arguments, which are the user's, go with it.
    DropHooks(#[expect(dead_code, reason = "it is only dropped")] Hooks),
    DropLink(#[expect(dead_code, reason = "it is only dropped")] Box<Link>),
}

impl Told {
    /// Whether telling it may run code of the user, or block: it is not for whoever has the collector's role.
    fn is_foreign(&self) -> bool {
        match self {
            Told::Listener(listener) => listener.is_foreign(),
            Told::Signal(_) => false,
            Told::Drop(unit) => unit.batch.has_fds,
            Told::DropArgs(args) => args.fds.is_some(),
            Told::DropFunction(_) | Told::DropHooks(_) | Told::DropLink(_) => true,
        }
    }

    /// Tells what is ours; what is not comes back.
    pub(super) fn ours(told: Vec<Told>) -> Vec<Told> {
        if !told.iter().any(Told::is_foreign) {
            Told::all(told);
            return Vec::new();
        }
        let (foreign, ours) = told.into_iter().partition(Told::is_foreign);
        Told::all(ours);
        foreign
    }

    pub(super) fn all(told: Vec<Told>) {
        for one in told {
            match one {
                Told::Listener(listener) => listener.tell(),
                Told::Signal(signal) => signal.set(),
                Told::Drop(_)
                | Told::DropArgs(_)
                | Told::DropFunction(_)
                | Told::DropHooks(_)
                | Told::DropLink(_) => {}
            }
        }
    }
}

/// A long value, which is a worker's next record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming {
    head: Head,
    bare: Bare,
}

impl Coming {
    /// How long the worker says it will be.
    pub(super) fn len(&self) -> usize {
        self.bare.len()
    }
}

/// What came from a worker makes no sense.
#[derive(Debug)]
pub(super) struct Nonsense;

impl Core {
    pub(super) fn new(wanted: usize, max_tasks: Option<u64>, max_memory: Option<u64>, hooks: Hooks) -> Core {
        Core {
            phase: Phase::Open,
            queue: VecDeque::new(),
            seats: Vec::new(),
            wanted,
            crashes: 0,
            new_ears: Vec::new(),
            parked: Vec::new(),
            listening: 0,
            looks: 0,
            waits: 0,
            starting: false,
            start_again: None,
            thread: ThreadIs::Dozing,
            watchful: false,
            active: Instant::now(),
            born: false,
            boot_failure: None,
            enders: Vec::new(),
            dead: Vec::new(),
            max_tasks,
            max_memory,
            last: 0,
            idle_count: 0,
            told: Vec::new(),
            run: None,
            spares: Spares::default(),
            hooks,
        }
    }

    /// Whom to tell; to be called before the lock is given back.
    #[must_use]
    pub(super) fn told(&mut self) -> Vec<Told> {
        self.flush_run();
        self.told.extend(self.dead.drain(..).map(Box::new).map(Told::DropLink));
        std::mem::take(&mut self.told)
    }

    pub(super) fn has_told(&self) -> bool {
        !self.told.is_empty() || self.run.is_some() || !self.dead.is_empty()
    }

    /// Whether anything is under way that a result, a death or a deadline will follow.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
            || self.start_again.is_some()
            || self
                .seats
                .iter()
                .any(|seat| !seat.open.is_empty() || !matches!(seat.stage, Stage::Up | Stage::Vacant))
    }

    /// Whether the pool's own thread dozes for so long that it has to be called; it is taken to be called then.
    pub(super) fn rouse(&mut self) -> bool {
        let rests = self.thread == ThreadIs::Resting;
        if rests {
            self.thread = ThreadIs::Dozing;
        }
        rests
    }

    // ------------------------------------------------------------ what comes back

    /// Takes a worker's record in; what it says of the next one, if that is a long value.
    #[inline]
    pub(super) fn record(
        &mut self,
        index: usize,
        value: &mut Vec<u8>,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Coming>, Nonsense> {
        let head = Head::strip(value).ok_or(Nonsense)?;
        match head.kind {
            record::VALUE => self.value(index, &head, value, fds)?,
            record::LONG_VALUE if self.seats[index].expects(&head) => {
                return Ok(Some(Coming { head, bare: Bare::parse(value).ok_or(Nonsense)? }));
            }
            _ => self.other(index, &head, value)?,
        }
        Ok(None)
    }

    /// Takes in the record behind an announcement.
    pub(super) fn coming(
        &mut self,
        index: usize,
        coming: Coming,
        mut value: Vec<u8>,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Coming>, Nonsense> {
        if !coming.bare.is(&value) {
            // It could not be sent, and this says why.
            return self.record(index, &mut value, fds);
        }
        if self.expected(index, &coming.head)? {
            self.outcome(index, Ok(Parcel::new(value.into(), fds)));
        }
        Ok(None)
    }

    #[inline]
    fn other(&mut self, index: usize, head: &Head, value: &[u8]) -> Result<(), Nonsense> {
        match head.kind {
            record::FAILURE => {
                if !self.seats[index].expects(head) {
                    return Err(Nonsense);
                }
                let answer = Answer::unpack(value).ok_or(Nonsense)?;
                let killed = self.seats[index].has_struck(head.item);
                let error = if killed { TaskError::Cancelled } else { answer.into_error() };
                // A task that failed is a task that is done.
                self.crashes = 0;
                self.outcome(index, Err(Box::new(error)));
                Ok(())
            }
            record::ROOM => {
                self.seats[index].pump();
                Ok(())
            }
            // What was taken back is in no table any more.
            record::SKIPPED if !self.seats[index].is_due(head) => Ok(()),
            // An entry that is there was skipped for no reason: the worker's table is spoilt. It is ended, but what it sent
            // is in order so far, and says what it has not begun.
            record::SKIPPED => {
                let unit = self.seats[index].give_back(head).ok_or(Nonsense)?;
                self.seats[index].condemn();
                self.queue.push_back(unit);
                Ok(())
            }
            _ => self.start(index, head, value),
        }
    }

    #[inline]
    fn value(&mut self, index: usize, head: &Head, value: &[u8], fds: Vec<OwnedFd>) -> Result<(), Nonsense> {
        if !self.expected(index, head)? {
            return Ok(());
        }
        let open = self.seats[index].open.front().ok_or(Nonsense)?;
        match &open.unit.batch.sink {
            Sink::Many(group, first) if fds.is_empty() && value.len() < RUN => {
                let place = first + u64::from(open.next);
                match &mut self.run {
                    Some((of, run))
                        if Arc::ptr_eq(of, group)
                            && run.first + u64::from(run.count) == place
                            && run.bytes.len() < RUN =>
                    {
                        run.push(value);
                    }
                    _ => {
                        let group = group.clone();
                        self.flush_run();
                        let mut run = Run { first: place, ..Run::default() };
                        run.push(value);
                        self.run = Some((group, run));
                    }
                }
                self.advance(index);
            }
            _ => self.outcome(index, Ok(Parcel::new(Bytes::copy(value), fds))),
        }
        Ok(())
    }

    /// Whether the value that came is that of its task. (One that was killed, and was told so, has none.)
    #[inline]
    fn expected(&mut self, index: usize, head: &Head) -> Result<bool, Nonsense> {
        let seat = &mut self.seats[index];
        if !seat.expects(head) {
            return Err(Nonsense);
        }
        let open = seat.open.front().ok_or(Nonsense)?;
        if head.count > 0 {
            open.unit.batch.function.measured(u64::from(head.count));
        }
        self.crashes = 0;
        if seat.has_struck(head.item) {
            self.outcome(index, Err(Box::new(TaskError::Cancelled)));
            return Ok(false);
        }
        Ok(true)
    }

    #[cold]
    fn start(&mut self, index: usize, head: &Head, why: &[u8]) -> Result<(), Nonsense> {
        let seat = &mut self.seats[index];
        if seat.stage != Stage::Booting {
            return Err(Nonsense);
        }
        match head.kind {
            record::READY => {
                seat.stage = Stage::Up;
                seat.came_up = true;
                self.idle_count += 1;
                seat.idle_since = self.idle_count;
                seat.moved = Instant::now();
                Ok(())
            }
            record::REFUSED => {
                let why = String::from_utf8_lossy(&why[..why.len().min(10_000)]).into_owned();
                seat.cause = Some(TaskError::Broken(why));
                Ok(())
            }
            _ => Err(Nonsense),
        }
    }

    fn outcome(&mut self, index: usize, outcome: Outcome) {
        let Some(open) = self.seats[index].open.front() else { return };
        let (batch, item) = (open.unit.batch.clone(), open.next);
        if outcome.as_ref().is_ok_and(|value| value.bytes.len() >= LARGE) {
            // Before the value takes its place.
            self.spares.keep(batch.take_spent(), self.seats.len());
        }
        self.finish(&batch, item, outcome);
        self.advance(index);
    }

    #[inline]
    fn advance(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        if let Some(open) = seat.step() {
            if seat.open.is_empty() {
                self.idle_count += 1;
                seat.idle_since = self.idle_count;
            }
            if open.unit.batch.life().is_none() {
                self.told.push(Told::Drop(open.unit));
            }
        }
    }

    /// Ends one item.
    pub(super) fn finish(&mut self, batch: &Arc<Batch>, item: u32, outcome: Outcome) {
        match &batch.sink {
            Sink::One(_) => {
                if let Some((listener, args)) = batch.life().and_then(|life| life.finish(outcome)) {
                    self.tell(listener);
                    self.told.extend(args.map(Box::new).map(Told::DropArgs));
                }
            }
            Sink::Many(group, first) => {
                self.flush_run();
                let arrival = Arrival::One(first + u64::from(item), outcome);
                self.told.extend(group.add(arrival).map(Told::Signal));
            }
        }
    }

    pub(super) fn tell(&mut self, listener: Listener) {
        if listener.needs_a_collector() {
            self.listening = self.listening.saturating_sub(1);
        }
        if !matches!(listener, Listener::Nobody) {
            self.told.push(Told::Listener(listener));
        }
    }

    fn flush_run(&mut self) {
        if let Some((group, run)) = self.run.take() {
            self.told.extend(group.add(Arrival::Values(run)).map(Told::Signal));
        }
    }

    /// Tells those who wait for the end that it has come. Handles of tasks may keep the engine for long; what only workers
    /// need goes now.
    pub(super) fn tell_end(&mut self) {
        if !self.hooks.is_empty() {
            self.told.push(Told::DropHooks(std::mem::take(&mut self.hooks)));
        }
        for signal in self.enders.drain(..) {
            self.told.push(Told::Signal(signal));
        }
    }

    pub(super) fn tell_parked(&mut self) {
        for signal in self.parked.drain(..) {
            self.told.push(Told::Signal(signal));
        }
    }
}

/// Values of a run are kept together up to so many bytes.
const RUN: usize = 64 * 1024;
