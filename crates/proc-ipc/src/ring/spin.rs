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
    several_cpus: Option<bool>,
}

const FULL: u32 = 256;
const LEAST: u32 = 8;
const PAUSES: u32 = 100;
const YIELDS: u32 = 200;
const MAX_BACKOFF: u32 = 64;

/// A sleep below this would have been a shorter wait of looking: about what it takes two sides to wake each other, where
/// waking is slow.
const SHORT: Duration = Duration::from_micros(150);

impl Default for Spin {
    fn default() -> Spin {
        Spin { budget: FULL, backoff: 0, several_cpus: None }
    }
}

impl Spin {
    /// To be told when all there was has been consumed, and how many records that were: several mean that the sender is
    /// busy, and that it pays to let it be.
    #[inline]
    pub(crate) fn caught_up(&mut self, records: u32) {
        self.backoff = if records > 1 { (self.backoff * 2 + 4).min(MAX_BACKOFF) } else { self.backoff / 2 };
    }

    /// Looks until `ready` says so or the budget is spent.
    #[inline]
    pub(crate) fn until(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let several = match self.several_cpus {
            Some(several) => several,
            None => *self.several_cpus.insert(cpus::several()),
        };
        if several {
            for _ in 0..self.backoff {
                hint::spin_loop();
            }
            let (mut pauses, mut step) = (0, 1);
            while pauses < PAUSES * self.budget / FULL {
                if ready() {
                    return true;
                }
                for _ in 0..step {
                    hint::spin_loop();
                }
                pauses += step;
                step = (step + 1).min(8);
            }
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
}
