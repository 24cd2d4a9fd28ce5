//! Programs that nobody waits for any more: reaped by whoever comes by.

use crate::engine::Processes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

/// Those that were left running: detached, or beyond what a kill can end. Each later start looks after them.
static LEFT: Mutex<Vec<Arc<Processes>>> = Mutex::new(Vec::new());

/// How many there are, so that the usual start need not lock.
///
/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | the list is empty | [`sweep`], under its lock |
/// | n | it has n members | [`leave`] and [`sweep`], under its lock |
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Somebody else is to reap them.
pub(crate) fn leave(processes: &Arc<Processes>) {
    if let Some(mut left) = lock() {
        left.push(processes.clone());
        COUNT.store(left.len(), Ordering::Relaxed);
    }
}

/// Reaps those that have ended.
pub(crate) fn sweep() {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(mut left) = lock() {
        let now = std::time::Instant::now();
        left.retain(|processes| !processes.reap(Some(now)));
        COUNT.store(left.len(), Ordering::Relaxed);
    }
}

/// Without waiting for ever: in a forked child the lock may be held by a thread that is not there. What is not entered
/// then is reaped when this process ends.
fn lock() -> Option<std::sync::MutexGuard<'static, Vec<Arc<Processes>>>> {
    for _ in 0..1000 {
        match LEFT.try_lock() {
            Ok(left) => return Some(left),
            Err(TryLockError::Poisoned(e)) => return Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}
