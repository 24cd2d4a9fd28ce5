//! What a thread of the caller sleeps on while another collects for it.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

/// A flag that one thread waits for. Not `std::thread::park`, whose token the program may use for itself.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    set: Mutex<bool>,
    changed: Condvar,
}

thread_local! {
    static OWN: Arc<Signal> = Arc::default();
}

impl Signal {
    /// The calling thread's. Waits of one thread are never inside of each other.
    pub(crate) fn own() -> Arc<Signal> {
        OWN.try_with(Arc::clone).unwrap_or_default()
    }

    pub(crate) fn set(&self) {
        *self.set.lock() = true;
        self.changed.notify_one();
    }

    /// Waits until it is set, and takes it back. `false`: the deadline was over first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut set = self.set.lock();
        while !*set {
            match deadline {
                None => self.changed.wait(&mut set),
                Some(deadline) => {
                    if self.changed.wait_until(&mut set, deadline).timed_out() && !*set {
                        return false;
                    }
                }
            }
        }
        *set = false;
        true
    }
}
