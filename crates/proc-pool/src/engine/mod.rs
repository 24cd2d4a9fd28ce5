//! Which task runs where and when. It knows tasks, workers and their order; of bytes only that they go down and come up.
//!
//! `README.md` beside this file says how the parts fit: locks, states, races.

mod batch;
mod callbacks;
mod collect;
mod core;
mod deaths;
mod ends;
mod group;
mod life;
mod limits;
mod seat;
mod signal;
mod spares;
mod spread;
mod starts;
mod tasks;
mod thread;

pub(crate) use batch::{Batch, Limit, Options, Outcome, Sink};
pub(crate) use collect::Wanted;
pub(crate) use group::{Arrival, Group};
pub(crate) use life::{Life, Listener};
pub(crate) use seat::MOST_WORKERS;
pub(crate) use signal::Signal;
pub(crate) use spread::ahead;

use crate::error::PoolError;
use crate::function::{Candidate, Forgotten, Function, Key};
use crate::link::Starter;
use collect::Ears;
use core::{Core, Told};
use parking_lot::Mutex;
use proc_core::inherit::Lineage;
use proc_ipc::ring::Waker;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a pool was built with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) starter: Starter,
    pub(crate) max_tasks: Option<u64>,
    pub(crate) max_memory: Option<u64>,
    /// Between the signal that asks a task to end and the one that ends it.
    pub(crate) grace: Duration,
    pub(crate) name: String,
    /// Starts in a row that may fail, or workers that may die without a task having been done, before the pool is broken.
    pub(crate) crash_limit: u32,
    pub(crate) depth: u32,
    pub(crate) look_ahead: Option<usize>,
    /// Worker `i` runs on CPU `affinity[i % len]`.
    pub(crate) affinity: Vec<usize>,
}

/// A pool's workers and tasks.
pub(crate) struct Engine {
    config: Config,
    lineage: Lineage,
    core: Mutex<Core>,
    /// The collector's role: whoever holds it reads the rings.
    ears: Mutex<Ears>,
    /// Ends the sleep of whoever holds the role.
    bell: Waker,
    /// Ends a doze of the pool's own thread.
    nudge: Signal,
    functions: Mutex<HashMap<Key, Arc<Function>, BuildHasherDefault<Mix>>>,
    next_function: AtomicU32,
    /// States that the workers are to drop. A leaf among the locks, as `functions` is.
    forgotten: Mutex<Vec<Forgotten>>,
    me: Weak<Engine>,
}

impl Engine {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether this is the process that made the pool.
    pub(crate) fn is_ours(&self) -> bool {
        self.lineage.is_current()
    }

    /// The function as this pool knows it.
    pub(crate) fn function(&self, candidate: Candidate) -> Arc<Function> {
        if !self.is_ours() {
            // It will not run, and the table's lock may have been held when this process was forked.
            return Arc::new(candidate.into_function(u32::MAX));
        }
        let mut functions = self.functions.lock();
        let key = candidate.key();
        if let Some(known) = functions.get(&key) {
            return known.clone();
        }
        candidate.is_kept();
        let function = Arc::new(candidate.into_function(self.next_function.fetch_add(1, Ordering::Relaxed)));
        functions.insert(key, function.clone());
        function
    }

    /// Nothing is left that needs this state: no handle, no input, no task. Called from a drop, wherever that is: if the
    /// core's lock is not free (it may be this very thread that has it) whoever looks next tells the workers.
    pub(crate) fn forget(&self, forgotten: Forgotten) {
        if !self.is_ours() {
            return;
        }
        self.forgotten.lock().push(forgotten);
        match self.core.try_lock() {
            Some(mut core) => {
                self.tell_forgotten(&mut core);
                let told = core.told();
                drop(core);
                Told::all(told);
            }
            None => self.ring_bell(),
        }
    }

    /// Has the workers drop the states that nothing needs any more.
    fn tell_forgotten(&self, core: &mut Core) {
        let forgotten = std::mem::take(&mut *self.forgotten.lock());
        for Forgotten { state, keys } in forgotten {
            let mut functions = self.functions.lock();
            let gone: Vec<_> = keys.iter().filter_map(|key| functions.remove(key)).collect();
            drop(functions);
            let ids: Vec<u32> = gone.iter().map(|function| function.id).collect();
            for seat in &mut core.seats {
                seat.forget(state, &ids);
            }
            core.told.extend(gone.into_iter().map(Told::DropFunction));
        }
    }

    pub(crate) fn workers(&self) -> usize {
        if !self.is_ours() {
            return self.config.workers;
        }
        self.core.lock().wanted
    }

    fn error(what: impl Into<String>) -> PoolError {
        PoolError::new(what)
    }
}

/// A hash of a few words. The keys are addresses of this program's own functions, so nobody chooses them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("workers", &self.config.workers).finish_non_exhaustive()
    }
}
