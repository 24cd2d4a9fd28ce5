//! What is done by the clock: time limits, workers that are used up, the end of those that are not wanted.

use super::Engine;
use super::batch::Unit;
use super::core::{Core, Phase, STALLED};
use super::seat::{Seat, Stage};
use crate::error::TaskError;
use crate::link::Sent;
use crate::link::record::{self, Head};
use std::time::{Duration, Instant};

/// How long a worker that is to end may take, its exit hook included, before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest sleep while anything is open.
const SLICE: Duration = Duration::from_millis(500);

/// The first sleep after something came.
const BRIEF: Duration = Duration::from_millis(1);

/// How often it is looked whether a task with a time limit has begun.
const BEGUN: Duration = Duration::from_millis(2);

impl Engine {
    /// Sees after everything that no message announces. Whether anything was changed.
    pub(super) fn tick(&self, core: &mut Core, now: Instant) -> bool {
        let mut changed = false;
        let over = core.phase != Phase::Open
            && core.queue.is_empty()
            && core.seats.iter().all(|seat| seat.open.is_empty());
        for index in 0..core.seats.len() {
            let surplus = index >= core.wanted;
            let seat = &mut core.seats[index];
            match seat.stage {
                Stage::Up => {
                    if surplus && !seat.open.is_empty() {
                        let units = seat.recall_all();
                        requeue(core, units);
                    }
                    let max_tasks = core.max_tasks;
                    let seat = &mut core.seats[index];
                    let used_up = max_tasks.is_some_and(|max| seat.given >= max)
                        || core.max_memory.is_some_and(|max| seat.is_idle() && is_above(seat, max));
                    if seat.is_idle() && (over || surplus || used_up) {
                        end(seat, now);
                        changed = true;
                    }
                    changed |= self.watch(core, index, now);
                }
                // It may never come up: its initializer is the user's, and nobody needs it any more.
                Stage::Booting if over || surplus => {
                    seat.dismissed = true;
                    seat.condemn();
                    changed = true;
                }
                Stage::Ending(since) if now.saturating_duration_since(since) > PATIENCE => {
                    seat.condemn();
                }
                Stage::Dying if seat.kill_at.is_some_and(|at| now >= at) => {
                    seat.kill_at = None;
                    if let Some(link) = &seat.link {
                        link.kill();
                    }
                }
                _ => {}
            }
        }
        if core.start_again.is_some_and(|at| now >= at) {
            core.start_again = None;
            self.start_missing(core);
        }
        if core.has_ended() {
            core.tell_end();
        }
        changed
    }

    /// Watches the time limit of what a worker runs.
    fn watch(&self, core: &mut Core, index: usize, now: Instant) -> bool {
        let seat = &mut core.seats[index];
        let Some(limit) = seat.limit() else {
            seat.watched = None;
            return false;
        };
        let running = seat.running().map(|(open, item)| open.unit.batch.id + u64::from(item));
        match (running, seat.watched) {
            (Some(id), Some((watched, since))) if id == watched => {
                if now.saturating_duration_since(since) < limit {
                    return false;
                }
                seat.watched = None;
                crate::events::timed_out(id);
                self.strike(core, index, id, TaskError::TimedOut, true)
            }
            (Some(id), _) => {
                // It began before we looked, so the limit is never struck early.
                seat.watched = Some((id, now));
                false
            }
            (None, _) => {
                seat.watched = None;
                false
            }
        }
    }

    /// When `look` should be called again though nothing comes.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let mut core = self.core.lock();
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut at = |when: Option<Instant>| {
            if let Some(when) = when {
                next = Some(next.map_or(when, |next| next.min(when)));
            }
        };
        for seat in &core.seats {
            match seat.stage {
                Stage::Ending(since) => at(since.checked_add(PATIENCE)),
                Stage::Dying => at(seat.kill_at),
                _ => {}
            }
            if let Some(limit) = seat.limit() {
                match seat.watched {
                    Some((_, since)) => at(since.checked_add(limit)),
                    None => at(now.checked_add(BEGUN)),
                }
            }
        }
        // A ring that was full may have room without a word: the worker gives it back when it has taken all.
        let unwritten = !core.queue.is_empty() || core.seats.iter().any(Seat::has_to_write);
        if unwritten || core.seats.iter().any(|seat| !seat.open.is_empty()) {
            // A worker that spoilt the word by which it knows that we sleep does not wake us. Nor does a task that is put
            // on top of a long one right after this look, so the first sleep is short and each is as long as all before.
            let quiet = now.saturating_duration_since(core.active);
            at(now.checked_add(quiet.clamp(BRIEF, SLICE)));
        }
        at(core.start_again);
        let watchful = core.wants_a_look();
        if watchful {
            at(now.checked_add(STALLED));
        }
        core.watchful = watchful;
        next
    }
}

pub(super) fn requeue(core: &mut Core, units: Vec<Unit>) {
    for unit in units.into_iter().rev() {
        core.queue.push_front(unit);
    }
}

/// Asks a worker that has nothing to do to end.
fn end(seat: &mut Seat, now: Instant) {
    let asked = seat.link.as_mut().map(|link| link.send(Head::of(record::END), &[], &[]));
    if !matches!(asked, Some(Ok(Sent::Yes))) {
        if let Some(link) = &seat.link {
            link.kill();
        }
    }
    seat.stage = Stage::Ending(now);
}

/// Whether the worker has more resident memory than it may.
fn is_above(seat: &mut Seat, max: u64) -> bool {
    if seat.measured == seat.done {
        return false;
    }
    seat.measured = seat.done;
    seat.link.as_ref().and_then(crate::link::Link::resident_memory).is_some_and(|bytes| bytes > max)
}
