//! Many together or one alone: the readers and writers of an RwLock, the parts and the whole of an Array.

use super::locks::{add_to, check};
use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use proc_core::Message;
use proc_shm::{Array, LockError, Part, RwLock};
use std::error::Error;
use std::time::Duration;

/// Counters of the board.
const DONE: usize = 0;
const MAY_UNLOCK: usize = 1;
const MAY_LOCK: usize = 2;
/// How often an owner's death was told.
const TOLD: usize = 3;
/// The victim died while another kept it out.
const KEPT_OUT: usize = 4;

/// What `one` of many and who wants `all` do; each calls the function in the middle, when it is inside, and mends what an
/// owner's death has left.
struct Gate<H> {
    name: &'static str,
    /// What the two are called.
    words: (&'static str, &'static str),
    make: fn() -> Result<H, Box<dyn Error>>,
    one: fn(&H, &Board, &mut dyn FnMut()) -> Outcome,
    all: fn(&H, &Board, &mut dyn FnMut()) -> Outcome,
    /// Another of the many, who is in nobody's way.
    other: fn(&H, &Board, &mut dyn FnMut()) -> Outcome,
    /// Whether the death of one of many is told.
    one_poisons: bool,
    /// Waits for all of it for a millisecond, in vain.
    in_vain: fn(&H) -> Outcome,
}

/// What the victim is.
#[derive(Clone, Copy)]
enum Wants {
    One,
    All,
}

impl<H> Clone for Gate<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Gate<H> {}

fn text(e: impl ToString) -> String {
    e.to_string()
}

impl<H: Message> Gate<H> {
    fn scenarios(self) -> Vec<Scenario> {
        let (one, all) = self.words;
        let named = |operation: String, cast: fn(Gate<H>, &mut Stage) -> Setup| {
            Scenario::new(&format!("{}/{operation}", self.name), move |stage| cast(self, stage))
        };
        vec![
            named(format!("first-{one}"), |gate, stage| gate.enter(stage, 0)),
            named(one.into(), |gate, stage| gate.enter(stage, 1)),
            named(format!("{one}-unlock"), Gate::one_leaves),
            named(format!("{one}-wait"), Gate::one_waits),
            named(format!("{all}-unlock-to-{one}"), Gate::all_leaves),
            named(format!("{all}-wait-for-{one}"), Gate::all_waits),
            named(format!("{all}-give-up-for-{one}"), Gate::all_gives_up),
        ]
    }

    fn ones(self) -> impl FnOnce(H, &Board) -> Outcome {
        move |gate, board| (self.one)(&gate, board, &mut || ())
    }

    fn others(self) -> impl FnOnce(H, &Board) -> Outcome {
        move |gate, board| (self.other)(&gate, board, &mut || ())
    }

    fn alls(self) -> impl FnOnce(H, &Board) -> Outcome {
        move |gate, board| (self.all)(&gate, board, &mut || ())
    }

    /// The victim enters as one of many and leaves.
    fn enter(self, stage: &mut Stage, before: u32) -> Setup {
        let gate = (self.make)()?;
        stage.victim(&gate, move |gate, board, mark| {
            (0..before).try_for_each(|_| (self.one)(&gate, board, &mut || ()))?;
            mark.operation(|| (self.one)(&gate, board, &mut || ()))
        })?;
        stage.actor(When::Pause, "another of many, while the victim lives", &gate, self.others())?;
        stage.actor(When::Pause, "who wants all while the victim lives", &gate, self.alls())?;
        self.ends(stage, &gate, Wants::One)
    }

    /// The victim is one of many and leaves. Somebody waits for all of it, and behind that one another of many.
    fn one_leaves(self, stage: &mut Stage) -> Setup {
        let gate = (self.make)()?;
        stage.victim(&gate, move |gate, board, mark| {
            let result = (self.one)(&gate, board, &mut || mark.begin());
            mark.end();
            result
        })?;
        stage.actor(When::Ready, "who waits for all", &gate, self.alls())?;
        stage.actor(When::Ready, "another of many, behind that", &gate, self.others())?;
        stage.actor(When::Ready, "another who waits for all", &gate, self.alls())?;
        stage.actor(When::Pause, "one of many, while the victim lives", &gate, self.ones())?;
        self.ends(stage, &gate, Wants::One)
    }

