//! Pipes: one sender, one receiver, one way or both.

mod connection;
mod receiver;
mod sender;
mod shared;

use std::io;

use proc_core::Message;

pub use self::{connection::Connection, receiver::PipeReceiver, sender::PipeSender};
use crate::ring;

/// A pipe one way: what the sender sends, the receiver receives, in order, each message once.
///
/// It holds up to 256 KiB; a message of any size passes, in pieces if it has to.
///
/// # Errors
///
/// The process is out of descriptors (4 are needed), or of memory, or `RLIMIT_FSIZE` forbids a file of 272 KiB.
///
/// # Examples
///
/// ```
/// let (tx, rx) = proc_ipc::one_way::<(u32, String)>()?;
/// tx.send((1, "one".into()))?;
/// tx.send((2, "two".into()))?;
/// drop(tx);
/// let all: Result<Vec<_>, _> = rx.iter().collect();
/// assert_eq!(all?, [(1, "one".into()), (2, "two".into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn one_way<T: Message>() -> io::Result<(PipeSender<T>, PipeReceiver<T>)> {
    let (sender, receiver) = ring::one_way(ring::CAPACITY)?;
    Ok((PipeSender::new(sender), PipeReceiver::new(receiver)))
}

/// A pipe both ways: each end sends what the other receives.
///
/// Each direction holds up to 256 KiB.
///
/// # Errors
///
/// The process is out of descriptors (6 are needed), or of memory, or `RLIMIT_FSIZE` forbids a file of 528 KiB.
///
/// # Examples
///
/// ```
/// let (ours, theirs) = proc_ipc::pipe::<u32, String>()?;
/// ours.send(7)?;
/// assert_eq!(theirs.recv()?, 7);
/// theirs.send("seven".to_string())?;
/// assert_eq!(ours.recv()?, "seven");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pipe<S: Message, R: Message>() -> io::Result<(Connection<S, R>, Connection<R, S>)> {
    let (first, second) = ring::pair(ring::CAPACITY, ring::CAPACITY)?;
    Ok((Connection::new(first), Connection::new(second)))
}
