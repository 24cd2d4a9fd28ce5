//! How work is spread over the workers: who is given what, how much is written ahead, and what is taken back.

use super::batch::Unit;
use super::core::{Core, Phase, STALLED, Told};
use super::seat::{Given, Seat, Stage};
use std::time::Instant;

/// How much work is written ahead to one worker, in nanoseconds of its time, if an item takes `cost`.
///
/// Where there are as many workers as CPUs, whoever collects is woken on the CPU of one of them, and if that has just
/// begun with a long task the scheduler leaves the collector behind it for about a millisecond: the others must have
/// enough until then. Of items that cost next to nothing so much would be more than the cache holds.
#[inline]
pub(crate) fn ahead(cost: u64) -> u64 {
    if cost < 2_000 { 400_000 } else { 1_600_000 }
}

/// Work that is not worth waking another worker for, which takes about 64 us across CPUs.
const WAKE: u64 = 30_000;

impl Core {
    /// Writes a unit to a worker, or queues it.
    pub(super) fn add(&mut self, unit: Unit) {
        if self.queue.is_empty() {
            if let Some(unit) = self.place(unit) {
                self.queue.push_back(unit);
            }
        } else {
            self.queue.push_back(unit);
        }
    }

    /// Writes what is queued, as far as there is room; then gives idle workers something of the busy ones'.
    pub(super) fn pump(&mut self) {
        for seat in &mut self.seats {
            if seat.has_to_write() {
                seat.pump();
            }
        }
        while let Some(unit) = self.queue.pop_front() {
            if unit.batch.is_over() {
                self.told.push(Told::Drop(unit));
                continue;
            }
            if let Some(unit) = self.place(unit) {
                self.queue.push_front(unit);
                return;
            }
        }
        self.balance();
    }

    /// Writes a unit to the worker that will soonest be done with it; gives it back if none has room.
    fn place(&mut self, mut unit: Unit) -> Option<Unit> {
        loop {
            let Some(index) = self.choose(&unit) else { return Some(unit) };
            let rest = self.cut(index, &mut unit);
            self.last = index;
            match self.seats[index].give(unit) {
                Given::Yes => match rest {
                    None => return None,
                    Some(rest) => unit = rest,
                },
                Given::Full(back) => return Some(rejoin(back, rest)),
                // Another one, then.
                Given::Gone(back) => unit = rejoin(back, rest),
                Given::Refused(back, why) => {
                    for item in back.from..back.to {
                        self.finish(&back.batch, item, Err(Box::new(why.clone())));
                    }
                    match rest {
                        None => return None,
                        Some(rest) => unit = rest,
                    }
                }
            }
        }
    }

    /// How many items may still be given to the worker on this seat.
    fn left(&self, index: usize) -> u64 {
        self.max_tasks.map_or(u64::MAX, |max| max.saturating_sub(self.seats[index].given))
    }

    /// Cuts off what a worker of limited life may not be given any more.
    fn cut(&self, index: usize, unit: &mut Unit) -> Option<Unit> {
        let left = self.left(index);
        (u64::from(unit.len()) > left).then(|| unit.split_off(unit.from + left as u32))
    }

