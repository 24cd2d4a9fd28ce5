//! The three start methods, one interface: what is common to them, and which is taken.

mod boot;
mod boundary;
mod detach;
mod exec;
mod fork;
mod init;
mod lifeline;
mod panics;
mod work;
mod zygote;

pub use fork::{Fork, fork};
pub use init::{__init_before_main, init};
pub use zygote::Zygote;

pub(crate) use fork::{fork_checked, fork_unchecked};
pub(crate) use work::Decode;
pub(crate) use zygote::start_from;

use crate::message::Message;
use crate::process::{Description, Process, SpawnError, Stdio};
use crate::settings;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use work::Work;

/// How a new process comes to be.
///
/// | method | how | cost | when |
/// |---|---|---|---|
/// | `Spawn` | the program is executed again, and runs the function instead of its `main` | 1.3 ms, whatever the size of the parent | always right |
/// | `Zygote` | a small, single-threaded copy of the program, started once, forks on request | 0.2 ms, whatever the size of the parent | many short processes |
/// | `Fork` | this process is copied as it is | 0.15 ms, and 13 to 86 ms for each GiB of its memory | single-threaded programs |
///
/// The cost is that of a start, a value there and back, and a join: medians of 200 on a virtual machine with two CPUs
/// (Intel Xeon, Linux 6.18, glibc 2.36), by `cargo run --release -p proc-core --example start_cost`. A GiB is
/// `start_cost -- 1024`: 13 ms where the machine had nothing else to do, 86 ms where it had.
///
/// Children of one zygote share what the zygote drew at its start: hash seeds and address layout. They have its environment
/// and working directory, which are those of this process at the moment the zygote was started, and its affinity; what a
/// [`ProcessBuilder`](crate::ProcessBuilder) sets comes on top. Signals that this process ignores or blocks are told anew
/// for each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartMethod {
    /// A fresh image of this program.
    #[default]
    Spawn,
    /// A fork of a small helper that was started before, the fork server of Python's multiprocessing.
    Zygote,
    /// A fork of this process. Refused if it has more than one thread.
    Fork,
}

/// Starts `f(arg)` by `method`.
pub(crate) fn spawn<A: Message, R: Message>(
    method: StartMethod,
    description: &Description,
    stdio: &[Stdio; 3],
    f: fn(A) -> R,
    arg: A,
) -> Result<Process<R>, SpawnError> {
    if method == StartMethod::Fork {
        // It checks the rest.
        return fork_checked(description, stdio, arg, f);
    }
    init::require()?;
    check(description)?;
    let work = Work::new(f, &arg)?;
    let inner = match method {
        StartMethod::Zygote => zygote::start_shared(description, stdio, &work)?,
        _ => exec::start(description, stdio, &work)?,
    };
    Ok(Process::new(inner, description.daemon, Some(work::decode)))
}

/// What is wrong with a description, whatever the method, before there is a process that could only fail on it.
fn check(description: &Description) -> Result<(), SpawnError> {
    detach::check(description)?;
    let of_variable = || {
        let mut variables = description.env.iter();
        variables.find_map(|(name, value)| settings::fault_of_variable(name, value.as_deref()))
    };
    let Some(fault) = description.settings.fault().or_else(of_variable) else { return Ok(()) };
    let fault = io::Error::new(io::ErrorKind::InvalidInput, fault);
    Err(SpawnError::io("the description of the process is not valid", fault))
}

/// Leaves Ctrl-C to this process's parent: from now on SIGINT does nothing here, and interrupted calls go on.
///
/// For a process that works for another and shares its terminal. It is a handler, not an ignored signal, so programs that
/// this process starts have the default action again. A handler that is installed later replaces it.
pub fn leave_interrupts_to_parent() {
    crate::sys::signals::set_no_op(libc::SIGINT);
}

/// The name of a process that was given none.
fn name_of(description: &Description) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    match &description.name {
        Some(name) => name.clone(),
        None => format!("Process-{}", COUNT.fetch_add(1, Ordering::Relaxed)),
    }
}
