//! What is the same for every lock: its owner dies, its waiters die, and who comes before and after.

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_core::Message;
use std::error::Error;
use std::time::Duration;

/// A lock around two numbers that are equal whenever it is left whole.
pub(super) struct Kit<H> {
    pub(super) name: &'static str,
    pub(super) make: fn() -> Result<H, Box<dyn Error>>,
    /// Locks, adds one to the first number, calls the function, adds one to the second, unlocks. If an owner died it makes
    /// up for the missing half before. It is an error if the halves differ and nobody died.
    pub(super) add: fn(&H, &mut dyn FnMut()) -> Outcome,
    /// The same if the lock is free, or was left by a dead owner. False: somebody has it.
    pub(super) try_add: fn(&H) -> Result<bool, String>,
    /// Waits for the lock for a millisecond, in vain.
    pub(super) in_vain: fn(&H) -> Outcome,
    /// The first number, when nobody else is there any more.
    pub(super) sum: fn(&H) -> Result<u64, String>,
}

impl<H> Clone for Kit<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Kit<H> {}

/// Counters of the board.
const ADDED: usize = 0;
const MAY_UNLOCK: usize = 1;
const MAY_LOCK: usize = 2;
/// Additions of which half was made: whoever mends may make up for the other, or where a change is one step, nothing is left.
const HALVES: usize = 3;

impl<H: Message> Kit<H> {
    /// Every scenario of this lock.
    pub(super) fn all(self) -> Vec<Scenario> {
        let named = |operation, cast: fn(Kit<H>, &mut Stage) -> Setup| {
            Scenario::new(&format!("{}/{operation}", self.name), move |stage| cast(self, stage))
        };
        vec![
            named("first-lock", |kit, stage| kit.alone(stage, 0)).prompt(),
            named("lock", |kit, stage| kit.alone(stage, 1)).prompt(),
            named("unlock", Kit::unlock).prompt(),
            named("wait", Kit::wait).prompt(),
            named("give-up", Kit::give_up).prompt(),
            named("try-lock", Kit::tries).prompt(),
            named("repair", Kit::repair).prompt(),
        ]
    }

    /// Adds one, and counts it.
    fn count(self, lock: &H, board: &Board, middle: &mut dyn FnMut()) -> Outcome {
        (self.add)(lock, middle)?;
        board.add(ADDED, 1);
        Ok(())
    }

    /// Nobody else waits. The victim has used the lock so many times before.
    fn alone(self, stage: &mut Stage, before: u32) -> Setup {
        let lock = (self.make)()?;
        stage.victim(&lock, move |lock, board, mark| {
            (0..before).try_for_each(|_| self.count(&lock, board, &mut || ()))?;
            mark.operation(|| self.count(&lock, board, &mut || ()))
        })?;
        stage.actor(When::Pause, "who comes while the victim lives", &lock, self.adds())?;
        self.ends(stage, &lock)
    }

    /// Two sleep while the victim has the lock; it dies while it unlocks.
    fn unlock(self, stage: &mut Stage) -> Setup {
        let lock = (self.make)()?;
        stage.victim(&lock, move |lock, board, mark| {
            let result = self.count(&lock, board, &mut || mark.begin());
            mark.end();
            result
        })?;
        stage.actor(When::Ready, "a sleeper", &lock, self.adds())?;
        stage.actor(When::Ready, "another sleeper", &lock, self.adds())?;
        stage.actor(When::Pause, "who comes while the victim lives", &lock, self.adds())?;
        self.ends(stage, &lock)
    }

