//! Typed channels between processes: pipes, queues, and waiting on many of them.
//!
//! ```
//! use proc_core::Process;
//! use proc_ipc::{Connection, pipe};
//!
//! fn double(end: Connection<u64>) {
//!     while let Ok(number) = end.recv() {
//!         if end.send(number * 2).is_err() {
//!             return; // nobody wants to know any more
//!         }
//!     }
//! }
//!
//! # proc_core::init_for_tests!();
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     proc_core::init();
//!     let (ours, theirs) = pipe::<u64, u64>()?;
//!     let child = Process::spawn(double, theirs)?;
//!     ours.send(21)?;
//!     assert_eq!(ours.recv()?, 42);
//!     drop(ours);
//!     child.join()?;
//!     Ok(())
//! }
//! ```
//!
//! # Kinds
//!
//! | | ends | for |
//! |---|---|---|
//! | [`pipe`](pipe()) | one, one; both ways | a conversation with a process |
//! | [`one_way`] | one sender, one receiver | a stream |
//! | [`channel`](channel()), [`channel_of_bytes`], [`unbounded_channel`] | any number of senders and receivers | work for many, results from many |
//! | [`Queue`] | both in one | the same where everybody puts and gets |
//! | [`Listener`], [`Client`] | a pipe both ways | processes that did not start each other |
//! | [`ring`] | one sender, one receiver, bytes | authors of frameworks |
//!
//! # Sharing
//!
//! Ends are values that cross to other processes: as an argument of [`Process::spawn`](proc_core::Process::spawn), or
//! inside of a message. The end of a pipe is for one process at a time, and the original is dropped once it has crossed;
//! those of a channel are cloned. In a process, threads share an end by reference.
//!
//! # Ending
//!
//! Dropping an end is enough. A receiver gets everything that was sent, and then the end:
//! [`Disconnected`](RecvError::Disconnected), or for a pipe whose peer was killed [`PeerDied`](RecvError::PeerDied). A loop
//! `for message in &rx` ends at the first, and shows the second as an error, so that a dead worker is not taken for one
//! that was done. A send to nobody is an error that gives the message back.
//!
//! # Blocking
//!
//! `send` waits for room and `recv` for a message, for ever; `try_` forms don't wait, but for another thread or process that
//! is just in the middle of a copy; `_timeout` and `_deadline` forms wait that long and never shorter. A wait looks for some tens of microseconds first, if there is more than one CPU, and then
//! sleeps.
//!
//! # Forking
//!
//! A forked child has no copy of an end, and using one there is an error (`NotInherited`), unless it was handed over
//! ([`Process::fork_with`](proc_core::Process::fork_with)). So the end of a stream comes when the process that *has* the other end drops it or
//! ends, whatever children it forked. That holds for `fork`; not for a raw `clone`, nor for descriptors that were
//! made inheritable by hand.
//!
//! # What it does not do
//!
//! Messages to other machines. Both sides must be the same build, or for a [`Listener`] and its [`Client`]s, programs with
//! the same release of this library and the same message types; they are compared by name only. A message that a process
//! has received is gone with it when it is killed; whoever needs more keeps a note until the answer is there, as pools do.
//!
//! # Hidden state
//!
//! Each end has three descriptors in a process: the shared memory, a socket, and for the other direction or for
//! descriptors another socket; a [`Queue`] five. They are close-on-exec. A thread that sends or receives keeps a buffer, of
//! the size of its messages lately, 64 MiB at most. No threads, no signals, no environment variables, and no names in the
//! file system but those of listeners.
//!
//! # Features
//!
//! None is on by default. `auth`: keys that a [`Listener`] and its [`Client`]s share; it brings in hmac and sha2.
//! `async`: `recv_async`, `send_async` and the like, under any executor, by async-io. The first of their waits starts
//! async-io's reactor, a thread that stays for the life of the process. Without it, [`arm`](Armed) is for event loops.

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("proc-ipc runs on Linux with glibc only");

#[cfg(feature = "async")]
mod asynchronous;
mod channel;
mod copy;
mod error;
mod given;
mod iter;
mod listener;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
mod pipe;
pub mod ring;
mod scratch;
mod sync;
mod sys;
mod typed;
mod wait;

pub use self::{
    channel::{Queue, Receiver, Sender, channel, channel_of_bytes, unbounded_channel},
    error::{RecvError, SendError},
    iter::{IntoIter, Iter},
    listener::{Address, Client, ConnectError, Incoming, Listener, ListenerBuilder, Peer, Refusal},
    pipe::{Connection, PipeReceiver, PipeSender, one_way, pipe},
    wait::{Armed, Ready, Waitable, wait},
};

/// No end is broken by a panic: a message is encoded and decoded outside of it, and sent or received whole.
macro_rules! unwind_safe {
    ($($end:ident<$($t:ident),+>),*) => {$(
        impl<$($t),+> std::panic::UnwindSafe for $end<$($t),+> {}
        impl<$($t),+> std::panic::RefUnwindSafe for $end<$($t),+> {}
    )*};
}

unwind_safe!(
    Sender<T>,
    Receiver<T>,
    Queue<T>,
    PipeSender<T>,
    PipeReceiver<T>,
    Connection<S, R>
);

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
