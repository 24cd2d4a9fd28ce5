//! Where the outcomes of many items gather for one consumer.

use super::batch::Outcome;
use super::signal::Signal;
use crate::function::Held;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Outcomes for one `map` or `imap`.
#[derive(Default)]
pub(crate) struct Group {
    /// Keeps the function's state in the workers: of the items that are under way, and between two inputs.
    _held: Option<Arc<Held>>,
    inner: Mutex<Inner>,
    /// How many events wait: looked at without the lock.
    waiting: AtomicUsize,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    arrived: Vec<Arrival>,
    consumer: Option<Arc<Signal>>,
}

/// What has arrived.
#[derive(Debug)]
pub(crate) enum Arrival {
    Values(Run),
    One(u64, Outcome),
}

impl Arrival {
    /// How many outcomes it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Arrival::Values(run) => run.count as usize,
            Arrival::One(..) => 1,
        }
    }
}

/// The values of items that follow each other, each behind its length.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Run {
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.count += 1;
        self.bytes.extend_from_slice(&(value.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// Calls `f` with each value.
    pub(crate) fn each<E>(&self, mut f: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut rest = &self.bytes[..];
        for index in self.first..self.first + u64::from(self.count) {
            let Some((len, behind)) = rest.split_first_chunk() else { return Ok(()) };
            let (value, behind) = behind.split_at(u32::from_ne_bytes(*len) as usize);
            f(index, value)?;
            rest = behind;
        }
        Ok(())
    }
}

impl Group {
    pub(crate) fn new(held: Option<Arc<Held>>) -> Arc<Group> {
        Arc::new(Group { _held: held, ..Group::default() })
    }

    /// Adds what has arrived; whom to wake.
    pub(crate) fn add(&self, arrival: Arrival) -> Option<Arc<Signal>> {
        let mut inner = self.inner.lock();
        inner.arrived.push(arrival);
        self.waiting.store(inner.arrived.len(), Ordering::Release);
        inner.consumer.take()
    }

    /// What has arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Arrival> {
        let mut inner = self.inner.lock();
        self.waiting.store(0, Ordering::Relaxed);
        std::mem::take(&mut inner.arrived)
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Has a thread woken by the next arrival.
    pub(crate) fn set_consumer(&self, consumer: Option<Arc<Signal>>) {
        self.inner.lock().consumer = consumer;
    }

    /// Nobody wants the rest.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}
