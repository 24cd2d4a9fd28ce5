//! Both ends of a channel in one.

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use proc_core::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Receiver, Sender, cross,
    ends::{RecvEnd, SendEnd},
    watching::Watching,
};
use crate::{
    error::{Cause, RecvError, SendError},
    iter::{IntoIter, Iter},
    typed::{self, RecvBytes, SendBytes, Until, iterating},
};

/// A queue that any number of processes put messages into and get them out of.
///
/// It is both ends of a [`channel`](crate::channel()) in one. So nobody is ever the last sender while somebody gets: who
/// has the queue could still put. It ends when it is [closed](Queue::close): then what was put is got, and after that
/// [`get`](Queue::get) is [`Disconnected`](RecvError::Disconnected). A [`channel`](crate::channel()) ends by itself.
///
/// Compared with Python's `multiprocessing.Queue`, `SimpleQueue` and `JoinableQueue`: a put is there when it returns, as
/// there is no feeder thread that could lose it; a message that can't be encoded is the error of its `put`; sizes are exact;
/// a process that is killed in the middle of anything does not stop the others.
///
/// It has five descriptors in each process, shared by its clones.
///
/// # Examples
///
/// ```
/// use proc_ipc::Queue;
///
/// let queue = Queue::bounded(10)?;
/// for fruit in ["apple", "banana", "orange"] {
///     queue.put(fruit.to_string())?;
/// }
/// queue.close();
/// let all: Result<Vec<String>, _> = queue.iter().collect();
/// assert_eq!(all?, ["apple", "banana", "orange"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T> {
    send: Arc<SendEnd>,
    recv: Arc<RecvEnd>,
    messages: PhantomData<fn(T) -> T>,
}

impl<T: Message> Queue<T> {
    /// A queue of at most `capacity` messages.
    ///
    /// # Errors
    ///
    /// As [`channel`](crate::channel()).
    pub fn bounded(capacity: usize) -> io::Result<Self> {
        let (send, recv) = super::bounded_ends(capacity)?;
        Ok(Queue { send, recv, messages: PhantomData })
    }

    /// A queue that is bounded by what its messages take; see [`channel_of_bytes`](crate::channel_of_bytes), also for how
    /// that is counted.
    ///
    /// # Errors
    ///
    /// As [`channel_of_bytes`](crate::channel_of_bytes).
    pub fn bounded_bytes(capacity: usize) -> io::Result<Self> {
        let (send, recv) = super::ends_of_bytes(capacity)?;
        Ok(Queue { send, recv, messages: PhantomData })
    }

    /// A queue that takes messages as long as there is memory.
    ///
    /// # Errors
    ///
    /// As [`channel`](crate::channel()).
    pub fn unbounded() -> io::Result<Self> {
        let (send, recv) = super::unbounded_ends()?;
        Ok(Queue { send, recv, messages: PhantomData })
    }

    /// Puts a message in, waiting for room if there is none. When it returns, the message is there to be got.
    ///
    /// # Errors
    ///
    /// - the queue is closed ([`is_disconnected`](SendError::is_disconnected));
    /// - the message can't be encoded ([`is_encode`](SendError::is_encode));
    /// - this is a forked child that does not have the queue, the shared memory is corrupted, or the system is out of
    ///   memory or descriptors.
    pub fn put(&self, message: T) -> Result<(), SendError<T>> {
        typed::send(self, message, Until::Time(None))
    }

    /// Puts a message in if there is room for it now.
    ///
    /// # Errors
    ///
    /// As [`put`](Queue::put); and there is no room ([`is_full`](SendError::is_full)).
    pub fn try_put(&self, message: T) -> Result<(), SendError<T>> {
        typed::send(self, message, Until::Now)
    }

    /// Puts a message in, waiting for room for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Queue::try_put).
    pub fn put_timeout(&self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        typed::send(self, message, Until::after(timeout))
    }

    /// Puts a message in, waiting for room until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Queue::try_put).
    pub fn put_deadline(&self, message: T, deadline: Instant) -> Result<(), SendError<T>> {
        typed::send(self, message, Until::Time(Some(deadline)))
    }

    /// Gets a message, waiting for one.
    ///
    /// # Errors
    ///
    /// - `Disconnected`: the queue is closed, and all that was put in has been got;
    /// - `Decode`: a message came that is no `T`; it is gone, the next one is not affected;
    /// - `Corrupted`, `NotInherited`, `Os`: see [`RecvError`].
    pub fn get(&self) -> Result<T, RecvError> {
        typed::recv(self, Until::Time(None)).map(typed::waited)
    }

    /// Gets a message if one is there.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get).
    pub fn try_get(&self) -> Result<Option<T>, RecvError> {
        typed::recv(self, Until::Now)
    }

