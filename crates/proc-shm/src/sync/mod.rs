//! The one door to atomics that a model checker must see: std's, or loom's under `--cfg loom`.
//!
//! loom's atomics are not four bytes of memory, and all zero bytes are not one of them: under loom, what lies in a region
//! is larger, is constructed there, and is used by the threads of one process.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(loom)]
mod mortal;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::Ordering;
#[cfg(loom)]
pub(crate) use mortal::{AtomicU32, AtomicU64, AtomicUsize, fenced, gone, live, step};
