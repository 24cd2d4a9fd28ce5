//! The one door to atomics, so that loom can stand in for them (`--cfg loom`).

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

#[cfg(loom)]
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