    /// Gets a message, waiting for one for at most `timeout`; never shorter.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<T>, RecvError> {
        typed::recv(self, Until::after(timeout))
    }

    /// Gets a message, waiting for one until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`get`](Queue::get).
    pub fn get_deadline(&self, deadline: Instant) -> Result<Option<T>, RecvError> {
        typed::recv(self, Until::Time(Some(deadline)))
    }
}

impl<T> Queue<T> {
    /// For [`wait`](crate::wait()): ready when there is something to get, or nothing ever will be.
    pub(crate) fn readiness(&self) -> io::Result<Watching<'_>> {
        Watching::new(&self.recv)
    }

    /// From now on nothing can be put in, by anybody. What is in can still be got. Nothing happens if it is closed.
    ///
    /// It has no deadline: should another process be stopped (by `SIGSTOP`, or a debugger) in the middle of a put or a
    /// get, it waits until that goes on, or is killed.
    pub fn close(&self) {
        if self.send.core.store.check().is_ok() {
            self.send.core.close(|| self.recv.ring(), || self.send.ring());
        }
    }

    /// Messages in the queue; it may have changed before this returns.
    pub fn len(&self) -> usize {
        self.send.core.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it is bounded to; `None` if their number is not bounded.
    pub fn capacity(&self) -> Option<usize> {
        self.send.core.capacity()
    }

    /// How many bytes it is bounded to, as [`channel_of_bytes`](crate::channel_of_bytes) counts them; `None` if they are
    /// not bounded.
    pub fn capacity_bytes(&self) -> Option<usize> {
        self.send.core.capacity_bytes()
    }

    /// Says that a message that was got has been dealt with, for [`join`](Queue::join).
    ///
    /// # Panics
    ///
    /// It was called more often than messages were put in. (Python: `ValueError`.)
    pub fn task_done(&self) {
        assert!(
            self.send.core.store.check().is_err() || self.send.core.task_done(),
            "task_done was called more often than messages were put into the queue"
        );
    }

    /// Waits until everything that was ever put in has been dealt with, as [`task_done`](Queue::task_done) says. If a
    /// process is killed between the two, that is never.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = proc_ipc::Queue::bounded(8)?;
    /// let worker = std::thread::spawn({
    ///     let queue = queue.clone(); // or in another process
    ///     move || {
    ///         let mut sum = 0;
    ///         while let Ok(number) = queue.get() {
    ///             sum += number;
    ///             queue.task_done();
    ///         }
    ///         sum
    ///     }
    /// });
    /// for number in 1..=4 {
    ///     queue.put(number)?;
    /// }
    /// queue.join()?; // all four have been dealt with
    /// queue.close();
    /// assert_eq!(worker.join().unwrap(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// This is a forked child that does not have the queue.
    pub fn join(&self) -> io::Result<()> {
        self.send.core.store.check()?;
        self.send.core.join(None);
        Ok(())
    }

    /// [`join`](Queue::join) for at most `timeout`; false if it was over first.
    ///
    /// # Errors
    ///
    /// As [`join`](Queue::join).
    pub fn join_timeout(&self, timeout: Duration) -> io::Result<bool> {
        self.send.core.store.check()?;
        Ok(self.send.core.join(Instant::now().checked_add(timeout)))
    }

    /// [`join`](Queue::join) until `deadline` at most; false if it was over first.
    ///
    /// # Errors
    ///
    /// As [`join`](Queue::join).
    pub fn join_deadline(&self, deadline: Instant) -> io::Result<bool> {
        self.send.core.store.check()?;
        Ok(self.send.core.join(Some(deadline)))
    }

    /// For a wait until a message of so many bytes has room.
    #[cfg(feature = "async")]
    pub(crate) fn room(&self, len: usize) -> io::Result<super::watching::Roomy<'_>> {
        super::watching::Roomy::new(&self.send, len)
    }

    /// A sending end.
    pub fn sender(&self) -> Sender<T> {
        Sender::new(self.send.clone())
    }

    /// A receiving end.
    pub fn receiver(&self) -> Receiver<T> {
        Receiver::new(self.recv.clone())
    }
}

iterating!(Queue<T>, T);

impl<T> SendBytes for Queue<T> {
    #[inline]
    fn send_raw(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], until: Until) -> Result<(), Cause> {
        self.send.send(bytes, fds, until)
    }
}

impl<T> RecvBytes for Queue<T> {
    #[inline]
    fn recv_raw(&self, bytes: &mut Vec<u8>, until: Until) -> Result<Option<Vec<OwnedFd>>, RecvError> {
        self.recv.recv(bytes, until)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { send: self.send.clone(), recv: self.recv.clone(), messages: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        cross::give_both(&self.send, &self.recv)?.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (send, recv) = cross::take_both(Deserialize::deserialize(deserializer)?)?;
        Ok(Queue { send, recv, messages: PhantomData })
    }
}
