//! `proc_pool::Pool` as a participant.

use crate::same;
use benches::{Routine, Setting, batches, calls};
use proc_core::StartMethod;
use proc_pool::{Pool, Task};

/// A pool whose workers have all answered: their start is not counted.
pub(crate) fn warm(workers: usize) -> Result<Pool, String> {
    let pool = Pool::builder()
        .workers(workers)
        .start_method(StartMethod::Zygote)
        .build()
        .map_err(|e| e.to_string())?;
    let warm: Vec<u64> = pool.map(same, 0..workers as u64 * 100).map_err(|e| e.to_string())?;
    assert_eq!(warm.len(), workers * 100);
    Ok(pool)
}

/// Many submitted, then all waited for.
pub(crate) fn submit(workers: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = warm(workers)?;
        Ok(batches(10_000, move |n| {
            let tasks: Vec<Task<u64>> = (0..n).map(|i| pool.submit(same, i)).collect();
            let sum: u64 = tasks.into_iter().map(|task| task.get().expect("a result")).sum();
            assert_eq!(sum, n * n.saturating_sub(1) / 2);
        }))
    }
}

pub(crate) fn map(_: &Setting) -> Result<Routine, String> {
    let pool = warm(2)?;
    Ok(batches(100_000, move |n| {
        let results = pool.map(same, 0..n).expect("the results");
        assert_eq!(results.iter().sum::<u64>(), n * n.saturating_sub(1) / 2);
    }))
}

pub(crate) fn one(_: &Setting) -> Result<Routine, String> {
    let pool = warm(2)?;
    let mut i = 0;
    Ok(calls(move || {
        i += 1;
        assert_eq!(pool.submit(same, i).get().expect("a result"), i);
    }))
}
