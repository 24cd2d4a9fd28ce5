//! procspawn's `Pool` as a participant.
//!
//! A task in flight holds descriptors there (it dies of EMFILE after some 300), so a window of tasks is kept open. With
//! more large tasks open than workers it deadlocks: there the window is two.

use crate::same;
use benches::{Routine, Setting, batches, calls};
use procspawn::{JoinHandle, Pool};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::collections::VecDeque;

fn warm(workers: usize) -> Result<Pool, String> {
    let pool = Pool::new(workers).map_err(|e| e.to_string())?;
    for i in 0..50 {
        assert_eq!(pool.spawn(i, same).join().map_err(|e| e.to_string())?, i);
    }
    Ok(pool)
}

/// Joins in order, with so many open.
fn windowed<A, R>(
    pool: &Pool,
    window: usize,
    f: fn(A) -> R,
    args: impl Iterator<Item = A>,
    mut each: impl FnMut(R),
) where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    let mut open: VecDeque<JoinHandle<R>> = VecDeque::with_capacity(window);
    for arg in args {
        if open.len() == window {
            let first = open.pop_front().expect("the window is full");
            each(first.join().expect("a result"));
        }
        open.push_back(pool.spawn(arg, f));
    }
    for task in open {
        each(task.join().expect("a result"));
    }
}

pub(crate) fn submit(workers: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = warm(workers)?;
        Ok(batches(10_000, move |n| {
            let mut sum = 0;
            windowed(&pool, 64, same, 0..n, |x| sum += x);
            assert_eq!(sum, n * n.saturating_sub(1) / 2);
        }))
    }
}

pub(crate) fn one(_: &Setting) -> Result<Routine, String> {
    let pool = warm(2)?;
    let mut i = 0;
    Ok(calls(move || {
        i += 1;
        assert_eq!(pool.spawn(i, same).join().expect("a result"), i);
    }))
}

pub(crate) fn bulk(size: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = warm(2)?;
        let source = ByteBuf::from(vec![7; size]);
        Ok(batches(64, move |n| {
            let args = (0..n).map(|_| source.clone());
            windowed(&pool, 2, |bytes: ByteBuf| bytes, args, |bytes| assert_eq!(bytes.len(), size));
        }))
    }
}

pub(crate) fn unequal(tasks: &'static [u64]) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = warm(2)?;
        Ok(calls(move || {
            let mut sum = 0_u64;
            let args = tasks.iter().copied();
            windowed(&pool, 64, crate::unequal::work, args, |x| sum = sum.wrapping_add(x));
            std::hint::black_box(sum);
        }))
    }
}

pub(crate) fn create(_: &Setting) -> Result<Routine, String> {
    Ok(calls(|| {
        let pool = Pool::new(2).expect("a pool");
        assert_eq!(pool.spawn(1, same).join().expect("a result"), 1);
        pool.shutdown();
    }))
}
