//! Panics of a child's function: caught, with their message, place and stack.

use super::boot::Seal;
use crate::process::{Panic, Reply};
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last panic of the thread that runs a child's function, as our hook saw it. (Not in thread-local storage: that
/// registers a destructor at its first use, which in a forked child costs a symbol lookup and ten page faults.)
static LAST: Mutex<Option<Panic>> = Mutex::new(None);

thread_local! {
    /// Whether this thread is the one.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether the hook is in place. Set once; a forked child inherits hook and word together.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// The descriptor of this child's link, for a panic that will abort: -1 outside of a child. Set once in a child, while it
/// has one thread; a forked child sets its own.
static LINK: AtomicI32 = AtomicI32::new(-1);
/// What its descriptor was sealed as, set before it.
static SEAL: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Puts our hook before the program's: it notes the panic, and the program's prints it.
pub(super) fn watch(link: i32, seal: Seal) {
    let (device, inode) = seal.parts();
    SEAL[0].store(device, Ordering::Relaxed);
    SEAL[1].store(inode, Ordering::Relaxed);
    LINK.store(link, Ordering::Relaxed);
    // In a process that is forked by a destructor while its parent panics no hook can be set: it would be a panic. Its
    // own panics then arrive without their place.
    if std::thread::panicking() || HOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let seen = describe(info);
        if cfg!(panic = "abort") {
            send_before_abort(seen);
        } else if IS_CAUGHT.get() {
            *last() = Some(seen);
        }
        previous(info);
    }));
}

/// This child's link; `None` outside of a child, and where the program has closed it.
pub(super) fn link() -> Option<BorrowedFd<'static>> {
    let link = LINK.load(Ordering::Relaxed);
    if link < 0 {
        return None;
    }
    let seal = Seal::from_parts((SEAL[0].load(Ordering::Relaxed), SEAL[1].load(Ordering::Relaxed)));
    // SAFETY: if the number is closed, or another file's by now, the seal does not hold, and it is used no further.
    let link = unsafe { BorrowedFd::borrow_raw(link) };
    seal.holds(link).then_some(link)
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let backtrace = Backtrace::capture();
    Panic {
        message: message(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    }
}

/// In a build that aborts, the hook is the last code that runs.
fn send_before_abort(seen: Panic) {
    if let Some(link) = link() {
        let _ = crate::process::reply(link, Reply::Panicked(seen));
    }
}

/// Runs `f`; a panic is an error with what is known of it.
pub(super) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    let was_caught = IS_CAUGHT.replace(true);
    // What the closure broke is not looked at again: the process ends.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    IS_CAUGHT.set(was_caught);
    result.map_err(|payload| {
        let text = message(&*payload);
        // Dropping a payload may panic again, and nobody needs it.
        std::mem::forget(payload);
        // One that the function caught before may lie there still, when this one was raised without the hook.
        last().take().filter(|seen| seen.message == text).unwrap_or(Panic {
            message: text,
            location: None,
            backtrace: None,
        })
    })
}

fn last() -> MutexGuard<'static, Option<Panic>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic whose payload is no text".to_owned(),
    }
}
