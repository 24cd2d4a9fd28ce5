//! The receiving end of a pipe.

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::shared::Shared;
use crate::{
    error::RecvError,
    iter::{IntoIter, Iter},
    ring, scratch,
    typed::{self, RecvBytes, Until, iterating, receiving},
};

/// The receiving end of a [`one_way`](crate::one_way) pipe, or of one direction of a [`pipe`](crate::pipe()).
///
/// It is for one process at a time: sent in a message, or as an argument, it goes over there with what it has not yet
/// received, and the original is to be dropped. Threads may share it: each message goes to one of them. For several
/// receivers see [`channel`](crate::channel()).
///
/// Iterate over it to receive until the end: `for message in &rx`.
pub struct PipeReceiver<T> {
    ring: Shared<ring::Receiver>,
    messages: PhantomData<fn() -> T>,
}

impl<T: Message> PipeReceiver<T> {
    receiving!(T, self => self);

    /// Waits until there is something to receive, a message or the end, for at most `timeout` (`None`: for ever). False
    /// if the time was over first.
    ///
    /// Of a message longer than 64 KiB it may be only the beginning that is there.
    ///
    /// # Errors
    ///
    /// `NotInherited`, `Corrupted`, `Os`: see [`RecvError`].
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, RecvError> {
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let Some(mut ring) = self.ring.lock(Until::Time(deadline)) else { return Ok(false) };
        self.ring.keep_for(|| Ok(ring.wait(deadline)? || ring.is_disconnected()?))
    }
}

iterating!(PipeReceiver<T>, T);

impl<T> PipeReceiver<T> {
    pub(super) fn new(ring: ring::Receiver) -> PipeReceiver<T> {
        PipeReceiver { ring: Shared::new(ring), messages: PhantomData }
    }

    pub(super) fn ring(&self) -> &Shared<ring::Receiver> {
        &self.ring
    }

    /// For [`wait`](crate::wait()): it has the end to itself meanwhile.
    pub(crate) fn readiness(&self) -> io::Result<MutexGuard<'_, ring::Receiver>> {
        let ring = self.ring.lock(Until::Now).ok_or(io::ErrorKind::ResourceBusy)?;
        self.ring.keep();
        Ok(ring)
    }

    /// Stops receiving: the same as dropping it. The sender's next attempt is an error.
    pub fn close(self) {}
}

impl<T> RecvBytes for PipeReceiver<T> {
    #[inline]
    fn recv_raw(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        // Another thread waits for a message: there is none for us.
        let Some(mut ring) = self.ring.lock(until) else { return Ok(None) };
        if let Some(fds) = ring.try_recv_into(bytes)? {
            return Ok(Some(fds));
        }
        match until {
            // A sender that was killed is noticed by asking, which a wait does as it sleeps.
            Until::Now if ring.is_disconnected()? => Ok(ring.try_recv_into(bytes)?),
            Until::Now => Ok(None),
            Until::Time(deadline) => Ok(self.ring.keep_for(|| ring.recv_into(bytes, deadline))?),
        }
    }
}

impl<T> fmt::Debug for PipeReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReceiver").finish_non_exhaustive()
    }
}

impl<T> Serialize for PipeReceiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.ring.lock(Until::Now) {
            Some(ring) => ring.serialize(serializer),
            None => Err(S::Error::custom("another thread is using the end of the pipe")),
        }
    }
}

impl<'de, T> Deserialize<'de> for PipeReceiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ring::Receiver::deserialize(deserializer).map(PipeReceiver::new)
    }
}
