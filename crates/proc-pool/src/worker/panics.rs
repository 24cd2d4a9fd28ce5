//! Panics of tasks: caught, with message, place and stack; the task's error says it all, so nothing is printed.

use proc_core::{Panic, transfer};
use serde::Serialize;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    /// Whether this thread is inside of [`catch`].
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    /// The last panic there, as the hook saw it.
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// As [`Panic`] is built, of which only proc-core can make one: field by field the same, so it crosses as one.
#[derive(Serialize)]
struct Seen {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

impl Seen {
    fn into_panic(self) -> Panic {
        let packed = transfer::pack(&self).map_err(|e| e.to_string());
        let panic = packed.and_then(|p| transfer::unpack(&p.bytes, p.fds).map_err(|e| e.to_string()));
        panic.expect("a panic has the same three fields here and there")
    }
}

/// Puts our hook before the one there is, which goes on to report the panics of other threads.
pub(super) fn watch() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IN_TASK.get() || cfg!(panic = "abort") {
            return previous(info);
        }
        let backtrace = Backtrace::capture();
        let seen = Seen {
            message: message(info.payload()),
            location: info.location().map(ToString::to_string),
            backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
        };
        LAST.set(Some(seen));
    }));
}

/// Runs `f`; a panic is an error with what is known of it.
pub(super) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    IN_TASK.set(true);
    LAST.set(None);
    // What the closure broke is dropped with the task; state that outlives it is made anew.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    IN_TASK.set(false);
    result.map_err(|payload| {
        let text = message(&*payload);
        // Dropping a payload may panic again, and nobody needs it.
        std::mem::forget(payload);
        // The hook's last panic may be one that the task caught, followed by a `resume_unwind`, which calls no hook.
        let seen = LAST.take().filter(|seen| seen.message == text);
        seen.unwrap_or(Seen { message: text, location: None, backtrace: None }).into_panic()
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic whose payload is no text".to_owned(),
    }
}
