//! A pool of worker processes in which only the guilty task fails.
//!
//! ```
//! use proc_pool::{Pool, TaskError};
//!
//! fn risky(x: u32) -> u32 {
//!     if x == 3 {
//!         std::process::abort(); // or a crash in a C library, or the kernel's out-of-memory killer
//!     }
//!     x * 10
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     proc_core::init(); // the first line of main
//!
//!     let pool = Pool::new(2)?;
//!     assert_eq!(pool.map(risky, [1, 2])?, [10, 20]);
//!
//!     // One of them kills its worker. The others don't notice, and the worker is replaced.
//!     let results: Vec<_> = pool.imap(risky, 1..6).collect();
//!     assert_eq!(results[1], Ok(20));
//!     assert!(matches!(results[2], Err(TaskError::WorkerDied { .. })));
//!     assert_eq!(results[4], Ok(50));
//!     Ok(())
//! }
//! ```
//!
//! # Kinds of work
//!
//! [`Pool::map`] and its kin run a function over inputs; [`Pool::imap`] gives the values as they come and takes inputs
//! lazily; [`Pool::submit`] gives a [`Task`], to be waited for, awaited, cancelled or killed. [`Pool::with`] lends captured
//! state to every call, [`Pool::with_init`] state that each worker made for itself.
//!
//! Functions are plain `fn`s or closures without captures; several arguments are a tuple. Arguments and values are
//! [`Message`](proc_core::Message)s: what serde carries, with files, sockets and regions of shared memory inside.
//!
//! # Ends
//!
//! [`Pool::close`] takes no more, [`Pool::join`] waits for what is left, [`Pool::terminate`] ends it at once, and so does
//! dropping the last handle.
//!
//! # Errors
//!
//! [`TaskError`] is one task's, whatever happens: a panic, a death, a time limit, a value that could not be encoded. Only
//! workers that keep failing break the pool ([`PoolBuilder::crash_limit`] says what counts).
//!
//! # Hidden state
//!
//! Each pool has a thread that collects results when nobody waits for them, and one that starts workers while some are
//! missing; the process has one for [`Task::on_done`], once it is used. Each worker is a daemon process that leaves SIGINT
//! to this one; here it has three sockets, two memory files, a pidfd and a pipe's end.
//!
//! A waker runs in whichever thread takes the result in, without a lock. It may use the pool; one that is slow delays that
//! thread, and no other.
//!
//! # What it does not do
//!
//! It does not spread work over machines, and it does not isolate: a worker has the rights and the files of this process.
//! A pool does not cross a fork: in the child all it says is [`TaskError::Broken`]. A task that has begun is not begun
//! again unless [`Pool::retries`] says so, and with it a task may be run twice.
//!
//! It needs Linux 5.10 with glibc, and Rust 1.85.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod builder;
mod bytes;
mod completed;
mod engine;
mod error;
mod events;
mod feed;
mod function;
mod hook;
mod imap;
mod lend;
mod link;
mod parcel;
mod pool;
mod progress;
mod stats;
mod sync;
mod task;
mod with;
mod worker;

pub use builder::PoolBuilder;
pub use completed::{AsCompleted, as_completed};
pub use error::{PoolError, TaskError};
pub use imap::{Imap, ImapUnordered};
pub use lend::Lend;
pub use pool::Pool;
pub use progress::Progress;
pub use stats::{Stats, WorkerStats};
pub use task::{Task, TaskId};
pub use with::{PoolInit, PoolWith};
