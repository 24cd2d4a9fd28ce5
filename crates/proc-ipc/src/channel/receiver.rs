//! The receiving end of a channel.

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{cross, ends::RecvEnd, watching::Watching};
use crate::{
    error::RecvError,
    iter::{IntoIter, Iter},
    scratch,
    typed::{self, RecvBytes, Until, iterating, receiving},
};

/// A receiving end of a [`channel`](crate::channel()).
///
/// Clone it for more receivers, each of which gets some of the messages: clones in one process share its three
/// descriptors, one that crosses to another process has three of its own there. Senders learn that nobody receives when
/// the last one is dropped, or its process ended.
///
/// Iterate over it to receive until the end: `for message in &rx`.
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::channel::<u32>(4)?;
/// let worker = std::thread::spawn({
///     let rx = rx.clone(); // or in another process
///     move || rx.iter().filter_map(Result::ok).sum::<u32>()
/// });
/// for n in 1..=10 {
///     tx.send(n)?;
/// }
/// drop(tx);
/// let ours: u32 = rx.iter().filter_map(Result::ok).sum();
/// assert_eq!(ours + worker.join().unwrap(), 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver<T> {
    end: Arc<RecvEnd>,
    messages: PhantomData<fn() -> T>,
}

impl<T: Message> Receiver<T> {
    receiving!(T, self => self);

    /// Waits until there is something to receive, a message or the end, for at most `timeout` (`None`: for ever). False
    /// if the time was over first. Another receiver may be faster to take it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = proc_ipc::channel::<u32>(4)?;
    /// assert!(!rx.poll(std::time::Duration::ZERO)?);
    /// tx.send(1)?;
    /// assert!(rx.poll(None)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `NotInherited`, `Os`: see [`RecvError`].
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, RecvError> {
        self.end.poll(timeout.into().and_then(|timeout| Instant::now().checked_add(timeout)))
    }
}

iterating!(Receiver<T>, T);

impl<T> Receiver<T> {
    pub(super) fn new(end: Arc<RecvEnd>) -> Receiver<T> {
        Receiver { end, messages: PhantomData }
    }

    /// For [`wait`](crate::wait()).
    pub(crate) fn readiness(&self) -> io::Result<Watching<'_>> {
        Watching::new(&self.end)
    }

    /// Messages in the channel; it may have changed before this returns.
    pub fn len(&self) -> usize {
        self.end.core.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it is bounded to; `None` if their number is not bounded.
    pub fn capacity(&self) -> Option<usize> {
        self.end.core.capacity()
    }

    /// How many bytes it is bounded to, as [`channel_of_bytes`](crate::channel_of_bytes) counts them; `None` if they are
    /// not bounded.
    pub fn capacity_bytes(&self) -> Option<usize> {
        self.end.core.capacity_bytes()
    }

    /// Whether both are of one channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.end, &other.end)
    }
}

impl<T> RecvBytes for Receiver<T> {
    #[inline]
    fn recv_raw(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.end.recv(bytes, until)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver::new(self.end.clone())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        cross::give_recv(&self.end)?.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        cross::take_recv(Deserialize::deserialize(deserializer)?).map(Receiver::new)
    }
}
