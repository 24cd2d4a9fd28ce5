//! What a task that waits costs.

use crate::{ours, same};
use benches::usage::resident;
use benches::{Kind, Place, Python, Setting, Suite, Unit};
use proc_pool::Task;
use std::time::Duration;

const MANY: u64 = 1_000_000;
/// Where many would take too long: Python needs half a minute for them.
const FEW: u64 = 100_000;

fn tasks(setting: &Setting) -> u64 {
    if setting.long { MANY } else { FEW }
}

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "memory",
            "Memory of a queued task",
            "Both workers are busy; a million more tasks of a u64 are submitted (100,000 in the quick form, and to Python), \
             and their handles kept. What the submitting process's resident memory grew by, shared pages included, divided \
             by their number.",
            Unit::Bytes,
            &[Place::Free],
        )
        .value(Kind::Ours, "pool", "Pool::submit", queued);
    #[cfg(feature = "rivals")]
    let entry = entry.value(Kind::Threads, "rayon", "rayon spawn + channel", rayon).value(
        Kind::Threads,
        "threadpool",
        "threadpool execute + channel",
        threadpool,
    );
    entry.value(Kind::Rival, "python", "Python Pool.apply_async", |setting| {
        Python::value("pool.py", &["memory", "2", &FEW.to_string()], setting)
    });
}

fn busy(seconds: u64) -> u64 {
    std::thread::sleep(Duration::from_secs(seconds));
    seconds
}

fn queued(setting: &Setting) -> Result<f64, String> {
    let count = tasks(setting);
    let pool = ours::warm(2)?;
    let blocked: Vec<Task<u64>> = (0..2).map(|_| pool.submit(busy, 600)).collect();
    let before = resident()?;
    let tasks: Vec<Task<u64>> = (0..count).map(|i| pool.submit(same, i)).collect();
    let after = resident()?;
    // The process ends now; nobody waits ten minutes.
    pool.terminate();
    drop((blocked, tasks));
    Ok((after - before) / count as f64)
}

#[cfg(feature = "rivals")]
fn rayon(setting: &Setting) -> Result<f64, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().map_err(|e| e.to_string())?;
    grown(tasks(setting), move |task| pool.spawn(task))
}

#[cfg(feature = "rivals")]
fn threadpool(setting: &Setting) -> Result<f64, String> {
    let pool = threadpool::ThreadPool::new(2);
    grown(tasks(setting), move |task| pool.execute(task))
}

/// The growth for a pool of threads, given how a task is submitted.
#[cfg(feature = "rivals")]
fn grown(count: u64, mut submit: impl FnMut(Box<dyn FnOnce() + Send>) + 'static) -> Result<f64, String> {
    for _ in 0..2 {
        submit(Box::new(|| {
            busy(600);
        }));
    }
    std::thread::sleep(Duration::from_millis(50));
    let (give, take) = std::sync::mpsc::channel();
    let before = resident()?;
    for i in 0..count {
        let give = give.clone();
        // If nobody takes any more, the program is at its end.
        submit(Box::new(move || {
            let _ = give.send(same(i));
        }));
    }
    let after = resident()?;
    // Both end with the program, as do the threads that sleep.
    std::mem::forget((submit, take));
    Ok((after - before) / count as f64)
}
