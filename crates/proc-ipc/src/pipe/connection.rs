//! An end that sends and receives.

use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::{PipeReceiver, PipeSender};
use crate::{
    error::{Cause, RecvError, SendError},
    iter::{IntoIter, Iter},
    ring, scratch,
    typed::{self, RecvBytes, SendBytes, Until, iterating, receiving, sending},
};

/// One end of a [`pipe`](crate::pipe()): sends `S`, receives `R`.
///
/// The directions are independent of each other: one thread may wait in a `recv` while another sends. It is for one
/// process at a time: sent in a message, or as an argument, it goes over there, and the original is to be dropped.
///
/// Compared with Python's `multiprocessing.Pipe`: messages are typed, the end of the stream is an error of its own
/// ([`RecvError::Disconnected`] when the peer dropped its end, [`RecvError::PeerDied`] when it was killed), and a
/// forked child has no copy of an end that would keep the stream open.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (ours, theirs) = proc_ipc::pipe::<u32, String>()?;
/// assert!(!ours.poll(Duration::ZERO)?);
/// theirs.send("one".into())?;
/// assert!(ours.poll(None)?);
/// assert_eq!(ours.recv()?, "one");
/// let (tx, _rx) = ours.split(); // for two threads
/// tx.send(1)?;
/// assert_eq!(theirs.recv()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection<S, R = S> {
    sender: PipeSender<S>,
    receiver: PipeReceiver<R>,
}

impl<S: Message, R: Message> Connection<S, R> {
    sending!(S, self => &self.sender);
    receiving!(R, self => &self.receiver);

    /// Waits until there is something to receive, a message or the end, for at most `timeout` (`None`: for ever). False
    /// if the time was over first.
    ///
    /// # Errors
    ///
    /// As [`PipeReceiver::poll`].
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, RecvError> {
        self.receiver.poll(timeout)
    }
}

iterating!(Connection<R>, S, R);

impl<S, R> Connection<S, R> {
    pub(crate) fn new(ring: ring::Duplex) -> Connection<S, R> {
        let (sender, receiver) = ring.split();
        Connection { sender: PipeSender::new(sender), receiver: PipeReceiver::new(receiver) }
    }

    /// The two directions, for different threads or processes.
    pub fn split(self) -> (PipeSender<S>, PipeReceiver<R>) {
        (self.sender, self.receiver)
    }

    /// For [`wait`](crate::wait()).
    pub(crate) fn readiness(&self) -> io::Result<MutexGuard<'_, ring::Receiver>> {
        self.receiver.readiness()
    }

    /// For a wait until a message of so many bytes has room.
    #[cfg(feature = "async")]
    pub(crate) fn room(&self, len: usize) -> io::Result<ring::wait::LockedRoom<'_>> {
        self.sender.room(len)
    }

    /// Ends both directions: the same as dropping it.
    pub fn close(self) {}
}

impl<S, R> SendBytes for Connection<S, R> {
    fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause> {
        self.sender.send_raw(bytes, fds, until)
    }
}

impl<S, R> RecvBytes for Connection<S, R> {
    fn recv_raw(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.receiver.recv_raw(bytes, until)
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<A, B> Serialize for Connection<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.sender.ring().lock(Until::Now), self.receiver.ring().lock(Until::Now)) {
            (Some(sender), Some(receiver)) => ring::serialize_pair(&sender, &receiver, serializer),
            _ => Err(S::Error::custom("another thread is using the end of the pipe")),
        }
    }
}

impl<'de, A, B> Deserialize<'de> for Connection<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ring::Duplex::deserialize(deserializer).map(Connection::new)
    }
}
