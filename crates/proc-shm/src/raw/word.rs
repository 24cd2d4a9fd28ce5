//! What the two locks have in common: taking a word that is not simply free, and giving it up with sleepers.

use std::time::{Duration, Instant};

use super::spin::Spin;
use crate::{
    sync::{
        AtomicU32,
        Ordering::{Relaxed, Release, SeqCst},
    },
    sys::{futex, robust::Me, tasks},
};

/// Bits of the kernel (`FUTEX_WAITERS`, `FUTEX_OWNER_DIED`, `FUTEX_TID_MASK`).
pub(super) const WAITERS: u32 = 0x8000_0000;
pub(super) const OWNER_DIED: u32 = 0x4000_0000;
pub(super) const TID: u32 = 0x3fff_ffff;

/// The longest sleep without a look at the owner.
const SLICE: Duration = Duration::from_millis(if cfg!(loom) { NEVER } else { 250 });

/// A sleeper that was woken and came too late says so after this time, see [`Hungry`].
const PATIENCE: Duration = Duration::from_millis(if cfg!(loom) { NEVER } else { 1 });

/// Milliseconds that no model takes: in one, what happens must not depend on the clock.
const NEVER: u64 = 1 << 40;

/// How the attempt to take a word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is ours; its last owner gave it up.
    Clean,
    /// It is ours; its last owner died with it.
    OwnerDied,
    /// It is free and marked, and the caller did not want it so.
    Poisoned,
    /// This thread has it.
    Deadlock,
    /// The time is up.
    TimedOut,
}

/// What a locker wants of a word whose owner died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dead {
    /// To have it.
    Take,
    /// To be told.
    Refuse,
}

/// A bound on waiting: set by a sleeper that has been passed over for long, seen by whoever unlocks next and wakes it, who
/// then waits, for at most a millisecond, until somebody has the lock.
///
/// | value | meaning | left by |
/// |---|---|---|
/// | 0 | nobody is hungry | a sleeper |
/// | 1 | the next unlock is to be polite | that unlock |
///
/// It is a hint: whoever sets it may die, and at worst one unlock takes a millisecond.
pub(super) type Hungry = AtomicU32;

/// Takes `word`, until `deadline` if there is one. The caller watches `word`.
#[cold]
pub(super) fn acquire_slow(
    word: &AtomicU32,
    hungry: Option<&Hungry>,
    me: Me,
    dead: Dead,
    deadline: Option<Instant>,
) -> Taken {
    let mut spin = Spin::new();
    // Whoever has slept sets WAITERS when it takes the word: others may still sleep, and it does not know.
    let mut slept = 0;
    let mut began: Option<Instant> = None;
    loop {
        let now = word.load(Relaxed);
        if now & TID == 0 {
            if now & OWNER_DIED != 0 && dead == Dead::Refuse {
                pass_on(word, now);
                return Taken::Poisoned;
            }
            let ours = me.tid() | (now & WAITERS) | slept;
            if word.compare_exchange(now, ours, SeqCst, Relaxed).is_ok() {
                return if now & OWNER_DIED == 0 { Taken::Clean } else { Taken::OwnerDied };
            }
            continue;
        }
        if now & TID == me.tid() {
            return Taken::Deadlock;
        }
        if spin.once_more() {
            continue;
        }
        let before = Instant::now();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(before));
        if left.is_some_and(|left| left.is_zero()) {
            // Who always waits for less than a slice must learn of such a death, too.
            if slept != 0 && mark_if_gone(word, now) {
                continue;
            }
            return Taken::TimedOut;
        }
        if let Some(hungry) = hungry {
            match began {
                Some(began) if before.duration_since(began) > PATIENCE => hungry.store(1, Relaxed),
                Some(_) => {}
                None => began = Some(before),
            }
        }
        let asleep = now | WAITERS;
        if now != asleep && word.compare_exchange(now, asleep, Relaxed, Relaxed).is_err() {
            continue;
        }
        slept = WAITERS;
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        futex::wait(word, asleep, Some(slice));
        if before.elapsed() >= SLICE && word.load(Relaxed) == asleep {
            mark_if_gone(word, asleep);
        }
    }
}

/// Marks the word if its owner is not there any more and the kernel did not tell; says whether it did.
fn mark_if_gone(word: &AtomicU32, now: u32) -> bool {
    tasks::is_gone(now & TID)
        && word.compare_exchange(now, (now & WAITERS) | OWNER_DIED, Relaxed, Relaxed).is_ok()
}

/// A word that is marked and stays so: the kernel woke one, and all shall know.
fn pass_on(word: &AtomicU32, now: u32) {
    if now & WAITERS != 0 && word.compare_exchange(now, now & !WAITERS, Relaxed, Relaxed).is_ok() {
        futex::wake(word, u32::MAX);
    }
}

/// Gives up a word that this thread has, when it is not simply `tid`.
#[cold]
pub(super) fn release_slow(word: &AtomicU32, hungry: Option<&Hungry>) {
    word.store(WAITERS, Release);
    if futex::wake(word, 1) == 0 {
        // Nobody slept. Who comes in between sees another word than the one it wanted to sleep on.
        let _ = word.compare_exchange(WAITERS, 0, Relaxed, Relaxed);
    } else if let Some(hungry) = hungry {
        if hungry.load(Relaxed) != 0 {
            hungry.store(0, Relaxed);
            let_in(word);
        }
    }
}

/// Waits until somebody has taken `word`, for about a millisecond.
fn let_in(word: &AtomicU32) {
    for _ in 0..20 {
        if word.load(Relaxed) != WAITERS {
            return;
        }
        futex::nap(Duration::from_micros(50));
    }
}

/// Gives up a word that this thread has and marks it, so that everybody sees that what it guards may be half done.
#[cold]
pub(super) fn release_poisoned(word: &AtomicU32) {
    if word.swap(OWNER_DIED, Release) & WAITERS != 0 {
        futex::wake(word, u32::MAX);
    }
}