    /// Another has all of it. The victim waits to be one of many, and others do.
    fn one_waits(self, stage: &mut Stage) -> Setup {
        let gate = (self.make)()?;
        stage.actor(When::First, "who has all", &gate, move |gate, board| {
            (self.all)(&gate, board, &mut || board.await_count(MAY_UNLOCK, 1))?;
            board.add(DONE, 1);
            Ok(())
        })?;
        stage.victim(&gate, move |gate, board, mark| {
            (self.in_vain)(&gate)?;
            mark.operation(|| (self.one)(&gate, board, &mut || ()))
        })?;
        stage.actor(When::Ready, "who waits for all", &gate, move |gate, board| {
            board.await_count(MAY_LOCK, 1);
            (self.all)(&gate, board, &mut || ())
        })?;
        self.lets_go(stage)?;
        stage.actor(When::Pause, "another of many", &gate, self.others())?;
        self.ends(stage, &gate, Wants::One)
    }

    /// The victim has all of it and leaves; two of many wait, and somebody for all.
    fn all_leaves(self, stage: &mut Stage) -> Setup {
        let gate = (self.make)()?;
        stage.victim(&gate, move |gate, board, mark| {
            let result = (self.all)(&gate, board, &mut || mark.begin());
            mark.end();
            result
        })?;
        stage.actor(When::Ready, "one of many that waits", &gate, self.ones())?;
        stage.actor(When::Ready, "who waits for all", &gate, self.alls())?;
        stage.actor(When::Ready, "another of many that waits", &gate, self.others())?;
        stage.actor(When::Pause, "who comes while the victim lives", &gate, self.ones())?;
        self.ends(stage, &gate, Wants::All)
    }

    /// Another is one of many. The victim waits for all of it; if it dies before the other left, nobody hears of it.
    fn all_waits(self, stage: &mut Stage) -> Setup {
        let gate = (self.make)()?;
        self.one_inside(stage, &gate)?;
        stage.victim(&gate, move |gate, board, mark| {
            (self.in_vain)(&gate)?;
            mark.operation(|| (self.all)(&gate, board, &mut || ()))
        })?;
        stage.actor(When::Ready, "who waits for all", &gate, move |gate, board| {
            board.await_count(MAY_LOCK, 1);
            (self.all)(&gate, board, &mut || ())
        })?;
        self.lets_go(stage)?;
        stage.actor(When::Pause, "another of many", &gate, self.others())?;
        self.ends(stage, &gate, Wants::All)
    }

    /// The same, but the victim gives up.
    fn all_gives_up(self, stage: &mut Stage) -> Setup {
        let gate = (self.make)()?;
        self.one_inside(stage, &gate)?;
        stage.victim(&gate, move |gate, _, mark| {
            (self.in_vain)(&gate)?;
            mark.operation(|| (self.in_vain)(&gate))
        })?;
        stage.actor(When::Wake, "nobody: the time ends the sleep", &(), |(), _| Ok(()))?;
        stage.actor(When::Pause, "another of many", &gate, self.others())?;
        stage.actor(When::Pause, "who wants all while the victim lives", &gate, self.alls())?;
        self.ends(stage, &gate, Wants::All)
    }

    fn one_inside(self, stage: &mut Stage, gate: &H) -> Setup {
        stage.actor(When::First, "one of many", gate, move |gate, board| {
            (self.one)(&gate, board, &mut || board.await_count(MAY_UNLOCK, 1))?;
            board.add(DONE, 1);
            Ok(())
        })
    }

    /// Who is inside leaves when the victim sleeps.
    fn lets_go(self, stage: &mut Stage) -> Setup {
        stage.actor(When::Wake, "who lets it go on", &(), |(), board| {
            board.add(MAY_LOCK, 1);
            // So that the other waiter sleeps, behind the victim.
            std::thread::sleep(Duration::from_millis(2));
            board.add(MAY_UNLOCK, 1);
            board.await_count(DONE, 1);
            Ok(())
        })
    }

