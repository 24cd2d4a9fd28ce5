//! What the child does before its exec, on the parent's memory or on a copy of it: system calls and nothing else.

use super::plan::Plan;
use super::{LifelineScope, Step};
use crate::sys::{signals, steps};
use rustix::io::Errno;
use std::os::fd::RawFd;

/// What failed: the step, the system's error, and which candidate path it was about.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: Errno,
    pub(super) candidate: usize,
}

/// Runs all steps. Returns only if one failed: a success replaces this code.
///
/// Handlers go first, while all signals are blocked: once the mask opens, the parent's handlers would run in this
/// process on the parent's memory.
pub(super) fn run(plan: &mut Plan<'_>, keep: Option<RawFd>) -> Failure {
    match before_exec(plan, keep) {
        Err((step, errno)) => Failure { step, errno, candidate: 0 },
        Ok(()) => {
            // SAFETY: both arrays were made null-terminated, of C strings that the plan owns.
            let (candidate, errno) =
                unsafe { steps::exec(&plan.candidates, plan.argv.as_ptr(), plan.envp.as_ptr()) };
            Failure { step: Step::Exec, errno, candidate }
        }
    }
}

fn before_exec(plan: &mut Plan<'_>, keep: Option<RawFd>) -> steps::Outcome {
    let settings = &plan.spawner.settings;
    signals::reset_handlers(plan.reset_ignored);
    steps::apply_place(settings, plan.terminal, plan.cgroup)?;
    if let Some((fd, scope)) = plan.lifeline {
        let pid = steps::own_pid();
        let target = if scope == LifelineScope::Group { -pid } else { pid };
        steps::arm_lifeline(fd, target).map_err(|e| (Step::Lifeline, e))?;
    }
    steps::apply_environment(settings)?;
    steps::arrange_descriptors(&mut plan.scratch, !plan.spawner.inherit_others, keep)?;
    steps::apply_limits(settings)?;
    steps::apply_credentials(settings, plan.parent)?;
    signals::set_mask(plan.spawner.signal_mask);
    Ok(())
}
