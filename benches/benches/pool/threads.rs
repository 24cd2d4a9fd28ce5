//! Pools of threads: rayon and threadpool.

use crate::same;
use benches::{Routine, Setting, batches, calls};
use rayon::prelude::*;
use std::sync::mpsc;

fn rayon(threads: usize) -> Result<rayon::ThreadPool, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
    pool.install(|| ());
    Ok(pool)
}

pub(crate) fn rayon_submit(threads: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = rayon(threads)?;
        Ok(batches(10_000, move |n| {
            let (give, take) = mpsc::channel();
            for i in 0..n {
                let give = give.clone();
                pool.spawn(move || give.send(same(i)).expect("someone who takes"));
            }
            drop(give);
            assert_eq!(take.iter().sum::<u64>(), n * n.saturating_sub(1) / 2);
        }))
    }
}

pub(crate) fn rayon_map(_: &Setting) -> Result<Routine, String> {
    let pool = rayon(2)?;
    Ok(batches(100_000, move |n| {
        let results: Vec<u64> = pool.install(|| (0..n).into_par_iter().map(same).collect());
        assert_eq!(results.iter().sum::<u64>(), n * n.saturating_sub(1) / 2);
    }))
}

pub(crate) fn rayon_one(_: &Setting) -> Result<Routine, String> {
    let pool = rayon(2)?;
    let mut i = 0;
    Ok(calls(move || {
        i += 1;
        let x = i;
        let (give, take) = mpsc::channel();
        pool.spawn(move || give.send(same(x)).expect("someone who takes"));
        assert_eq!(take.recv().expect("a result"), x);
    }))
}

pub(crate) fn rayon_unequal(tasks: &'static [u64]) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = rayon(2)?;
        Ok(calls(move || {
            let sum: u64 = pool.install(|| tasks.par_iter().map(|&units| crate::unequal::work(units)).sum());
            std::hint::black_box(sum);
        }))
    }
}

fn threadpool(threads: usize) -> threadpool::ThreadPool {
    let pool = threadpool::ThreadPool::new(threads);
    pool.execute(|| ());
    pool.join();
    pool
}

pub(crate) fn threadpool_submit(threads: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = threadpool(threads);
        Ok(batches(10_000, move |n| {
            let (give, take) = mpsc::channel();
            for i in 0..n {
                let give = give.clone();
                pool.execute(move || give.send(same(i)).expect("someone who takes"));
            }
            drop(give);
            assert_eq!(take.iter().sum::<u64>(), n * n.saturating_sub(1) / 2);
        }))
    }
}

pub(crate) fn threadpool_one(_: &Setting) -> Result<Routine, String> {
    let pool = threadpool(2);
    let mut i = 0;
    Ok(calls(move || {
        i += 1;
        let x = i;
        let (give, take) = mpsc::channel();
        pool.execute(move || give.send(same(x)).expect("someone who takes"));
        assert_eq!(take.recv().expect("a result"), x);
    }))
}

pub(crate) fn rayon_bulk(size: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = rayon(2)?;
        Ok(bulk(size, move |task| pool.spawn(task)))
    }
}

pub(crate) fn threadpool_bulk(size: usize) -> impl Fn(&Setting) -> Result<Routine, String> {
    move |_| {
        let pool = threadpool(2);
        Ok(bulk(size, move |task| pool.execute(task)))
    }
}

/// Vectors there and back, four of them open, given how a task is submitted.
fn bulk(size: usize, submit: impl Fn(Box<dyn FnOnce() + Send>) + 'static) -> Routine {
    let source = vec![7_u8; size];
    batches(64, move |n| {
        let (give, take) = mpsc::channel();
        for i in 0..n {
            let (bytes, give) = (source.clone(), give.clone());
            submit(Box::new(move || give.send(std::hint::black_box(bytes)).expect("someone who takes")));
            if i >= 3 {
                assert_eq!(take.recv().expect("a result").len(), size);
            }
        }
        drop(give);
        assert_eq!(take.iter().filter(|bytes| bytes.len() == size).count() as u64, n.min(3));
    })
}
