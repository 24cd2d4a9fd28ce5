//! Running work in other processes: spawn, share, send, pool, and run programs.
//!
//! What Python programmers get from `multiprocessing`, `concurrent.futures` and `subprocess`, with types, without hangs.
//! This crate is the catalogue: everything in it comes from one of five crates, and each of them can be taken alone.
//!
//! # A function in another process
//!
//! ```
//! use multiprocess::Process;
//!
//! fn square(x: u64) -> u64 {
//!     x * x
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiprocess::init(); // the first line of main: in a child, this runs the function and never returns
//!     let child = Process::spawn(square, 12)?;
//!     assert_eq!(child.join()?, 144);
//!     Ok(())
//! }
//! ```
//!
//! A function crosses as its place in the program, so nothing has to be registered. Its argument and its value cross by
//! serde: whatever is `Serialize` and `Deserialize` ([`Message`]), and files, sockets, channels and shared memory as well
//! ([`Fd`]). What becomes of the process is in the type of `join`: a value, or a [`JoinError`] that says whether it
//! panicked (with message and place), exited, or was killed.
//!
#![cfg_attr(all(feature = "exec", feature = "ipc", feature = "pool", feature = "shm"), doc = include_str!("tour.md"))]
#![forbid(unsafe_code)]
// The pages name what all features bring.
#![cfg_attr(
    not(all(feature = "exec", feature = "ipc", feature = "pool", feature = "shm")),
    allow(rustdoc::broken_intra_doc_links)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("multiprocess runs on Linux with glibc only");

pub mod choosing;

pub use proc_core;

#[doc(inline)]
pub use proc_core::{
    ExitStatus, Fd, Fork, Func, JoinError, Message, Panic, Process, ProcessBuilder, ProcessHandle,
    RemoteError, SpawnError, SpawnErrorKind, StartMethod, Stdio, Zygote, active_children,
    available_parallelism, current, fd, fork, init, init_for_tests, leave_interrupts_to_parent, parent,
};

#[cfg(feature = "exec")]
pub use proc_exec;
#[cfg(feature = "exec")]
#[doc(inline)]
pub use proc_exec::{
    CancelToken, Child, Command, Encoding, Input, KillScope, Lines, Output, Overflow, Pipeline, Resource,
    RunError, RunErrorKind, Session, Sink, Stage, Stream, cmd, run, wait_any,
};

#[cfg(feature = "pty")]
#[doc(inline)]
pub use proc_exec::pty::Window;

#[cfg(feature = "async")]
#[doc(inline)]
pub use proc_exec::asynchronous::Running;

#[cfg(feature = "ipc")]
pub use proc_ipc;
#[cfg(feature = "ipc")]
#[doc(inline)]
pub use proc_ipc::{
    Address, Armed, Client, ConnectError, Connection, Incoming, Listener, ListenerBuilder, Peer,
    PipeReceiver, PipeSender, Queue, Ready, Receiver, RecvError, Refusal, SendError, Sender, Waitable,
    channel, channel_of_bytes, one_way, pipe, unbounded_channel, wait,
};

#[cfg(feature = "pool")]
pub use proc_pool;
#[cfg(feature = "pool")]
#[doc(inline)]
pub use proc_pool::{
    AsCompleted, Imap, ImapUnordered, Lend, Pool, PoolBuilder, PoolError, PoolInit, PoolWith, Progress,
    Stats, Task, TaskError, TaskId, WorkerStats, as_completed,
};

#[cfg(feature = "shm")]
pub use proc_shm;
#[cfg(feature = "shm")]
#[doc(inline)]
pub use proc_shm::{
    Array, Barrier, BarrierError, Condvar, Event, Frozen, Guard, LockError, LockFree, MappedGuard,
    MappedReadGuard, Mutex, Part, Permit, Plain, ReadGuard, RecursiveGuard, RecursiveMutex, RwLock,
    Semaphore, Shared, SharedMemory, Unlockable, Value, ValueGuard, WaitTimeoutResult, WriteGuard, shared,
};

#[cfg(all(doctest, feature = "pool"))]
#[doc = include_str!("../README.md")]
mod readme {}