    fn ends(self, stage: &mut Stage, gate: &H, victim: Wants) -> Setup {
        stage.actor(When::After, "who comes after it", gate, move |gate, board| {
            if board.add(MAY_UNLOCK, 1) == 0 {
                board.add(KEPT_OUT, 1);
            }
            board.add(MAY_LOCK, 1);
            (self.other)(&gate, board, &mut || ())?;
            (self.one)(&gate, board, &mut || ())?;
            (self.all)(&gate, board, &mut || ())
        })?;
        stage.actor(When::Last, "the judge", gate, move |gate, board| {
            // Nothing is left to be told, and nobody is left inside.
            let told = board.count(TOLD);
            (self.all)(&gate, board, &mut || ())?;
            (self.one)(&gate, board, &mut || ())?;
            ensure(board.count(TOLD) == told, || "an owner's death was told after it was mended".into())?;
            let was_not_inside = match victim {
                Wants::One => !self.one_poisons,
                Wants::All => board.count(KEPT_OUT) == 1 && board.count(DONE) == 1,
            };
            let blameless = board.finished() || was_not_inside;
            ensure(told == 0 || !blameless, || format!("{told} heard that an owner died, who was not one"))
        })
    }
}

/// Counts what was told, and mends.
fn mended<G>(
    result: Result<G, LockError>,
    board: &Board,
    repair: impl FnOnce() -> Result<G, LockError>,
) -> Result<G, String> {
    match result {
        Err(LockError::OwnerDied) => {
            board.add(TOLD, 1);
            repair()
        }
        other => other,
    }
    .map_err(text)
}

fn in_vain<G>(result: Result<Option<G>, LockError>) -> Outcome {
    ensure(result.map_err(text)?.is_none(), || "the lock was free".into())
}

const MILLISECOND: Duration = Duration::from_millis(1);

fn read(lock: &RwLock<[u64; 2]>, board: &Board, middle: &mut dyn FnMut()) -> Outcome {
    loop {
        match lock.read() {
            Ok(pair) => {
                check(&pair[..])?;
                middle();
                return check(&pair[..]);
            }
            Err(LockError::OwnerDied) => {
                board.add(TOLD, 1);
                lock.repair(|pair| pair[1] = pair[0]).map(drop).map_err(text)?;
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn rwlock() -> Gate<RwLock<[u64; 2]>> {
    Gate {
        name: "rwlock",
        words: ("read", "write"),
        make: || Ok(RwLock::new([0, 0])?),
        one: read,
        all: |lock, board, middle| {
            let pair = mended(lock.write(), board, || lock.repair(|pair| pair[1] = pair[0]));
            add_to(&mut pair?[..], middle)
        },
        other: read,
        one_poisons: false,
        in_vain: |lock| in_vain(lock.write_timeout(MILLISECOND)),
    }
}

/// An array of two pairs, and its two parts.
type Parts = (Array<u64>, Part<u64>, Part<u64>);

fn lock_part(part: &Part<u64>, board: &Board, middle: &mut dyn FnMut()) -> Outcome {
    loop {
        match part.lock() {
            Ok(mut pair) => return add_to(&mut pair, middle),
            Err(LockError::OwnerDied) => {
                board.add(TOLD, 1);
                mend(part.array())?;
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// Mends the whole, and so the parts.
fn mend(array: &Array<u64>) -> Outcome {
    let mend = |all: &mut [u64]| all.chunks_mut(2).for_each(|pair| pair[1] = pair[0]);
    array.repair(mend).map(drop).map_err(text)
}

fn parts() -> Gate<Parts> {
    Gate {
        name: "array",
        words: ("part", "whole"),
        make: || {
            let array = Array::from_slice(&[0; 4])?;
            let mut parts = array.try_parts(2)?.into_iter();
            match (parts.next(), parts.next()) {
                (Some(first), Some(second)) => Ok((array, first, second)),
                _ => Err("no parts".into()),
            }
        },
        one: |(_, part, _), board, middle| lock_part(part, board, middle),
        all: |(array, ..), board, middle| {
            loop {
                match array.lock() {
                    Ok(mut all) => {
                        let (first, second) = all.split_at_mut(2);
                        add_to(first, middle)?;
                        return add_to(second, &mut || ());
                    }
                    Err(LockError::OwnerDied) => {
                        board.add(TOLD, 1);
                        mend(array)?;
                    }
                    Err(e) => return Err(e.to_string()),
                }
            }
        },
        other: |(_, _, part), board, middle| lock_part(part, board, middle),
        // One that waits has its part for a moment, until it sees that another has all.
        one_poisons: true,
        in_vain: |(array, ..)| in_vain(array.lock_timeout(MILLISECOND)),
    }
}

pub(super) fn all() -> Vec<Scenario> {
    let mut all = rwlock().scenarios();
    all.extend(parts().scenarios());
    all
}
