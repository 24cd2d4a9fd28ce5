//! Shared memory between processes: values, arrays, and locks that outlive their owners.
//!
//! A process that is killed, at any instruction, while it holds a lock, waits for one or notifies somebody, never blocks
//! the others.
//!
//! The examples start processes by `proc-core`: `cargo add proc-shm proc-core`. It needs Linux 5.10 or newer on 64 bits, with
//! glibc, and Rust 1.85 or newer.
//!
//! ```
//! use proc_core::{Process, RemoteError};
//! use proc_shm::Value;
//!
//! fn add(n: Value<i32>) -> Result<(), RemoteError> {
//!     for _ in 0..10_000 {
//!         *n.lock()? += 1;
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     proc_core::init();
//!     let n = Value::new(0)?;
//!     let children = [Process::spawn(add, n.clone())?, Process::spawn(add, n.clone())?];
//!     for child in children {
//!         child.join()??;
//!     }
//!     assert_eq!(n.get(), 20_000);
//!     Ok(())
//! }
//! ```
//!
//! # Kinds
//!
//! - Data: [`Value`] for a number or a small struct, [`Array`] for many, [`Mutex`], [`RecursiveMutex`] and [`RwLock`] for
//!   anything in place, [`Frozen`] for what is only read. Atomics in a [`Value`] or an [`Array`] need no lock.
//! - Signals: [`Condvar`], [`Event`], [`Semaphore`], [`Barrier`].
//! - [`SharedMemory`] has a name, for processes that know nothing of each other.
//! - [`region`] and [`raw`] are what all is made of, for authors of other structures.
//!
//! What may be shared is said by [`Shared`], [`Plain`] and [`LockFree`]; your own structs are admitted by [`shared!`].
//!
//! # Sharing
//!
//! All are handles. A clone is the same object, and so is what crossed to another process: as an argument or a result of a
//! [`Process`](proc_core::Process), or in a message. Threads and processes use them alike. Each object is an anonymous
//! file of its own (a descriptor and a mapping a process), and the kernel frees it with its last handle.
//!
//! # Blocking
//!
//! Locks and semaphores have four forms: `lock`, `try_lock`, `lock_timeout`, `lock_deadline`. The last three are `Ok(None)` if
//! the lock was not to be had. What is waited for without being taken has no `try_`: a [`Barrier`] whose time is up is
//! `Ok(None)` and broken, a [`Condvar`] returns the guard and says whether its time was up, an [`Event`] says true or false. A
//! time limit is by CLOCK_MONOTONIC and never early, [`Duration::MAX`](std::time::Duration::MAX) is for ever, and a signal ends
//! no wait.
//!
//! Locks spin for about a microsecond before they sleep, and whoever sleeps looks four times a second whether the owner lives.
//! A lock goes to whoever comes first, also past sleepers. But an unlock that wakes one which has been passed over for a
//! millisecond holds back until somebody has the lock, for a millisecond or two, so that a thread that locks again at once does
//! not keep the others out. Permits have no such bound.
//!
//! # Ending
//!
//! | who dies | what the others see |
//! |---|---|
//! | the owner of a lock (or its thread panics) | [`LockError::OwnerDied`], until one of them calls `repair` |
//! | a reader of an [`RwLock`] | nothing |
//! | a holder of [permits](Semaphore) | the permits come back |
//! | a party of a [`Barrier`] | [`BarrierError::Broken`], and nobody passes with the dead |
//! | who waits for anything | nothing |
//!
//! The kernel tells: the locks are words in each thread's list of robust futexes. How, and why nobody sleeps for ever, is
//! told in [`raw`].
//!
//! # Forks
//!
//! A handle belongs to its process. A forked child has those that were named, by
//! [`Process::fork_with`](proc_core::Process::fork_with); others are [`LockError::NotInherited`] there, before memory is
//! touched, and guards that its parent holds are not the child's to give up. What belongs to no process works: atomics,
//! [`Value::get`], [`Frozen`], [`SharedMemory`].
//!
//! # What it does not do
//!
//! - It does not protect from peers that scribble over the memory they share. What is received is checked for seals, size,
//!   version, kind and type, and no more.
//! - It does not work between PID namespaces, where it would need thread ids; opening a lock from another one is an error.
//! - It does not take a stopped process for a dead one; nor, where `/proc` is hidden, one that ended and is not reaped.
//! - It has no condition that wakes one of many, and no list of values of any size: see the README for why.

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!("proc-shm runs on 64-bit Linux with glibc only");

mod array;
mod barrier;
mod condvar;
mod deadline;
mod error;
mod event;
mod frozen;
mod gate;
mod guard;
mod handle;
mod held;
mod mutex;
mod named;
mod participants;
pub mod raw;
mod recursive;
pub mod region;
mod rwlock;
mod semaphore;
mod sync;
mod sys;
mod typing;
mod value;

pub use self::{
    array::{Array, Part},
    barrier::{Barrier, BarrierError},
    condvar::{Condvar, Unlockable, WaitTimeoutResult},
    error::LockError,
    event::Event,
    frozen::Frozen,
    guard::{Guard, MappedGuard, MappedReadGuard, ReadGuard, WriteGuard},
    mutex::Mutex,
    named::SharedMemory,
    recursive::{RecursiveGuard, RecursiveMutex},
    rwlock::RwLock,
    semaphore::{Permit, Semaphore},
    typing::{LockFree, Plain, Shared},
    value::{Value, ValueGuard},
};

#[doc(hidden)]
pub use bytemuck as __bytemuck;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
