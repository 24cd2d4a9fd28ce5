//! Workers that end: whose fault it was, what goes on elsewhere, and when it is too much.

use super::Engine;
use super::core::{BootFailure, Core, Phase};
use super::seat::Stage;
use crate::error::TaskError;
use proc_core::ExitStatus;

impl Engine {
    /// A worker has ended, and what it sent was taken in. Its running item fails; what it had not begun goes on.
    pub(super) fn bury(&self, core: &mut Core, index: usize, status: ExitStatus) {
        let stage = core.seats[index].stage;
        let booting = !core.seats[index].came_up;
        let unfinished = !core.seats[index].open.is_empty();
        let dismissed = core.seats[index].dismissed;
        let nothing_done = core.seats[index].done == 0;
        let mut buried = core.seats[index].bury();
        let Some(link) = buried.link.take() else { return };
        let pid = link.handle().id();
        let asked_for = dismissed || (matches!(stage, Stage::Ending(_)) && !unfinished);
        let ours = buried.cause.clone();
        crate::events::worker_ended(pid, status, asked_for);

        for unit in buried.others.into_iter().rev() {
            core.queue.push_front(unit);
        }
        // The last first, as a retry goes to the front of the queue.
        for mut unit in buried.guilty.into_iter().rev() {
            let error = match &ours {
                Some(cause) => Some(cause.clone()),
                None if unit.deaths < u32::from(unit.batch.retries) && !unit.batch.is_over() => None,
                None => Some(TaskError::WorkerDied { pid, status, task: unit.batch.task(unit.from) }),
            };
            match error {
                Some(error) => Engine::end_unit(core, &unit, &error),
                None => {
                    unit.deaths += 1;
                    if let Some(life) = unit.batch.life() {
                        life.set_place(None);
                    }
                    core.queue.push_front(unit);
                }
            }
        }
        // Whoever ends an idle worker, or one that has done something, ends no loop: the next one may do better.
        let failed = ours.is_none() && unfinished && nothing_done;
        if !dismissed && (booting || failed) {
            let why = match (&ours, booting) {
                (Some(TaskError::Broken(why)), _) => format!("the last worker process {pid}: {why}"),
                (_, true) => format!("the worker process {pid} {status} in its initializer"),
                _ => format!("the worker process {pid} {status}"),
            };
            core.boot_failure = booting.then(|| match &ours {
                Some(TaskError::Broken(why)) => BootFailure { why: why.clone(), died: false },
                _ => BootFailure { why: format!("the worker {status} in its initializer"), died: true },
            });
            self.crashed(core, &why);
        }
        core.dead.push(link);
        // In a pool that has ended or is broken nobody comes for what the dead one had not begun.
        let over = match &core.phase {
            Phase::Ended => Some(TaskError::Closed),
            Phase::Broken(why) => Some(TaskError::Broken(why.clone())),
            Phase::Open | Phase::Closed => None,
        };
        if let Some(over) = over {
            for unit in std::mem::take(&mut core.queue) {
                Engine::end_unit(core, &unit, &over);
            }
        }
        self.start_missing(core);
    }

    /// Counts a worker that did not come up, or ended without having done any of what it had. Too many in a row without a
    /// finished task break the pool.
    pub(super) fn crashed(&self, core: &mut Core, why: &str) {
        core.crashes += 1;
        let running = matches!(core.phase, Phase::Open | Phase::Closed);
        if core.crashes < self.config.crash_limit || !running {
            return;
        }
        let why = format!("{} workers in a row ended without a finished task; the last: {why}", core.crashes);
        crate::events::broken(&why);
        core.phase = Phase::Broken(why.clone());
        for unit in std::mem::take(&mut core.queue) {
            Engine::end_unit(core, &unit, &TaskError::Broken(why.clone()));
        }
        core.tell_parked();
    }

    /// Ends a worker for what it runs: the task `id`, if that is what it runs. What it has not begun is taken back first,
    /// so that nothing else can have begun when the signal strikes. `false`: it does not run it any more, as far as the
    /// worker says; unless it is `sure` of what it says, it is ended for the first of its open items all the same.
    pub(super) fn strike(
        &self,
        core: &mut Core,
        index: usize,
        id: u64,
        cause: TaskError,
        sure: bool,
    ) -> bool {
        let seat = &mut core.seats[index];
        let units = seat.recall_all();
        let says = seat.running().is_some_and(|(open, item)| open.unit.batch.id + u64::from(item) == id);
        let first = || seat.open.front().map(|open| open.unit.batch.id + u64::from(open.next)) == Some(id);
        let runs = seat.stage != Stage::Dying && (says || (!sure && first()));
        if runs {
            seat.cause = Some(cause);
            seat.struck = Some(id);
            seat.stage = Stage::Dying;
            if let Some(link) = &seat.link {
                if self.config.grace.is_zero() {
                    link.kill();
                } else {
                    link.terminate();
                    seat.kill_at = std::time::Instant::now().checked_add(self.config.grace);
                }
            }
        }
        for unit in units.into_iter().rev() {
            core.queue.push_front(unit);
        }
        core.pump();
        runs
    }
}
