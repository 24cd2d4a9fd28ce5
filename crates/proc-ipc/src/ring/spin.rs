//! How long to look before sleeping.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

use crate::sys::cpus;

/// A wait looks for a while, first between pauses of the CPU, then between yields to other threads, and then gives up
/// for its caller to sleep. Waking a sleeper on another CPU takes tens of microseconds, a look 0.3; on a single CPU it
/// is the other way round, as nothing can happen while we look: there it only yields.
///
/// A wait does not know where the other side is: there may be many. If this thread may use several CPUs it is taken to be elsewhere. A thread that is
/// pinned to one may have its peer beside it or on another: it tries a few pauses now and then, and goes on with them for
/// as long as what it waits for comes meanwhile, which can't be if nobody else runs.
///
/// The budget halves when a whole wait of looking found nothing. It grows fourfold when the sleep after that was so short
/// that looking longer would have been faster: the two together must leave more than there was, or two sides that have
/// both been held up for a while would sleep on every message from then on, as each waits for the other's waking. Between
/// looks at a busy sender's position it backs off, so that records gather: a
/// reader that takes the line from the writer for each record moves a third as many.
#[derive(Clone, Debug)]
pub(crate) struct Spin {
    /// Of [`FULL`].
    budget: u32,
    /// Pauses before the first look.
    backoff: u32,
    /// Whether this thread may use several CPUs, if it has asked lately.
    several_cpus: Option<bool>,
    /// This thread is pinned, and what it waited for last came between two pauses.
    pauses_pay: bool,
    /// Waits of a thread that is pinned.
    waits: u32,
}

const FULL: u32 = 256;
const LEAST: u32 = 8;
const PAUSES: u32 = 100;
const YIELDS: u32 = 200;
const MAX_BACKOFF: u32 = 64;

/// One of so many waits of a thread that is pinned tries whether pauses pay, for as many of them.
const TRY: u32 = 32;

/// A sleep below this would have been a shorter wait of looking: about what it takes two sides to wake each other, where
/// waking is slow.
const SHORT: Duration = Duration::from_micros(150);

impl Default for Spin {
    fn default() -> Spin {
        Spin { budget: FULL, backoff: 0, several_cpus: None, pauses_pay: false, waits: 0 }
    }
}

impl Spin {
    /// To be told when all there was has been consumed, and how many records that were: several mean that the sender is
    /// busy, and that it pays to let it be.
    #[inline]
    pub(crate) fn caught_up(&mut self, records: u32) {
        self.backoff = if records > 1 { (self.backoff * 2 + 4).min(MAX_BACKOFF) } else { self.backoff / 2 };
    }

    /// Whether it is some time since this thread asked where it may run: at first, and after a wait in vain.
    pub(crate) fn has_to_ask(&self) -> bool {
        self.several_cpus.is_none()
    }

    /// Whether the other side may be on another CPU, as far as is known here.
    pub(crate) fn is_far(&mut self) -> bool {
        self.pauses_pay || *self.several_cpus.get_or_insert_with(cpus::several)
    }

    /// Looks until `ready` says so or the budget is spent.
    #[inline]
    pub(crate) fn until(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let most = if self.is_far() { PAUSES * self.budget / FULL } else { self.trial() };
        if most > 0 {
            for _ in 0..self.backoff {
                hint::spin_loop();
            }
            let (mut pauses, mut step) = (0, 1);
            while pauses < most {
                if ready() {
                    self.pauses_pay |= pauses > 0 && self.several_cpus == Some(false);
                    return true;
                }
                for _ in 0..step {
                    hint::spin_loop();
                }
                pauses += step;
                step = (step + 1).min(8);
            }
            self.pauses_pay = false;
        }
        for _ in 0..YIELDS * self.budget / FULL {
            if ready() {
                return true;
            }
            thread::yield_now();
        }
        self.budget = (self.budget / 2).max(LEAST);
        self.several_cpus = None;
        ready()
    }

    /// How many pauses a thread that is pinned tries.
    #[cold]
    fn trial(&mut self) -> u32 {
        self.waits = self.waits.wrapping_add(1);
        if self.waits % TRY == 0 { TRY } else { 0 }
    }

    /// Runs `sleep`, and learns from how long it took.
    pub(crate) fn learn<T>(&mut self, sleep: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = sleep();
        if start.elapsed() < SHORT {
            self.budget = (self.budget * 4).min(FULL);
        }
        result
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Both sides of an exchange that has been held up look long again once their sleeps are short.
    #[test]
    fn short_sleeps_win_back_what_long_ones_took() {
        let mut spin = Spin::default();
        for _ in 0..20 {
            assert!(!spin.until(|| false));
            spin.learn(|| thread::sleep(SHORT * 2));
        }
        assert_eq!(spin.budget, LEAST);
        for _ in 0..20 {
            assert!(!spin.until(|| false));
            spin.learn(|| ());
        }
        assert_eq!(spin.budget, FULL);
    }

    /// A thread that is pinned finds out that its peer runs elsewhere, and that it does not any more.
    #[test]
    fn who_is_pinned_learns_whether_pauses_pay() {
        let pinned = || Spin { several_cpus: Some(false), ..Spin::default() };
        let soon = |spin: &mut Spin| {
            let mut looks = 0;
            spin.until(|| {
                looks += 1;
                looks > 3
            })
        };
        let mut spin = pinned();
        assert!(!spin.is_far());
        assert!((0..TRY).all(|_| soon(&mut spin)));
        assert!(spin.is_far());
        assert!(!spin.until(|| false));
        assert!(!spin.pauses_pay);

        // What is there at once says nothing.
        let mut spin = pinned();
        assert!((0..2 * TRY).all(|_| spin.until(|| true)));
        assert!(!spin.is_far());
    }
}