    fn choose(&self, unit: &Unit) -> Option<usize> {
        let estimate = unit.estimate();
        let ahead = ahead(unit.batch.function.cost());
        // What is passed in pieces would be stuck behind whatever runs, and could not be taken back.
        let long = unit.is_long();
        let may = |index: usize| {
            let seat = &self.seats[index];
            index < self.wanted
                && seat.takes_more()
                && self.left(index) > 0
                && ((self.max_memory.is_none() && !long) || seat.open.is_empty())
        };
        // Small work goes on top of small work: waking another worker for it takes longer than the work.
        let last = self.last;
        if let Some(seat) = self.seats.get(last) {
            // Unless it is stuck: then nobody may be looking who would take it back.
            if !seat.open.is_empty()
                && seat.backlog + estimate <= WAKE
                && may(last)
                && seat.moved.elapsed() < STALLED
            {
                return Some(last);
            }
        }
        let mut best: Option<(u64, u64, usize)> = None;
        for (index, seat) in self.seats.iter().enumerate() {
            if !may(index) {
                continue;
            }
            if seat.open.is_empty() {
                // The one that fell idle last may still be awake.
                let key = (0, u64::MAX - seat.idle_since, index);
                if best.is_none_or(|best| key < best) {
                    best = Some(key);
                }
            } else if seat.open.len() < 2 || seat.backlog + estimate <= ahead {
                let key = (1 + seat.backlog, 0, index);
                if best.is_none_or(|best| key < best) {
                    best = Some(key);
                }
            }
        }
        best.map(|(_, _, index)| index)
    }

    /// Takes back what waits behind a long task, or behind much, for workers that have nothing to do.
    fn balance(&mut self) {
        if !matches!(self.phase, Phase::Open | Phase::Closed) {
            return;
        }
        let now = Instant::now();
        for thief in 0..self.seats.len().min(self.wanted) {
            if !self.seats[thief].is_idle() || self.left(thief) == 0 {
                continue;
            }
            let victim = (0..self.seats.len())
                .filter(|index| is_worth_stealing_from(&self.seats[*index], now))
                .max_by_key(|index| self.seats[*index].backlog);
            let Some(victim) = victim else { return };
            self.steal(thief, victim);
        }
    }

    fn steal(&mut self, thief: usize, victim: usize) {
        let from = &mut self.seats[victim];
        let mut taken = Vec::new();
        // Half of the entries, those that would have come last.
        let keep = from.open.len() / 2;
        while from.open.len() > keep.max(1) {
            let index = from.open.len() - 1;
            match from.recall(index) {
                Some(unit) => taken.push(unit),
                None => break,
            }
        }
        if taken.is_empty() {
            // Only the one that runs is left, with items behind the running one.
            if let Some(mut unit) = from.recall(from.open.len() - 1) {
                if unit.len() > 1 {
                    taken.push(unit.split_off(unit.from + unit.len() / 2));
                }
                taken.push(unit);
            }
        }
        let mut to = Some(thief);
        for mut unit in taken.into_iter().rev() {
            let Some(thief) = to.take() else {
                self.queue.push_back(unit);
                continue;
            };
            let rest = self.cut(thief, &mut unit);
            match self.seats[thief].give(unit) {
                Given::Yes => to = (self.left(thief) > 0).then_some(thief),
                Given::Full(unit) | Given::Gone(unit) | Given::Refused(unit, _) => {
                    self.queue.push_back(unit);
                }
            }
            self.queue.extend(rest);
        }
    }

    /// When balancing should be looked at again though nothing has come: a worker has nothing to do and another has
    /// something behind what it runs.
    pub(super) fn wants_a_look(&self) -> bool {
        let idle = self.seats.iter().take(self.wanted).any(Seat::is_idle);
        idle && self.seats.iter().any(|seat| stealable(seat) > 0)
    }
}

fn rejoin(mut front: Unit, rest: Option<Unit>) -> Unit {
    if let Some(rest) = rest {
        front.to = rest.to;
    }
    front
}

/// How many entries, or items of the one that runs, lie behind what a worker runs.
fn stealable(seat: &Seat) -> usize {
    if !matches!(seat.stage, Stage::Up) {
        return 0;
    }
    match seat.open.len() {
        0 => 0,
        1 => seat.open[0].unit.to.saturating_sub(seat.open[0].next + 1) as usize,
        n => n - 1,
    }
}

fn is_worth_stealing_from(seat: &Seat, now: Instant) -> bool {
    stealable(seat) > 0
        && !(seat.is_sending() && seat.open.len() < 2)
        && (seat.backlog > 2 * WAKE || now.saturating_duration_since(seat.moved) > STALLED)
}
