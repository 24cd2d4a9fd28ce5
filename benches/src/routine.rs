//! What is measured: a routine does `n` iterations and says how long they took.

use std::time::{Duration, Instant};

/// Does this many iterations, and returns the time that counts. Criterion decides how many.
pub type Routine = Box<dyn FnMut(u64) -> Duration>;

/// A routine of single calls.
pub fn calls<R>(mut call: impl FnMut() -> R + 'static) -> Routine {
    Box::new(move |n| {
        timed(|| {
            for _ in 0..n {
                std::hint::black_box(call());
            }
        })
    })
}

/// A routine whose iterations are done many at a time, at most `most`: what is in flight at once then doesn't depend on
/// how many iterations criterion asks for.
pub fn batches(most: u64, mut batch: impl FnMut(u64) + 'static) -> Routine {
    Box::new(move |n| {
        timed(|| {
            let mut left = n;
            while left > 0 {
                let now = left.min(most);
                batch(now);
                left -= now;
            }
        })
    })
}

/// How long this takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
