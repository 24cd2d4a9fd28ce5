//! What a worker calls before its first task, and after its last.

use crate::function::State;
use parking_lot::Mutex;
use proc_core::transfer::Packed;
use proc_core::{Fd, Message};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A function with its argument.
#[derive(Clone)]
pub(crate) struct Hook(Arc<Source>);

/// What workers get it from.
enum Source {
    /// The same bytes for all.
    Bytes(Vec<u8>),
    /// An argument with descriptors is encoded anew for each worker, as such a value may count its copies: a message is one,
    /// and a message that is decoded twice would be dropped twice.
    Value {
        /// What was encoded to see whether it crosses. The first worker gets it.
        first: Mutex<Option<Packed>>,
        /// The user's code, in part: to be called without a lock of the engine's.
        again: Box<dyn Fn() -> Result<Packed, String> + Send + Sync>,
    },
}

/// What one worker gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    bytes: Vec<u8>,
    fds: Vec<Fd<OwnedFd>>,
}

impl Hook {
    /// # Errors
    /// The function or the argument does not cross, or no descriptor is left for a duplicate.
    pub(crate) fn new<A: Message + Clone>(f: fn(A), arg: A) -> Result<Hook, String> {
        let packed = State::called(f, arg.clone()).recipe?;
        if packed.fds.is_empty() {
            return Ok(Hook(Arc::new(Source::Bytes(packed.bytes))));
        }
        let arg = Mutex::new(arg);
        let again = Box::new(move || {
            let arg = arg.lock().clone();
            State::called(f, arg).recipe
        });
        Ok(Hook(Arc::new(Source::Value { first: Mutex::new(Some(packed)), again })))
    }

    /// For one more worker.
    ///
    /// # Errors
    /// As for [`new`](Self::new); or the argument's own code panicked.
    pub(crate) fn call(&self) -> Result<Call, String> {
        match &*self.0 {
            Source::Bytes(bytes) => Ok(Call { bytes: bytes.clone(), fds: Vec::new() }),
            Source::Value { first, again } => {
                let first = first.lock().take();
                let packed = match first {
                    Some(packed) => packed,
                    None => catch_unwind(AssertUnwindSafe(again))
                        .unwrap_or_else(|_| Err("it panicked while it was encoded".into()))?,
                };
                Ok(Call { bytes: packed.bytes, fds: packed.fds.into_iter().map(Fd).collect() })
            }
        }
    }
}

impl From<Call> for Packed {
    fn from(call: Call) -> Packed {
        Packed { bytes: call.bytes, fds: call.fds.into_iter().map(Fd::into_inner).collect() }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// Both of a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) initializer: Option<Hook>,
    pub(crate) exit_hook: Option<Hook>,
}

impl Hooks {
    pub(crate) fn is_empty(&self) -> bool {
        self.initializer.is_none() && self.exit_hook.is_none()
    }

    /// For one more worker.
    ///
    /// # Errors
    /// One can't be encoded (again).
    pub(crate) fn calls(&self) -> Result<[Option<Call>; 2], String> {
        let call = |hook: &Option<Hook>, what| {
            let call = hook.as_ref().map(Hook::call).transpose();
            call.map_err(|why| format!("the {what} can't be sent to a worker: {why}"))
        };
        Ok([call(&self.initializer, "initializer")?, call(&self.exit_hook, "exit hook")?])
    }
}
