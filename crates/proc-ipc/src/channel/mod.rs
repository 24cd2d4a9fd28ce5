//! Channels: many senders, many receivers.
//!
//! One memory of segments, two sections (a lock for senders, one for receivers), one store that commits. See the
//! `README.md` beside this file.

mod core;
mod cross;
mod ends;
mod join;
mod layout;
#[cfg(loom)]
pub(crate) mod model;
mod queue;
mod receiver;
mod sender;
mod store;
mod watching;

use std::{io, sync::Arc};

use proc_core::Message;

#[cfg(feature = "async")]
pub(crate) use self::ends::SLICE;
use self::{
    core::{Core, Limits},
    ends::{RecvEnd, SendEnd},
    store::Store,
};
pub use self::{queue::Queue, receiver::Receiver, sender::Sender};
use crate::sys::socket;

/// A channel of at most `capacity` messages that any number of processes and threads may send to and receive from: each
/// message goes to one receiver. Messages of one sender are received in the order in which it sent them.
///
/// It ends when all ends of the other side are gone, however they went. A process that is killed anywhere, in the
/// middle of a send or a receive too, harms nobody: its message was sent, or it was not; what it had received is lost with
/// it.
///
/// # Errors
///
/// `capacity` is 0 (`InvalidInput`: there is no channel without room between processes); or the process is out of descriptors (5 are needed), or of memory or address space (it uses addresses for 16 GiB, or fewer
/// if there is a limit; memory only for what is in the channel).
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::channel::<u32>(8)?;
/// let other = tx.clone();
/// tx.send(1)?;
/// other.send(2)?;
/// drop((tx, other));
/// assert_eq!(rx.iter().collect::<Result<Vec<_>, _>>()?, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<T: Message>(capacity: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    let (send, recv) = bounded_ends(capacity)?;
    Ok((Sender::new(send), Receiver::new(recv)))
}

/// A [`channel`] that is bounded by what its messages take, and not by their number.
///
/// A message takes what it has when it is encoded (the bytes that [`recv_bytes`](Receiver::recv_bytes) would give) and 16
/// more, rounded up to a multiple of 16. What is left of a piece of the memory, of 256 KiB, when the next message does not
/// fit into it counts too, until that message is received. A channel that is empty takes any message, however long it is:
/// so nobody waits for ever, and the bound is exceeded by one message at most.
///
/// # Errors
///
/// As [`channel`]. A bound above what the memory can hold is that.
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::channel_of_bytes::<Vec<u8>>(1 << 20)?;
/// assert_eq!((tx.capacity(), tx.capacity_bytes()), (None, Some(1 << 20)));
/// // Nothing else has room beside it.
/// tx.send(vec![1; 3 << 20])?;
/// assert!(tx.try_send(vec![2]).is_err_and(|e| e.is_full()));
/// assert_eq!(rx.recv()?.len(), 3 << 20);
/// tx.try_send(vec![2])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel_of_bytes<T: Message>(capacity: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    let (send, recv) = ends_of_bytes(capacity)?;
    Ok((Sender::new(send), Receiver::new(recv)))
}

/// A [`channel`] that takes messages as long as there is memory: up to 16 GiB of them, or 2^28.
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::unbounded_channel()?;
/// for n in 0..100_000_u32 {
///     tx.send(n)?; // never waits
/// }
/// assert_eq!((rx.len(), rx.recv()?), (100_000, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`channel`].
pub fn unbounded_channel<T: Message>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (send, recv) = unbounded_ends()?;
    Ok((Sender::new(send), Receiver::new(recv)))
}

fn bounded_ends(capacity: usize) -> io::Result<(Arc<SendEnd>, Arc<RecvEnd>)> {
    ends(some(capacity, "message")?, u64::MAX)
}

fn ends_of_bytes(capacity: usize) -> io::Result<(Arc<SendEnd>, Arc<RecvEnd>)> {
    ends(u64::MAX, some(capacity, "byte")?)
}

fn unbounded_ends() -> io::Result<(Arc<SendEnd>, Arc<RecvEnd>)> {
    ends(u64::MAX, u64::MAX)
}

fn some(capacity: usize, of: &str) -> io::Result<u64> {
    if capacity == 0 {
        let why = format!("a channel between processes has room for at least one {of}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(capacity as u64)
}

fn ends(messages: u64, bytes: u64) -> io::Result<(Arc<SendEnd>, Arc<RecvEnd>)> {
    let store = Store::new()?;
    let limits = Limits { messages: messages.min(layout::COUNT - 1), bytes: bytes.min(store.most_bytes()) };
    let core = Arc::new(Core { store, limits });
    ends::count(ends::senders, &core);
    ends::count(ends::receivers, &core);
    let (send_bell, recv_bell) = socket::stream_pair()?;
    let (send_side, recv_side) = socket::pair()?;
    let send = SendEnd::new(core.clone(), send_bell, send_side);
    Ok((Arc::new(send), Arc::new(RecvEnd::new(core, recv_bell, recv_side))))
}
