//! All trials of one scenario, or a sample of them.

use crate::scenario::{Expect, Scenario};
use crate::trial::{self, Failure, Lab, Trial, What};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Failures after which a scenario is given up.
const ENOUGH: usize = 3;

/// Slow trials of one step in a row after which it is the step that makes them slow.
const PATIENCE: usize = 5;

/// Times that a trial is tried to be held.
const TRIES: usize = 3;

/// How many of the steps are killed at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each.
    Every,
    /// Every n-th, so that a scenario takes about this long.
    Within(Duration),
    /// This one alone.
    At(u64),
}

/// What a scenario's trials told.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Steps of the undisturbed operation, a sleep counting as one.
    pub(crate) steps: u64,
    pub(crate) kills: u64,
    pub(crate) every: u64,
    /// The longest time from a death to the end of the last survivor, and the step at which that was.
    pub(crate) slowest: (Duration, u64),
    pub(crate) took: Duration,
    pub(crate) failures: Vec<Failure>,
}

impl Tally {
    /// Whether the lab found what it must find.
    pub(crate) fn is_as_expected(&self, expect: Expect) -> bool {
        let harness = self.failures.iter().any(|f| matches!(f.what, What::Harness(_)));
        !harness && self.failures.is_empty() == (expect == Expect::Holds)
    }
}

/// Runs `scenario` at the given pace.
pub(crate) fn run(lab: &Lab, scenario: &Scenario, pace: Pace) -> Tally {
    let begin = Instant::now();
    let mut tally = Tally { every: 1, ..Tally::default() };
    match pace {
        Pace::At(step) => {
            try_one(lab, scenario, step, &mut tally);
        }
        // A mutant is small, and is done when it is caught.
        _ if scenario.expect == Expect::Caught => sweep(lab, scenario, (0, 1), None, &mut tally),
        Pace::Every if scenario.most.is_none() => sweep(lab, scenario, (0, 1), None, &mut tally),
        Pace::Every => sample(lab, scenario, None, &mut tally),
        Pace::Within(budget) => sample(lab, scenario, Some(budget), &mut tally),
    }
    tally.took = begin.elapsed();
    tally
}

/// The undisturbed operation first, which tells how many steps there are and how long a trial takes.
fn sample(lab: &Lab, scenario: &Scenario, budget: Option<Duration>, tally: &mut Tally) {
    let begin = Instant::now();
    try_one(lab, scenario, u64::MAX, tally);
    if !tally.failures.is_empty() {
        return;
    }
    let one = begin.elapsed().max(Duration::from_micros(100));
    let in_time = budget.map_or(u128::MAX, |budget| budget.as_micros() / one.as_micros());
    let points = in_time.clamp(8, scenario.most.unwrap_or(1 << 20).into()) as u64;
    tally.every = tally.steps.div_ceil(points).max(1);
    // Another offset each time, so that all steps have their turn in the long run.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let offset = u64::from(clock.subsec_nanos()) % tally.every;
    sweep(lab, scenario, (offset, tally.every), budget.map(|budget| begin + budget * 3), tally);
}

fn sweep(
    lab: &Lab,
    scenario: &Scenario,
    (first, every): (u64, u64),
    stop: Option<Instant>,
    tally: &mut Tally,
) {
    let enough = if scenario.expect == Expect::Caught { 1 } else { ENOUGH };
    for step in (first..).step_by(every as usize) {
        let ended = try_one(lab, scenario, step, tally);
        let late = stop.is_some_and(|stop| Instant::now() > stop);
        if ended || late || tally.failures.len() >= enough {
            return;
        }
    }
}

/// One trial; says whether the operation had ended.
fn try_one(lab: &Lab, scenario: &Scenario, step: u64, tally: &mut Tally) -> bool {
    tally.kills += 1;
    match prompt_one(lab, scenario, step) {
        Ok(trial) => {
            tally.steps = tally.steps.max(trial.steps);
            tally.slowest = tally.slowest.max((trial.recovery, trial.steps));
            trial.ended
        }
        Err(failure) => {
            // The operation may have ended, so that there is no next step; the same failure would come for ever.
            let ended = failure.steps < step || matches!(failure.what, What::Harness(_));
            tally.failures.push(failure);
            ended
        }
    }
}

/// A trial, again if it could not be held: that tells nothing of the object, but each time it would tell of the lab.
fn held_one(lab: &Lab, scenario: &Scenario, step: u64) -> Result<Trial, Failure> {
    let mut tries = 1;
    loop {
        match trial::run(lab, scenario, step) {
            Err(Failure { what: What::Harness(_), .. }) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

/// A trial, again if its survivors were slow: a busy machine makes one of them so, a wake that is lost at this step all.
fn prompt_one(lab: &Lab, scenario: &Scenario, step: u64) -> Result<Trial, Failure> {
    let mut times = Vec::new();
    loop {
        let trial = held_one(lab, scenario, step)?;
        let Some(limit) = scenario.prompt.filter(|limit| trial.recovery > *limit) else { return Ok(trial) };
        times.push(trial.recovery);
        if times.len() == PATIENCE {
            let what = What::Slow(format!("{times:?}, of {limit:?}"));
            return Err(Failure { steps: trial.steps, place: None, what });
        }
    }
}
