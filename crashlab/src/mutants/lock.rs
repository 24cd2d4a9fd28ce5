//! A robust lock of one word, held through the thread's pending slot of the kernel's robust list.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | free |
//! | TID | held |
//! | `WAITERS` | somebody sleeps, or did |
//! | `OWNER_DIED` | set by the kernel when the owner died |

use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use crate::sys::{self, robust};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

const TID: u32 = 0x3fff_ffff;
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;

/// The lock, and how it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Right,
    /// The kernel is not told of the lock.
    NotPending,
    /// The word says free before the data is whole.
    FreeTooEarly,
    /// Unlocking forgets that others sleep: who is woken may die.
    ForgetsWaiters,
    /// The same, and who sleeps looks again after a while: nobody hangs, and the wake is lost all the same.
    LooksAgain,
}

impl Lock {
    /// Locks; says whether an owner died.
    pub(super) fn lock(self, word: &AtomicU32) -> bool {
        if self != Lock::NotPending {
            robust::announce(word);
        }
        let me = sys::thread_id();
        let mut slept = 0;
        loop {
            let seen = word.load(SeqCst);
            if seen & TID == 0 {
                if word.compare_exchange(seen, me | (seen & WAITERS) | slept, SeqCst, SeqCst).is_ok() {
                    return seen & OWNER_DIED != 0;
                }
                continue;
            }
            if seen & WAITERS == 0 && word.compare_exchange(seen, seen | WAITERS, SeqCst, SeqCst).is_err() {
                continue;
            }
            sys::futex_wait(word, seen | WAITERS, (self == Lock::LooksAgain).then_some(250));
            slept = WAITERS;
        }
    }

    pub(super) fn unlock(self, word: &AtomicU32) {
        if word.compare_exchange(sys::thread_id(), 0, SeqCst, SeqCst).is_err() {
            let forgets = matches!(self, Lock::ForgetsWaiters | Lock::LooksAgain);
            word.store(if forgets { 0 } else { WAITERS }, SeqCst);
            sys::futex_wake(word, 1);
        }
        robust::withdraw();
    }
}

/// The word, and two numbers that are equal whenever the lock is free and no owner died.
const WORD: usize = 0;
const LEFT: usize = 16;
const RIGHT: usize = 32;

/// Adds one to both numbers. A dead owner's half is made up for.
fn add(lock: Lock, board: &Board) -> Outcome {
    let word = board.word(WORD);
    let died = lock.lock(word);
    let (left, right) = (board.word(LEFT), board.word(RIGHT));
    if died {
        right.store(left.load(SeqCst), SeqCst);
    }
    let seen = (left.load(SeqCst), right.load(SeqCst));
    left.store(seen.0 + 1, SeqCst);
    if lock == Lock::FreeTooEarly {
        lock.unlock(word);
        right.store(seen.1 + 1, SeqCst);
    } else {
        right.store(seen.1 + 1, SeqCst);
        lock.unlock(word);
    }
    ensure(seen.0 == seen.1, || format!("the lock was free, and the data torn: {seen:?}"))
}

/// One sleeps on the lock, the victim adds, and afterwards another adds.
fn owner(lock: Lock, stage: &mut Stage) -> Setup {
    stage.victim(&(), move |(), board, mark| mark.operation(|| add(lock, board)))?;
    stage.actor(When::Pause, "who comes while the victim lives", &(), move |(), board| add(lock, board))?;
    stage.actor(When::After, "who comes after it", &(), move |(), board| add(lock, board))?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        let count = board.word(LEFT).load(SeqCst);
        let least = if board.finished() { 3 } else { 2 };
        ensure((least..=3).contains(&count), || format!("{count} were added"))
    })
}

/// The victim sleeps on the lock beside another, is woken, and a third one takes the lock before it.
fn waiter(lock: Lock, stage: &mut Stage) -> Setup {
    stage.actor(When::First, "the owner", &(), move |(), board| {
        lock.lock(board.word(WORD));
        board.add(0, 1);
        board.await_count(1, 1);
        lock.unlock(board.word(WORD));
        board.add(2, 1);
        Ok(())
    })?;
    stage.victim(&(), move |(), board, mark| mark.operation(|| add(lock, board)))?;
    stage.actor(When::Wake, "who lets the owner unlock", &(), move |(), board| {
        // The other waiter comes second, so that the victim is the one that is woken.
        board.add(3, 1);
        std::thread::sleep(std::time::Duration::from_millis(2));
        board.add(1, 1);
        board.await_count(2, 1);
        Ok(())
    })?;
    stage.actor(When::Ready, "the other waiter", &(), move |(), board| {
        board.await_count(3, 1);
        add(lock, board)
    })?;
    stage.actor(When::Pause, "who takes the lock first", &(), move |(), board| {
        board.add(3, 1);
        board.add(1, 1);
        lock.lock(board.word(WORD));
        board.await_death();
        lock.unlock(board.word(WORD));
        Ok(())
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("mutants/lock/right", |s| owner(Lock::Right, s)),
        Scenario::new("mutants/lock/right-waiter", |s| waiter(Lock::Right, s)).prompt(),
        Scenario::mutant("mutants/lock/not-pending", |s| owner(Lock::NotPending, s)),
        Scenario::mutant("mutants/lock/free-too-early", |s| owner(Lock::FreeTooEarly, s)),
        Scenario::mutant("mutants/lock/forgets-waiters", |s| waiter(Lock::ForgetsWaiters, s)),
        Scenario::mutant("mutants/lock/looks-again", |s| waiter(Lock::LooksAgain, s)).prompt(),
    ]
}
