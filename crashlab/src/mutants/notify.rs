//! A condition: sleepers wait for items that a notifier puts there, under the lock beside.
//!
//! | word | meaning |
//! |---|---|
//! | sequence | grows with each notification; who waits sleeps on it |
//! | items | what is waited for, under the lock |
//! | asleep | who the broken form counts as waiting |
//! | inner | of other broken forms, 0 or 1: a plain lock is held, or a notification is pending |

use super::lock::Lock;
use crate::board::Board;
use crate::scenario::Scenario;
use crate::stage::{Outcome, Setup, Stage, When, ensure};
use crate::sys;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const LOCK: usize = 0;
const SEQUENCE: usize = 16;
const ITEMS: usize = 17;
const ASLEEP: usize = 18;
const INNER: usize = 19;

const MOMENT: Duration = Duration::from_micros(50);

/// The condition, and how it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notify {
    /// Wakes all; each looks for itself.
    Right,
    /// Wakes one, who may die of it.
    One,
    /// Waits until all that slept have said that they are up, as `pthread_cond_signal` does.
    Acknowledged,
    /// Keeps its sequence under a lock of its own that no death frees.
    InnerLock,
    /// A notification that finds another one pending leaves the waking to that.
    Coalesced,
}

impl Notify {
    fn wait(self, board: &Board) {
        self.enter(board);
        let seen = board.word(SEQUENCE).load(SeqCst);
        if self == Notify::Acknowledged {
            board.word(ASLEEP).fetch_add(1, SeqCst);
        }
        self.leave(board);
        Lock::Right.unlock(board.word(LOCK));
        sys::futex_wait(board.word(SEQUENCE), seen, None);
        if self == Notify::Coalesced {
            board.word(INNER).store(0, SeqCst);
        }
        if self == Notify::Acknowledged {
            board.word(ASLEEP).fetch_sub(1, SeqCst);
        }
        Lock::Right.lock(board.word(LOCK));
    }

    fn notify(self, board: &Board) {
        let sequence = board.word(SEQUENCE);
        if self == Notify::Coalesced && board.word(INNER).swap(1, SeqCst) == 1 {
            return;
        }
        self.enter(board);
        sequence.fetch_add(1, SeqCst);
        self.leave(board);
        sys::futex_wake(sequence, if self == Notify::One { 1 } else { i32::MAX });
        while self == Notify::Acknowledged && board.word(ASLEEP).load(SeqCst) > 0 {
            std::thread::sleep(MOMENT);
        }
    }

    fn enter(self, board: &Board) {
        while self == Notify::InnerLock && board.word(INNER).swap(1, SeqCst) == 1 {
            std::thread::sleep(MOMENT);
        }
    }

    fn leave(self, board: &Board) {
        if self == Notify::InnerLock {
            board.word(INNER).store(0, SeqCst);
        }
    }

    fn take(self, board: &Board) -> Outcome {
        Lock::Right.lock(board.word(LOCK));
        while board.word(ITEMS).load(SeqCst) == 0 {
            self.wait(board);
        }
        board.word(ITEMS).fetch_sub(1, SeqCst);
        Lock::Right.unlock(board.word(LOCK));
        board.add(0, 1);
        Ok(())
    }

    /// Puts items, and notifies once the lock is free: who is woken finds it so.
    fn put(self, board: &Board, items: u32) -> Outcome {
        Lock::Right.lock(board.word(LOCK));
        board.word(ITEMS).fetch_add(items, SeqCst);
        Lock::Right.unlock(board.word(LOCK));
        self.notify(board);
        Ok(())
    }
}

/// The notifier dies; another comes after it, and two sleepers must both end.
fn notifier(notify: Notify, stage: &mut Stage) -> Setup {
    for name in ["a sleeper", "another sleeper"] {
        stage.actor(When::First, name, &(), move |(), board| notify.take(board))?;
    }
    stage.victim(&(), move |(), board, mark| mark.operation(|| notify.put(board, 2)))?;
    stage.actor(When::After, "the next notifier", &(), move |(), board| notify.put(board, 2))?;
    stage.actor(When::Last, "the judge", &(), |(), board| {
        ensure(board.count(0) == 2, || format!("{} got an item", board.count(0)))
    })
}

/// A sleeper dies. One item was put while it lived, or is put after it; the other sleeper must get one.
fn sleeper(notify: Notify, stage: &mut Stage) -> Setup {
    let puts = move |board: &Board| {
        board.add(3, 1);
        std::thread::sleep(MOMENT * 20);
        notify.put(board, 1)
    };
    stage.victim(&(), move |(), board, mark| mark.operation(|| notify.take(board)))?;
    stage.actor(When::Ready, "the other sleeper", &(), move |(), board| {
        // Behind the victim, which is the one to be woken if only one is.
        board.await_count(3, 1);
        notify.take(board)
    })?;
    stage.actor(When::Wake, "the notifier", &(), move |(), board| puts(board))?;
    stage.actor(When::After, "the notifier that comes after it", &(), move |(), board| {
        // An item that lies there wakes who sleeps, without another word from here.
        while board.count(3) == 1 && board.word(ITEMS).load(SeqCst) > 0 {
            std::thread::sleep(MOMENT);
        }
        puts(board)
    })
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new("mutants/notify/right", |s| notifier(Notify::Right, s)),
        Scenario::new("mutants/notify/right-sleeper", |s| sleeper(Notify::Right, s)),
        Scenario::mutant("mutants/notify/wakes-one", |s| sleeper(Notify::One, s)),
        Scenario::mutant("mutants/notify/acknowledged", |s| sleeper(Notify::Acknowledged, s)),
        Scenario::mutant("mutants/notify/inner-lock", |s| sleeper(Notify::InnerLock, s)),
        Scenario::mutant("mutants/notify/coalesced", |s| notifier(Notify::Coalesced, s)),
    ]
}
