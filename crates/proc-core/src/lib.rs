//! Processes that run your functions: spawn, zygote, fork, typed results, descriptors that cross.
//!
//! ```
//! # #[cfg(feature = "functions")]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     proc_core::init(); // The first line of main.
//!
//!     let p = proc_core::Process::spawn(|(a, b): (u32, u32)| a + b, (20, 22))?;
//!     assert_eq!(p.join()?, 42);
//!     Ok(())
//! }
//! # #[cfg(not(feature = "functions"))]
//! # fn main() {}
//! ```
//!
//! # Processes
//!
//! [`Process::spawn`] starts a new process of this program that runs one of its functions on an argument, and
//! [`Process::join`] gives the function's value, or a [`JoinError`] that says how the process ended: a panic with its
//! message and place, an exit code, a signal. [`ProcessBuilder`] describes a process before it is started: its name, its
//! [`StartMethod`], its environment, streams and limits, whether it is a daemon that dies with this process.
//! [`ProcessHandle`] is the untyped side: who it is, whether it lives, signals to it.
//!
//! Processes come to be in three ways: a fresh image ([`StartMethod::Spawn`]), a fork of a small helper that may have
//! loaded something first ([`Zygote`]), or a fork of this process with closures and all ([`Process::fork`]).
//!
//! # What crosses
//!
//! Arguments and results are [`Message`]s: any serde type. Files and sockets cross in an [`Fd`], functions as a [`Func`],
//! errors as a [`RemoteError`]. The module [`transfer`] has the rules, and the same for messages of your own.
//!
//! # What a forked child has
//!
//! Handles belong to the process that made them: in a forked child they are refused before they do harm. The module
//! [`inherit`] says how, and what it takes to make such a handle.
//!
//! # Programs
//!
//! The [`spawner`] starts any program, at a cost that does not grow with this process, and says which step failed.
//! Everything above stands on it. It is all there is without the feature `functions`, which is on by default and needs
//! serde and postcard.
//!
//! # What is hidden
//!
//! There are no threads here, and no signal handlers, with one exception: in a zygote SIGINT does nothing, so that Ctrl-C
//! is its owner's business. [`leave_interrupts_to_parent`] does the same where you ask for it.
//!
//! A child finds the variable `PROC_CORE_LINK` in its environment until [`init`] has taken it out; it has a socket to its
//! parent, pidfds of its parent and of itself, and, as a daemon, a pipe. One `pthread_atfork` handler closes in forked
//! children what is not theirs. The zygote behind [`StartMethod::Zygote`] is one more process, from the first use on.
//!
//! In a child the program's panic hook is wrapped, so that a panic's message and place reach the parent.

// The page is about the whole crate; without the feature half of it has no target.
#![cfg_attr(not(feature = "functions"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(all(doctest, feature = "functions"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("proc-core runs on Linux with glibc only");

mod child;
pub mod inherit;
mod remote_error;
mod settings;
pub mod spawner;
mod status;
mod sys;

#[cfg(feature = "functions")]
mod family;
#[cfg(feature = "functions")]
pub mod fd;
#[cfg(feature = "functions")]
mod func;
#[cfg(feature = "functions")]
mod image;
#[cfg(feature = "functions")]
mod message;
#[cfg(feature = "functions")]
mod per_process;
#[cfg(feature = "functions")]
mod process;
#[cfg(feature = "functions")]
mod start;
#[cfg(feature = "functions")]
pub mod transfer;

pub use child::Child;
pub use remote_error::RemoteError;
pub use status::{Ended, ExitStatus, Usage};

#[cfg(feature = "functions")]
pub use {
    fd::Fd,
    func::Func,
    message::Message,
    process::{
        JoinError, Panic, Process, ProcessBuilder, ProcessHandle, SpawnError, SpawnErrorKind, Stdio,
        active_children, current, parent,
    },
    start::{__init_before_main, Fork, StartMethod, Zygote, fork, init, leave_interrupts_to_parent},
};

/// How many processes can usefully run at once: the CPUs that this process may use, by its affinity and its control
/// group's quota. A child has its parent's affinity unless it was given [another](ProcessBuilder::affinity).
///
/// # Errors
/// As [`std::thread::available_parallelism`].
pub fn available_parallelism() -> std::io::Result<std::num::NonZero<usize>> {
    std::thread::available_parallelism()
}
