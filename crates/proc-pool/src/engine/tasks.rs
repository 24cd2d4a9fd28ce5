//! Tasks: how they come in, and how they are taken back.

use super::Engine;
use super::batch::{Batch, Limit, Unit};
use super::collect::Wanted;
use super::core::{Core, Phase, STALLED, ThreadIs, Told};
use super::group::{Arrival, Group};
use super::life::{Call, Life, Listener, Place};
use super::seat::Stage;
use super::signal::Signal;
use crate::error::TaskError;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// So many tasks may be submitted while more are queued than the workers have room for, before the submitter looks
/// whether results came: else workers would starve until somebody waits.
const SUBMITTED: u64 = 64;

/// Between two attempts to kill a task whose worker is at something else.
const MOMENT: Duration = Duration::from_millis(1);

/// For so long it is believed that the result of a task that is to be killed is under way.
const NONSENSE: Duration = Duration::from_millis(250);

impl Engine {
    /// Takes a batch in; one that can't be run ends at once.
    pub(crate) fn submit(&self, batch: &Arc<Batch>) {
        if let Err(e) = self.lineage.check() {
            refuse(batch, &TaskError::Broken(e.to_string()));
            return;
        }
        let mut core = self.core.lock();
        let refused = match &core.phase {
            Phase::Open => {
                core.add(Unit::all_of(batch.clone()));
                let behind = core.queue.len() as u64 % SUBMITTED == SUBMITTED - 1;
                let asleep = core.thread == ThreadIs::Asleep;
                if asleep {
                    core.thread = ThreadIs::Dozing;
                }
                let rests = core.rouse();
                // It may lie behind a long task, beside a worker with nothing to do.
                let unseen = !core.watchful
                    && core.queue.is_empty()
                    && core.wants_a_look()
                    && core.active.elapsed() > STALLED;
                core.watchful |= unseen;
                let told = if core.has_told() { core.told() } else { Vec::new() };
                drop(core);
                Told::all(told);
                if rests {
                    self.nudge.set();
                }
                if asleep {
                    let _ = self.bell.wake();
                } else if behind {
                    self.look_in();
                } else if (unseen || batch.limit != Limit::NONE) && self.ears.is_locked() {
                    // Who sleeps does not know of this.
                    let _ = self.bell.wake();
                }
                return;
            }
            Phase::Broken(why) => TaskError::Broken(why.clone()),
            _ => TaskError::Closed,
        };
        drop(core);
        refuse(batch, &refused);
    }

    /// Takes a task back if it has not begun.
    pub(crate) fn cancel(&self, batch: &Arc<Batch>) -> bool {
        let Some(life) = batch.life() else { return false };
        if life.is_done() || !self.is_ours() {
            return false;
        }
        let mut core = self.core.lock();
        let taken = match life.place() {
            // It stays in the queue as a husk, which whoever comes to it drops.
            None => true,
            Some(place) => {
                let seat = &mut core.seats[usize::from(place.seat)];
                let find = |open: &super::seat::Open| {
                    open.slot == place.slot && open.generation == place.generation.get()
                };
                seat.open.iter().position(find).and_then(|index| seat.recall(index)).is_some()
            }
        };
        let taken = taken && !life.is_done();
        if taken {
            core.finish(batch, 0, Err(Box::new(TaskError::Cancelled)));
        }
        let told = core.told();
        drop(core);
        Told::all(told);
        if taken {
            self.ring_bell();
        }
        taken
    }

