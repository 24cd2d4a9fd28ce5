//! The thread that runs `on_done` functions. It is started by the first one.

use proc_core::inherit::Lineage;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

type Call = Box<dyn FnOnce() + Send>;

/// With the process that the thread is in: a forked child has none.
static CALLS: Mutex<Option<(Lineage, Sender<Call>)>> = Mutex::new(None);

/// Has `call` called, after those that came before it. If no thread can be had for it, it is called here.
pub(super) fn run(call: Call) {
    if let Some(call) = hand_over(call) {
        contained(call);
    }
}

/// Gives the call to the thread; gives it back if there is none.
fn hand_over(call: Call) -> Option<Call> {
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let call = match &*calls {
        Some((lineage, sender)) if lineage.is_current() => sender.send(call).err()?.0,
        _ => call,
    };
    let (sender, receiver) = channel::<Call>();
    let serve = move || receiver.into_iter().for_each(contained);
    if std::thread::Builder::new().name("pool-callbacks".into()).spawn(serve).is_err() {
        return Some(call);
    }
    let unsent = sender.send(call).err().map(|unsent| unsent.0);
    // What a parent's thread left is not ours to drop.
    std::mem::forget(calls.replace((Lineage::current(), sender)));
    unsent
}

fn contained(call: Call) {
    // The user's panic has been reported by the program's panic hook; the next call is another's.
    let _ = catch_unwind(AssertUnwindSafe(call));
}
