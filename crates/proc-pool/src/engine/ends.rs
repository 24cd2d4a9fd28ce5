//! How a pool ends: close, join, terminate; and its size.

use super::Engine;
use super::collect::Wanted;
use super::core::{Phase, Told};
use super::seat::{MOST_WORKERS, Stage};
use super::signal::Signal;
use crate::error::{PoolError, TaskError};
use std::sync::Arc;
use std::time::Instant;

impl Engine {
    pub(crate) fn close(&self) {
        if !self.is_ours() {
            return;
        }
        let mut core = self.core.lock();
        if core.phase == Phase::Open {
            core.phase = Phase::Closed;
        }
        drop(core);
        self.ring_bell();
        self.look_in();
    }

    /// Waits until the pool has ended; `false`: the deadline was over first.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> Result<bool, PoolError> {
        if let Err(e) = self.lineage.check() {
            return Err(PoolError::new("the pool can't be joined").with_source(e));
        }
        if self.core.lock().phase == Phase::Open {
            return Err(PoolError::new("an open pool can't be joined; close or terminate it first"));
        }
        struct End<'a>(&'a Engine);
        impl Wanted for End<'_> {
            fn is_there(&self) -> bool {
                self.0.core.lock().has_ended()
            }
            fn call(&self, signal: &Arc<Signal>) {
                let mut core = self.0.core.lock();
                if !core.enders.iter().any(|ender| Arc::ptr_eq(ender, signal)) {
                    core.enders.push(signal.clone());
                }
            }
            fn call_off(&self) {
                let own = Signal::own();
                self.0.core.lock().enders.retain(|ender| !Arc::ptr_eq(ender, &own));
            }
        }
        if !self.wait(&End(self), deadline) {
            return Ok(false);
        }
        match &self.core.lock().phase {
            Phase::Broken(why) => Err(PoolError::new(why.clone())),
            _ => Ok(true),
        }
    }

    pub(crate) fn terminate(&self) {
        if !self.is_ours() {
            return;
        }
        let mut core = self.core.lock();
        core.phase = Phase::Ended;
        for unit in std::mem::take(&mut core.queue) {
            Engine::end_unit(&mut core, &unit, &TaskError::Closed);
        }
        for index in 0..core.seats.len() {
            let seat = &mut core.seats[index];
            if let Some(link) = &seat.link {
                link.kill();
                seat.stage = Stage::Dying;
                seat.cause = Some(TaskError::Closed);
            }
            let open: Vec<_> =
                seat.open.iter().map(|open| (open.unit.batch.clone(), open.next..open.unit.to)).collect();
            for (batch, items) in open {
                // A group's consumer may see the rest of them when the worker's end is taken in.
                if batch.life().is_some() {
                    for item in items {
                        core.finish(&batch, item, Err(Box::new(TaskError::Closed)));
                    }
                }
            }
        }
        let told = core.told();
        drop(core);
        Told::all(told);
        self.ring_bell();
    }

    pub(crate) fn resize(&self, workers: usize) {
        if !self.is_ours() {
            return;
        }
        let mut core = self.core.lock();
        core.wanted = workers.clamp(1, MOST_WORKERS);
        self.start_missing(&mut core);
        drop(core);
        self.ring_bell();
        // Workers that are too many are asked to end by whoever looks; of an idle pool that may be nobody.
        self.look_in();
    }
}

impl Engine {
    pub(crate) fn stats(&self) -> crate::Stats {
        if !self.is_ours() {
            return crate::Stats::default();
        }
        let core = self.core.lock();
        let queued = core.queue.iter().map(|unit| unit.len() as usize).sum();
        let mut stats = crate::Stats { queued, ..crate::Stats::default() };
        for seat in &core.seats {
            stats.with_workers +=
                seat.open.iter().map(|open| (open.unit.to - open.next) as usize).sum::<usize>();
            stats.workers.push(crate::stats::WorkerStats::new(
                seat.link.as_ref().map(|link| link.handle().id()),
                seat.totals.tasks,
                seat.totals.starts,
                seat.totals.deaths,
                !seat.open.is_empty(),
            ));
        }
        drop(core);
        for worker in &mut stats.workers {
            worker.resident_memory = worker.pid.and_then(crate::link::resident_memory);
        }
        stats
    }
}