    /// Takes a task back or ends its worker: then [`TaskError::Cancelled`] is what it ends with. `false`: it is done.
    pub(crate) fn kill(&self, batch: &Arc<Batch>) -> bool {
        /// No more than its end, which nobody is told of: a listener of the caller's own stays.
        struct End<'a>(Life<'a>);
        impl Wanted for End<'_> {
            fn is_there(&self) -> bool {
                self.0.is_done()
            }
            fn call(&self, _: &Arc<Signal>) {}
        }
        let Some(life) = batch.life() else { return false };
        let start = Instant::now();
        while !life.is_done() && self.is_ours() {
            if self.cancel(batch) {
                return true;
            }
            let mut core = self.core.lock();
            let place = life.place();
            // A worker that says anything but that it runs it, and sends no result, has spoilt the word.
            let sure = start.elapsed() < NONSENSE;
            let struck = place.is_some_and(|place| self.strike_task(&mut core, place, batch.id, sure));
            let told = core.told();
            drop(core);
            Told::all(told);
            if struck {
                self.ring_bell();
                return true;
            }
            // Its result is under way, or those of tasks before it, or its worker's end; or it was moved just now.
            self.wait(&End(life), Instant::now().checked_add(MOMENT));
        }
        false
    }

    /// Ends the worker that runs a task, if that is what it runs.
    fn strike_task(&self, core: &mut Core, place: Place, id: u64, sure: bool) -> bool {
        let seat = &mut core.seats[usize::from(place.seat)];
        let is_it =
            |open: &super::seat::Open| open.slot == place.slot && open.generation == place.generation.get();
        if !seat.open.front().is_some_and(is_it) {
            return false;
        }
        if seat.stage == Stage::Dying {
            // Struck already, for its time limit or by another thread.
            let struck = seat.struck == Some(id);
            if struck {
                seat.cause = Some(TaskError::Cancelled);
            }
            return struck;
        }
        self.strike(core, usize::from(place.seat), id, TaskError::Cancelled, sure)
    }

    /// Why nothing can be waited for here.
    pub(crate) fn why_not(&self) -> String {
        self.lineage.check().map_or_else(|e| e.to_string(), |()| "the task was not waited for".into())
    }

    pub(crate) fn is_running(&self, batch: &Batch) -> bool {
        if !self.is_ours() {
            return false;
        }
        let core = self.core.lock();
        batch.life().and_then(Life::place).is_some_and(|place| {
            core.seats[usize::from(place.seat)].is_running(place.slot, place.generation.get())
        })
    }

    /// Nobody wants the rest of a group: what has not begun of it is taken back.
    pub(crate) fn abandon(&self, group: &Arc<Group>) {
        group.end();
        if !self.is_ours() {
            return;
        }
        let mut core = self.core.lock();
        for seat in &mut core.seats {
            for index in (0..seat.open.len()).rev() {
                let is_of = matches!(&seat.open[index].unit.batch.sink,
                    super::batch::Sink::Many(of, _) if Arc::ptr_eq(of, group));
                if is_of {
                    drop(seat.recall(index));
                }
            }
        }
        core.pump();
        let told = core.told();
        drop(core);
        Told::all(told);
    }

    /// Waits for a task.
    pub(crate) fn wait_for(&self, life: Life<'_>, deadline: Option<Instant>) -> bool {
        struct One<'a>(Life<'a>, &'a Engine);
        impl Wanted for One<'_> {
            fn is_there(&self) -> bool {
                self.0.is_done()
            }
            fn call(&self, signal: &Arc<Signal>) {
                if self.1.replace_listener(self.0, Listener::Thread(signal.clone())) {
                    signal.set();
                }
            }
            fn call_off(&self) {
                self.0.forget_thread();
            }
        }
        life.is_done() || (self.is_ours() && self.wait(&One(life, self), deadline))
    }

    /// Has a listener told that collects itself, in place of the one before; `true`: the task has ended.
    pub(crate) fn replace_listener(&self, life: Life<'_>, listener: Listener) -> bool {
        match life.listen(listener) {
            Ok(old) => {
                if old.needs_a_collector() {
                    let mut core = self.core.lock();
                    core.listening = core.listening.saturating_sub(1);
                }
                false
            }
            Err(_) => true,
        }
    }

    /// What has arrived for a group; waits for something.
    pub(crate) fn arrivals(&self, group: &Group, deadline: Option<Instant>) -> Vec<Arrival> {
        struct Some<'a>(&'a Group);
        impl Wanted for Some<'_> {
            fn is_there(&self) -> bool {
                self.0.has_arrivals()
            }
            fn call(&self, signal: &Arc<Signal>) {
                self.0.set_consumer(::core::option::Option::Some(signal.clone()));
                if self.0.has_arrivals() {
                    signal.set();
                }
            }
            fn call_off(&self) {
                self.0.set_consumer(None);
            }
        }
        if self.is_ours() {
            self.wait(&Some(group), deadline);
        }
        group.take()
    }

    /// Whether a task has ended; if not, `waker` is woken when it has.
    pub(crate) fn is_done_or_wake(&self, life: Life<'_>, waker: &Waker) -> bool {
        self.listen(life, Listener::Waker(Box::new(waker.clone()))).is_err()
    }

    pub(crate) fn call_when_done(&self, life: Life<'_>, call: Call) {
        if let Err(listener) = self.listen(life, Listener::Call(Box::new(call))) {
            listener.tell();
        }
    }

    /// Has `listener` told of the end, for which somebody must collect; gives it back if the task has ended.
    fn listen(&self, life: Life<'_>, listener: Listener) -> Result<(), Listener> {
        // Counted before the task can end, so that its end can count down.
        let mut core = self.core.lock();
        let old = life.listen(listener)?;
        core.listening += 1;
        if old.needs_a_collector() {
            core.listening -= 1;
        }
        drop(core);
        if !self.ears.is_locked() {
            self.nudge.set();
        }
        Ok(())
    }

    pub(super) fn end_unit(core: &mut Core, unit: &Unit, why: &TaskError) {
        for item in unit.from..unit.to {
            core.finish(&unit.batch, item, Err(Box::new(why.clone())));
        }
    }
}

fn refuse(batch: &Arc<Batch>, why: &TaskError) {
    match &batch.sink {
        super::batch::Sink::One(_) => batch.fail(why.clone()),
        super::batch::Sink::Many(group, first) => {
            for item in 0..batch.count {
                let arrival = Arrival::One(first + u64::from(item), Err(Box::new(why.clone())));
                if let Some(signal) = group.add(arrival) {
                    signal.set();
                }
            }
        }
    }
}