    /// Another has the lock; the victim waits, then somebody behind it. The victim is woken, and a third one takes the lock
    /// before it does.
    fn wait(self, stage: &mut Stage) -> Setup {
        let lock = (self.make)()?;
        stage.actor(When::First, "the owner", &lock, move |lock, board| {
            self.count(&lock, board, &mut || board.await_count(MAY_UNLOCK, 1))
        })?;
        stage.victim(&lock, move |lock, board, mark| {
            // The first wait of a process looks how many processors there are, which is long, and nobody else's business.
            (self.in_vain)(&lock)?;
            mark.operation(|| self.count(&lock, board, &mut || ()))
        })?;
        stage.actor(When::Ready, "the other waiter", &lock, move |lock, board| {
            board.await_count(MAY_LOCK, 1);
            self.count(&lock, board, &mut || ())
        })?;
        stage.actor(When::Wake, "who lets the owner unlock", &lock, move |_, board| {
            board.add(MAY_LOCK, 1);
            // So that the other waiter sleeps, behind the victim.
            std::thread::sleep(Duration::from_millis(2));
            board.add(MAY_UNLOCK, 1);
            board.await_count(ADDED, 1);
            Ok(())
        })?;
        stage.actor(When::Pause, "who takes it in between", &lock, move |lock, board| {
            board.add(MAY_LOCK, 1);
            board.add(MAY_UNLOCK, 1);
            self.count(&lock, board, &mut || board.await_death())
        })?;
        self.ends(stage, &lock)
    }

    /// Another has the lock; the victim waits until its time is up. Another one waits behind it.
    fn give_up(self, stage: &mut Stage) -> Setup {
        let lock = (self.make)()?;
        stage.actor(When::First, "the owner", &lock, move |lock, board| {
            self.count(&lock, board, &mut || board.await_death())
        })?;
        stage.victim(&lock, move |lock, _, mark| {
            (self.in_vain)(&lock)?;
            mark.operation(|| (self.in_vain)(&lock))
        })?;
        stage.actor(When::Ready, "the other waiter", &lock, self.adds())?;
        stage.actor(When::Wake, "nobody: the time ends the sleep", &(), |(), _| Ok(()))?;
        self.ends(stage, &lock)
    }

    /// The victim takes it without a wait, if it can.
    fn tries(self, stage: &mut Stage) -> Setup {
        let lock = (self.make)()?;
        stage.victim(&lock, move |lock, board, mark| {
            let tries = || {
                if (self.try_add)(&lock)? {
                    board.add(ADDED, 1);
                }
                Ok(())
            };
            tries()?;
            mark.operation(tries)
        })?;
        stage.actor(When::Pause, "who comes while the victim lives", &lock, self.adds())?;
        self.ends(stage, &lock)
    }

    /// An owner has died half-way; the victim mends what it left.
    fn repair(self, stage: &mut Stage) -> Setup {
        let lock = (self.make)()?;
        stage.actor(When::First, "an owner that dies", &lock, move |lock, board| {
            (self.add)(&lock, &mut || {
                board.add(HALVES, 1);
                crate::sys::exit_now(0)
            })
        })?;
        stage.victim(&lock, move |lock, board, mark| {
            // The first that is not simply free is long, see `wait`.
            let another = proc_shm::Mutex::new(0).map_err(|e| e.to_string())?;
            drop(another.repair(|_| ()).map_err(|e| e.to_string())?);
            mark.operation(|| self.count(&lock, board, &mut || ()))
        })?;
        stage.actor(When::Pause, "who comes while the victim lives", &lock, self.adds())?;
        self.ends(stage, &lock)
    }

    fn adds(self) -> impl FnOnce(H, &Board) -> Outcome {
        move |lock, board| self.count(&lock, board, &mut || ())
    }

    fn ends(self, stage: &mut Stage, lock: &H) -> Setup {
        stage.actor(When::After, "who comes after it", lock, self.adds())?;
        stage.actor(When::Last, "the judge", lock, move |lock, board| {
            let sum = (self.sum)(&lock)?;
            let counted = board.count(ADDED);
            let most = counted + u64::from(!board.finished()) + board.count(HALVES);
            ensure((counted..=most).contains(&sum), || format!("{counted} were added, and the sum is {sum}"))
        })
    }
}
