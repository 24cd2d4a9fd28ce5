//! The sending end of a channel.

use std::{
    fmt,
    marker::PhantomData,
    os::fd::BorrowedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{cross, ends::SendEnd};
use crate::{
    error::{Cause, SendError},
    typed::{self, SendBytes, Until, sending},
};

/// A sending end of a [`channel`](crate::channel()).
///
/// Clone it for more senders: clones in one process share its three descriptors, one that crosses to another process has
/// three of its own there. The channel ends for receivers when the last one is dropped, or its process ends, and
/// everything that was sent has been received.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_ipc::{Sender, channel};
///
/// # proc_core::init();
/// let (tx, rx) = channel::<u32>(4)?;
/// for n in [2, 3] {
///     let work = |(tx, n): (Sender<u32>, u32)| drop(tx.send(n * n));
///     Process::spawn(work, (tx.clone(), n))?.join()?;
/// }
/// drop(tx);
/// assert_eq!(rx.iter().collect::<Result<Vec<_>, _>>()?, [4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender<T> {
    end: Arc<SendEnd>,
    messages: PhantomData<fn(T)>,
}

impl<T: Message> Sender<T> {
    sending!(T, self => self);
}

impl<T> Sender<T> {
    pub(super) fn new(end: Arc<SendEnd>) -> Sender<T> {
        Sender { end, messages: PhantomData }
    }

    /// For a wait until a message of so many bytes has room.
    #[cfg(feature = "async")]
    pub(crate) fn room(&self, len: usize) -> std::io::Result<super::watching::Roomy<'_>> {
        super::watching::Roomy::new(&self.end, len)
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
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.end, &other.end)
    }
}

impl<T> SendBytes for Sender<T> {
    #[inline]
    fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause> {
        self.end.send(bytes, fds, until)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender::new(self.end.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        cross::give_send(&self.end)?.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        cross::take_send(Deserialize::deserialize(deserializer)?).map(Sender::new)
    }
}
