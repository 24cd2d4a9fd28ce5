//! loom's atomics, in threads that can die between any two accesses.
//!
//! A thread that [lives](live) for n accesses ends in place of the one after: the kernel's part of its death is done, and
//! it unwinds to where its life began. What destructors do on that way never happened: accesses of the dead have no effect.
//!
//! loom takes `SeqCst` accesses for acquire and release, and only fences for what they are, so that each such access has
//! fences around it here. That is a little more than the language promises, and what processors do.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom::sync::atomic::{self, Ordering, fence};

use crate::sys::robust;

loom::thread_local! {
    /// Accesses that are left to this thread; `None` for an immortal.
    static LEFT: Cell<Option<usize>> = Cell::new(None);
    static GONE: Cell<bool> = Cell::new(false);
}

/// What a dying thread unwinds with.
struct Death;

/// Runs `f` in a thread that ends in place of its access number `accesses`, counted from 0. `None`: it did.
pub(crate) fn live<R>(accesses: usize, f: impl FnOnce() -> R) -> Option<R> {
    LEFT.with(|left| left.set(Some(accesses)));
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => {
            LEFT.with(|left| left.set(None));
            Some(result)
        }
        Err(payload) if payload.is::<Death>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Whether this thread has died and only unwinds.
pub(crate) fn gone() -> bool {
    GONE.with(Cell::get)
}

/// One access. False: it must not happen, as the thread is dead.
pub(crate) fn step() -> bool {
    if gone() {
        return false;
    }
    match LEFT.with(Cell::get) {
        Some(0) => {
            LEFT.with(|left| left.set(None));
            robust::end_thread();
            GONE.with(|gone| gone.set(true));
            resume_unwind(Box::new(Death));
        }
        Some(left) => LEFT.with(|cell| cell.set(Some(left - 1))),
        None => {}
    }
    true
}

/// An access in the order of all `SeqCst` ones, if it is one.
pub(crate) fn fenced<R>(order: Ordering, access: impl FnOnce() -> R) -> R {
    if order != Ordering::SeqCst {
        return access();
    }
    fence(order);
    let result = access();
    fence(order);
    result
}

macro_rules! atomic {
    ($name:ident, $of:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name(atomic::$name);

        impl Default for $name {
            fn default() -> $name {
                $name::new(0)
            }
        }

        #[allow(dead_code, reason = "both widths have the same operations")]
        impl $name {
            pub(crate) fn new(value: $of) -> $name {
                $name(atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $of {
                if step() { fenced(order, || self.0.load(order)) } else { 0 }
            }

            pub(crate) fn store(&self, value: $of, order: Ordering) {
                if step() {
                    fenced(order, || self.0.store(value, order));
                }
            }

            pub(crate) fn swap(&self, value: $of, order: Ordering) -> $of {
                if step() { fenced(order, || self.0.swap(value, order)) } else { 0 }
            }

            pub(crate) fn fetch_add(&self, value: $of, order: Ordering) -> $of {
                if step() { fenced(order, || self.0.fetch_add(value, order)) } else { 0 }
            }

            pub(crate) fn fetch_sub(&self, value: $of, order: Ordering) -> $of {
                if step() { fenced(order, || self.0.fetch_sub(value, order)) } else { 0 }
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                if !step() {
                    return Ok(current);
                }
                fenced(success, || self.0.compare_exchange(current, new, success, failure))
            }

            /// The kernel's own accesses, which no death prevents.
            pub(crate) fn kernel(&self) -> &atomic::$name {
                &self.0
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
