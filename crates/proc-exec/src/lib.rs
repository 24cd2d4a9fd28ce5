//! External programs: run, talk to, pipe and bound them in time.
//!
//! # Running
//!
//! [`run`] runs a program to its end, and gives its [`Output`]; whatever went wrong, a bad status too, is a [`RunError`]
//! that tells all there is to know. [`cmd!`] makes a [`Command`], which has everything else.
//!
//! ```
//! use proc_exec::{cmd, run};
//!
//! let out = run(["echo", "hello"])?;
//! assert_eq!(out.text()?, "hello\n");
//! let head = cmd!("head", "-c", "4").input("some text").env("LC_ALL", "C").read()?;
//! assert_eq!(head, "some");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bounds
//!
//! A [time limit](Command::timeout) covers the whole call, and ends the program with all that it has started; what was
//! captured until then is in the error. [`KillScope`] says how far that reaches, [`CancelToken`] ends a call from
//! another thread, [`Command::output_limit`] bounds memory.
//!
//! ```
//! use proc_exec::Command;
//! use std::time::Duration;
//!
//! let mut stuck = Command::shell("echo started; sleep 100 & sleep 100");
//! let error = stuck.timeout(Duration::from_millis(200)).run().unwrap_err();
//! assert!(error.is_timeout());
//! assert_eq!(error.output().map(|out| &out.stdout[..]), Some(&b"started\n"[..]));
//! ```
//!
//! # As it runs
//!
//! - [`Command::lines`]: standard output line by line.
//! - [`Command::on_line`], [`Command::tee`]: callbacks and copies of what is captured.
//! - [`Command::interactive`]: a [`Session`], to write to and read from.
//! - [`Command::spawn`]: a [`Child`], to wait for and kill from any thread; [`wait_any`] for the first of many.
//! - [`Command::pipe`]: a [`Pipeline`].
//!
//! # Text
//!
//! Bytes are what there is: [`Output::stdout`]. [`Command::read`], lines and sessions make text of them by the rule of
//! [`Command::encoding`], strict UTF-8 by default, and never tear a character. Callbacks by line replace what is not
//! UTF-8 by U+FFFD.
//!
//! # Errors
//!
//! One type, [`RunError`]: see [`RunErrorKind`] for the kinds, and [`RunError::start_error`] for what can go wrong at a
//! start, step by step.
//!
//! # Hidden state
//!
//! No thread, no signal handler. Of our environment a start reads `PATH`, to find a program, and hands on what its
//! settings leave; nothing is set. A call that writes to a program while SIGPIPE has its default action blocks that
//! signal in the calling thread for the write. Descriptors: the process's (a pidfd), one for each stream that is captured
//! or fed, two for each tie (see [`Command::die_with_parent`]), an eventfd of a [`Child`] that was waited for and of a
//! [`CancelToken`], and an epoll and a timerfd of a call that does not block; all close-on-exec, and closed in forked
//! children. What is [detached](Child::detach) or can't be killed is kept in a list, and reaped by a
//! later start. The program has what its settings name, and as descriptors 0 to 2, those that were handed over, and the
//! end of the tie.
//!
//! # What it does not do
//!
//! It parses no command lines ([`Command::shell`] hands one to `sh`), and forwards no signals: with a process group of
//! its own, a program does not hear of Ctrl-C unless you pass it on ([`Child::interrupt`]).

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("proc-exec runs on Linux with glibc only");

#[cfg(feature = "async")]
pub mod asynchronous;
mod cancel;
mod child;
mod command;
mod encoding;
mod engine;
mod error;
mod lines;
mod output;
mod pipeline;
#[cfg(feature = "pty")]
pub mod pty;
mod session;
mod start;
mod stdio;
mod sys;

pub use cancel::CancelToken;
pub use child::{Child, wait_any};
pub use command::{Command, Resource, run};
pub use encoding::Encoding;
pub use engine::{KillScope, Overflow};
pub use error::{RunError, RunErrorKind};
pub use lines::Lines;
pub use output::{Output, Stage};
pub use pipeline::Pipeline;
pub use proc_core::spawner::{StartError, StartErrorKind, Step};
pub use proc_core::{ExitStatus, Usage};
pub use session::Session;
pub use stdio::{Input, Sink, Stream};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
