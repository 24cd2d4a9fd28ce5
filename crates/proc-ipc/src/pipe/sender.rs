//! The sending end of a pipe.

use std::{
    fmt,
    marker::PhantomData,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::shared::Shared;
use crate::{
    error::{Cause, SendError},
    ring,
    typed::{self, SendBytes, Until, sending},
};

/// The sending end of a [`one_way`](crate::one_way) pipe, or of one direction of a [`pipe`](crate::pipe()).
///
/// It is for one process at a time: sent in a message, or as an argument, it goes over there, and the original is to be
/// dropped. Threads may share it. For several senders see [`channel`](crate::channel()).
///
/// Dropping it is the receiver's end of the stream, after everything sent.
pub struct PipeSender<T> {
    ring: Shared<ring::Sender>,
    messages: PhantomData<fn(T)>,
}

impl<T: Message> PipeSender<T> {
    sending!(T, self => self);
}

impl<T> PipeSender<T> {
    pub(super) fn new(ring: ring::Sender) -> PipeSender<T> {
        PipeSender { ring: Shared::new(ring), messages: PhantomData }
    }

    pub(super) fn ring(&self) -> &Shared<ring::Sender> {
        &self.ring
    }

    /// For a wait until a message of so many bytes has room.
    #[cfg(feature = "async")]
    pub(crate) fn room(&self, len: usize) -> std::io::Result<ring::wait::LockedRoom<'_>> {
        let ring = self.ring.lock(Until::Now).ok_or(std::io::ErrorKind::ResourceBusy)?;
        self.ring.keep();
        Ok(ring::wait::LockedRoom::new(ring, len))
    }

    /// Ends the stream: the same as dropping it.
    pub fn close(self) {}
}

impl<T> SendBytes for PipeSender<T> {
    #[inline]
    fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause> {
        // Another thread waits for room.
        let Some(mut ring) = self.ring.lock(until) else { return Err(Cause::Full) };
        // A long one is not tried as a whole, but passes while it is written.
        let at_once = matches!(until, Until::Now) || bytes.len() < ring.max_whole() / 2;
        if at_once {
            let sent = match fds.is_empty() {
                true => ring.try_send(&[bytes]),
                false => ring.try_send_with_fds(&[bytes], fds),
            };
            match (sent, until) {
                (Err(ring::SendError::Full), Until::Time(_)) => {}
                (sent, _) => return Ok(sent?),
            }
        }
        let Until::Time(deadline) = until else { return Err(Cause::Full) };
        Ok(self.ring.keep_for(|| ring.send_with_fds(&[bytes], fds, deadline))?)
    }
}

impl<T> fmt::Debug for PipeSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeSender").finish_non_exhaustive()
    }
}

impl<T> Serialize for PipeSender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.ring.lock(Until::Now) {
            Some(ring) => ring.serialize(serializer),
            None => Err(S::Error::custom("another thread is using the end of the pipe")),
        }
    }
}

impl<'de, T> Deserialize<'de> for PipeSender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ring::Sender::deserialize(deserializer).map(PipeSender::new)
    }
}
