//! Byte records from one sender to one receiver, through shared memory: what [`pipe`](crate) and the pools stand on.
//!
//! This is for authors of frameworks. Everything else is better served by the typed channels of this crate.
//!
//! ```
//! use proc_ipc::ring;
//!
//! let (mut a, mut b) = ring::pair(ring::CAPACITY, ring::CAPACITY)?;
//! a.sender.try_send(&[b"hello, ", b"world"])?;
//! let record = b.receiver.recv(None)?.expect("without a deadline there is a record or an error");
//! assert_eq!(record.bytes, b"hello, world");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! A ring is memory that both processes map. The sender copies a record in and commits it by one store of its position;
//! the receiver copies it out and gives the room back by one store of its own. Neither makes a system call while both
//! are busy. Whoever finds nothing to do looks for a while, up to some tens of microseconds, and then sleeps: it says so
//! in the shared memory, looks once more, and waits on a socket on which the peer rings. The same socket carries
//! descriptors, and its end is the peer's death: the kernel closes it after the process has left user mode for good, so
//! what is committed by then is all, and it is received before the end is reported. A record is visible whole or not at
//! all, whenever its sender is killed.
//!
//! States, transitions and the races are in the `README.md` beside the source.
//!
//! # Trust
//!
//! A peer that writes nonsense into the memory is an error ([`Corrupted`](RecvError::Corrupted)), never undefined
//! behaviour: positions are checked against each other and the capacity, each shared word is read once, records are
//! copied to private memory before they are shown. It can of course send any bytes, and can make its peer wait.
//!
//! # Hidden state
//!
//! Each end has a socket and the descriptor of the memory; a [`Duplex`] has two sockets. All are close-on-exec, and a
//! forked child has neither them nor the mapping: there every method is [`NotInherited`](RecvError::NotInherited). Of the
//! memory, pages are allocated as they are first used, in steps of 16 KiB. No threads, no signals.

pub(crate) mod bell;
mod cross;
mod duplex;
mod error;
pub(crate) mod header;
mod memory;
mod pieces;
mod receiver;
mod record;
mod sender;
pub(crate) mod spin;
pub(crate) mod wait;
mod waker;

use std::io;

pub(crate) use self::cross::serialize_pair;
use self::{
    bell::Bell,
    memory::{Memory, View},
};
pub use self::{
    duplex::Duplex,
    error::{RecvError, SendError},
    receiver::{Receiver, Record},
    sender::Sender,
    wait::{Readiness, Ready, Room, Waiter, wait},
    waker::Waker,
};

/// The usual capacity of a ring in bytes. Larger ones are slower: at 64 MiB, whose lines are in no cache, half.
pub const CAPACITY: usize = 256 * 1024;

/// Two rings between two ends: `to_second` bytes for what the first sends, `to_first` for what the second sends.
///
/// # Errors
///
/// - `InvalidInput`: a capacity is not a power of two from 4 KiB to 1 GiB;
/// - the process is out of descriptors, or of memory, or `RLIMIT_FSIZE` forbids a file of that size.
pub fn pair(to_second: usize, to_first: usize) -> io::Result<(Duplex, Duplex)> {
    let memory = Memory::new([to_second, to_first])?;
    let (first_sender, second_receiver) = ends(&memory, 0)?;
    let (second_sender, first_receiver) = ends(&memory, 1)?;
    let first = Duplex { sender: first_sender, receiver: first_receiver };
    Ok((first, Duplex { sender: second_sender, receiver: second_receiver }))
}

/// A single ring of `capacity` bytes.
///
/// # Errors
///
/// As [`pair`].
pub fn one_way(capacity: usize) -> io::Result<(Sender, Receiver)> {
    ends(&Memory::new([capacity, 0])?, 0)
}

fn ends(memory: &std::sync::Arc<Memory>, which: usize) -> io::Result<(Sender, Receiver)> {
    let view = || View::new(memory.clone(), which).ok_or(io::ErrorKind::InvalidInput);
    let (ours, theirs) = Bell::pair()?;
    Ok((Sender::new(view()?, ours), Receiver::new(view()?, theirs, 0)))
}
