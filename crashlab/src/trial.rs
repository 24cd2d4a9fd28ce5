//! One trial: set up, step, kill, and see how the others fare.

use crate::board::{ACTORS, Board};
use crate::scenario::Scenario;
use crate::stage::{Stage, When};
use crate::sys::{self, Change, Pid};
use crate::trace::{Step, Victim, is_asleep};
use std::fmt;
use std::time::{Duration, Instant};

/// How long an actor may take until it sleeps or ends when it comes on.
const SETTLE: Duration = Duration::from_secs(30);

/// What the lab lends to each trial.
#[derive(Clone, Copy)]
pub(crate) struct Lab {
    pub(crate) board: &'static Board,
    pub(crate) cpus: libc::cpu_set_t,
    /// How long the survivors may take after the death.
    pub(crate) deadline: Duration,
}

/// What a trial without failure tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Steps that the victim made. A sleep counts as one.
    pub(crate) steps: u64,
    /// Whether its operation had ended.
    pub(crate) ended: bool,
    /// From the death to the end of the last survivor.
    pub(crate) recovery: Duration,
}

/// What went wrong in a trial.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) steps: u64,
    /// The instruction at which the victim was killed.
    pub(crate) place: Option<u64>,
    pub(crate) what: What,
}

/// The kinds of failures.
#[derive(Debug)]
pub(crate) enum What {
    /// The trial could not be held: nothing is proved about the object.
    Harness(String),
    /// A survivor saw what must not be.
    Wrong(String),
    /// A survivor was still there at the deadline.
    Hangs(String),
    /// The survivors took longer than somebody takes who is woken, each time.
    Slow(String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Harness(why) => write!(f, "the trial could not be held: {why}"),
            What::Wrong(why) => f.write_str(why),
            What::Slow(times) => write!(f, "the survivors went on by a look of their own, after {times}"),
            What::Hangs(who) => write!(f, "still not done at the deadline: {who}"),
        }
    }
}

/// Runs `scenario` and kills its victim after `limit` steps, or when the operation ends.
pub(crate) fn run(lab: &Lab, scenario: &Scenario, limit: u64) -> Result<Trial, Failure> {
    lab.board.reset();
    let mut run =
        Run { lab, stage: Stage::new(lab.board, lab.cpus), alive: Vec::new(), steps: 0, place: None };
    run.whole(scenario, limit).map_err(|what| Failure { steps: run.steps, place: run.place, what })
}

struct Run<'a> {
    lab: &'a Lab,
    stage: Stage,
    /// Actors that were started and have not been seen to end.
    alive: Vec<(usize, Pid)>,
    steps: u64,
    place: Option<u64>,
}

impl Run<'_> {
    fn whole(&mut self, scenario: &Scenario, limit: u64) -> Result<Trial, What> {
        scenario.set_up(&mut self.stage).map_err(|e| What::Harness(format!("the setup failed: {e}")))?;
        self.bring_on(When::First, true)?;
        let mut victim = Victim::start(&mut self.stage).map_err(|e| self.lost(e))?;
        self.bring_on(When::Ready, true)?;
        let ended = self.drive(&mut victim, limit)?;
        self.bring_on(When::Pause, true)?;
        self.place = victim.place();
        victim.kill();
        let death = Instant::now();
        self.lab.board.tell_death();
        self.stage.dismiss_before_death();
        self.bring_on(When::After, false)?;
        self.await_all(death + self.lab.deadline)?;
        self.bring_on(When::Last, false)?;
        self.await_all(death + self.lab.deadline * 2)?;
        Ok(Trial { steps: self.steps, ended, recovery: death.elapsed() })
    }

    /// Steps the victim; says whether its operation ended.
    fn drive(&mut self, victim: &mut Victim, limit: u64) -> Result<bool, What> {
        let mut wakers = self.stage.cues(When::Wake).into_iter();
        while self.steps < limit {
            let (done, last) = victim.steps(limit - self.steps).map_err(|e| self.lost(e))?;
            self.steps += done;
            match last {
                Step::Done => {}
                Step::Ended => return Ok(true),
                Step::Sleeps => {
                    self.steps += 1;
                    if self.steps < limit {
                        let Some(waker) = wakers.next() else { return Ok(true) };
                        self.start(waker)?;
                        self.settle(waker)?;
                    }
                }
            }
        }
        Ok(false)
    }

    fn lost(&self, why: impl fmt::Display) -> What {
        let said = self.lab.board.read(ACTORS - 1);
        What::Harness(format!("{why}{}{said}", if said.is_empty() { "" } else { ": " }))
    }

    fn bring_on(&mut self, when: When, settle: bool) -> Result<(), What> {
        for n in self.stage.cues(when) {
            self.start(n)?;
            if settle {
                self.settle(n)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, n: usize) -> Result<(), What> {
        let pid =
            self.stage.start(n).map_err(|e| What::Harness(format!("{}: fork: {e}", self.stage.name(n))))?;
        self.alive.push((n, pid));
        Ok(())
    }

    /// Waits until an actor sleeps or has ended.
    fn settle(&mut self, n: usize) -> Result<(), What> {
        let Some(&(_, pid)) = self.alive.iter().find(|(actor, _)| *actor == n) else { return Ok(()) };
        let until = Instant::now() + SETTLE;
        loop {
            if is_asleep(pid) {
                return Ok(());
            }
            if let Some(change) = sys::poll(pid).map_err(|e| What::Harness(e.to_string()))? {
                return self.ended(n, change);
            }
            if Instant::now() > until {
                return Err(What::Hangs(format!("{}, which neither sleeps nor ends", self.stage.name(n))));
            }
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn ended(&mut self, n: usize, change: Change) -> Result<(), What> {
        self.alive.retain(|(actor, _)| *actor != n);
        let name = self.stage.name(n);
        match change {
            Change::Exited(0) => Ok(()),
            Change::Exited(_) => Err(What::Wrong(format!("{name}: {}", self.lab.board.read(n)))),
            Change::Stopped(signal) | Change::Killed(signal) => {
                Err(What::Wrong(format!("{name} got signal {signal}")))
            }
        }
    }

    /// Waits until all actors have ended. At the deadline those that still use a processor get four times as long: a
    /// busy machine is not a hang.
    fn await_all(&mut self, deadline: Instant) -> Result<(), What> {
        sys::tick(1000);
        let outcome = self.await_each(deadline);
        sys::tick(0);
        outcome
    }

    fn await_each(&mut self, deadline: Instant) -> Result<(), What> {
        while let Some(&(n, pid)) = self.alive.first() {
            match sys::wait(pid).map_err(|e| What::Harness(e.to_string()))? {
                Some(change) => self.ended(n, change)?,
                None => {
                    let late = Instant::now().saturating_duration_since(deadline);
                    let grace = if is_asleep(pid) { Duration::ZERO } else { self.lab.deadline * 4 };
                    if !late.is_zero() && late >= grace {
                        return Err(self.hanging());
                    }
                }
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Those who are still there, and whether they sleep.
    fn hanging(&mut self) -> What {
        for (n, pid) in self.alive.clone() {
            match sys::poll(pid) {
                Ok(Some(Change::Exited(0))) | Err(_) => self.alive.retain(|(actor, _)| *actor != n),
                _ => {}
            }
        }
        let shown = self.alive.iter().map(|(n, pid)| {
            format!("{} ({})", self.stage.name(*n), if is_asleep(*pid) { "sleeps" } else { "runs" })
        });
        What::Hangs(shown.collect::<Vec<_>>().join(", "))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for (_, pid) in &self.alive {
            sys::kill(*pid);
        }
    }
}
