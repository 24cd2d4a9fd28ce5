//! `Fork`: a copy of this process, and the raw call.

use super::boundary::never_return;
use super::work::{self, Decode};
use super::{boot, check, detach, exec, lifeline, name_of, panics};
use crate::inherit::LocalFd;
use crate::message::Message;
use crate::process::{
    self, Description, Inner, Process, Reply, Source, SpawnError, SpawnErrorKind, Stdio, adopt, decode_status,
};
use crate::sys::{clone, steps, threads};
use crate::{family, transfer};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// How long a thread that was joined a moment ago may take to leave the kernel's list.
pub(super) const THREAD_PATIENCE: Duration = Duration::from_millis(5);

/// Which side of a [`fork`] this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with a handle of the new one.
    Parent(Process),
}

/// Copies this process, as `fork(2)` does: both sides return.
///
/// Standard output's buffer is flushed first, so that nothing is printed twice. The child inherits every descriptor, save
/// those of this library: its handles of other processes, locks and channels are refused there.
/// [`Process::join`] of the child is `Ok` if it exits with code 0.
///
/// In a process that runs a function for its parent, the child is not the one whose value is awaited. If it returns from
/// that function all the same, its value is lost: it says so on standard error and leaves with code 71.
///
/// # Errors
/// The system could not make the process: EAGAIN, ENOMEM.
///
/// # Safety
/// With more than one thread here, the child may call only what is async-signal-safe until it execs or exits: a lock
/// that another thread held at the fork, the allocator's included, is held in the child for ever. With one thread there
/// is no such condition; [`Process::fork`] checks that.
///
/// ```
/// use proc_core::{Fork, fork};
///
/// // SAFETY: this program has one thread.
/// match unsafe { fork()? } {
///     Fork::Child => std::process::exit(if proc_core::parent().is_some() { 0 } else { 1 }),
///     Fork::Parent(child) => child.join()?,
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub unsafe fn fork() -> io::Result<Fork> {
    flush();
    family::key();
    let parent = process::pidfd_of_self()?;
    let parent_pid = std::process::id();
    // SAFETY: the caller's promise.
    match unsafe { clone::fork()? } {
        0 => {
            process::become_child(format!("fork of {parent_pid}"), parent_pid, parent);
            Ok(Fork::Child)
        }
        pid => {
            let source = Source::Own(clone::open_or_end(pid)?.into());
            let inner = Inner::new(format!("fork {pid}"), source, None, None);
            adopt(&inner);
            Ok(Fork::Parent(Process::new(inner, false, Some(decode_status))))
        }
    }
}

fn flush() {
    let _ = io::stdout().flush();
    clone::flush_c_stdout();
}

/// Forks this process if it has one thread; the child runs `f(handles)`.
pub(crate) fn fork_checked<H: Message, R: Message>(
    description: &Description,
    stdio: &[Stdio; 3],
    handles: H,
    f: impl FnOnce(H) -> R,
) -> Result<Process<R>, SpawnError> {
    let count = threads::settled(THREAD_PATIENCE)
        .map_err(|e| SpawnError::io("the threads of this process could not be counted", e))?;
    if count != 1 {
        let why = format!(
            "a process with {count} threads can't be forked safely; use the start method Spawn or Zygote, or fork \
             before the first thread is started"
        );
        return Err(SpawnError::new(SpawnErrorKind::Threads, why));
    }
    fork_any(description, stdio, handles, f, true)
}

/// Forks this process whatever threads it has.
pub(crate) fn fork_unchecked<R: Message>(f: impl FnOnce() -> R) -> Result<Process<R>, SpawnError> {
    let alone = threads::count().is_ok_and(|n| n == 1);
    fork_any(&Description::default(), &[const { Stdio::Inherit }; 3], (), |()| f(), alone)
}

fn fork_any<H: Message, R: Message>(
    description: &Description,
    stdio: &[Stdio; 3],
    handles: H,
    f: impl FnOnce(H) -> R,
    alone: bool,
) -> Result<Process<R>, SpawnError> {
    check(description)?;
    let name = name_of(description);
    let packed = transfer::pack(&handles)
        .map_err(|e| SpawnError::new(SpawnErrorKind::Argument, "the handles do not cross").with_source(e))?;
    let (link, theirs) = work::new_link()?;
    let mut line = lifeline::new(description.daemon)?;
    let null = exec::open_null(stdio)?;
    let parent = process::pidfd_of_self()
        .map_err(|e| SpawnError::io("the new process can get no pidfd of this one", e))?;
    let parent_pid = std::process::id();
    let asks_much = description.asks_for_settings(stdio);
    family::key();
    if alone {
        flush();
    }
    // SAFETY: there is one thread, or the caller of `fork_unchecked` has promised what the closure does.
    let forked = unsafe { clone::fork() };
    let pid = match forked {
        Ok(0) => never_return(|| {
            // The parent's handles are not this process's: no destructor of theirs may run here.
            std::mem::forget(handles);
            let detached = if description.detached { detach::detach(theirs.as_fd()) } else { Ok(()) };
            let theirs = LocalFd::new(theirs);
            let seal = boot::Seal::of(theirs.as_fd());
            let tied = line.take().map_or(Ok(()), |(_, read)| lifeline::hold(read));
            process::become_child(name.clone(), parent_pid, parent);
            if description.name.is_some() {
                boot::set_comm(&name);
            }
            let ready = detached
                .and_then(|()| tied.map_err(|e| format!("it could not be tied to its parent: {e}")))
                .and_then(|()| settle(description, stdio, &null));
            let reply = match ready {
                Err(why) => Reply::Refused(why),
                Ok(()) => {
                    if asks_much {
                        let _ = process::reply(theirs.as_fd(), Reply::Ready);
                    }
                    if alone {
                        panics::watch(theirs.as_fd().as_raw_fd(), seal);
                    }
                    work::call(packed, f)
                }
            };
            let code = boot::deliver(theirs, seal, reply);
            if alone {
                flush();
            }
            code
        }),
        Ok(pid) => pid,
        Err(e) => return Err(SpawnError::io("the process could not be forked", e)),
    };
    drop((theirs, packed, parent));
    let cloned =
        clone::open_or_end(pid).map_err(|e| SpawnError::io("no pidfd of the new process can be had", e))?;
    let mut source = Source::Own(cloned.into());
    if description.detached {
        let started = detach::await_detached(&link);
        if let Source::Own(between) = &source {
            let _ = between.wait();
        }
        let (pid, pidfd) = started?;
        source = Source::foreign(pid, pidfd, false);
    }
    let inner = Inner::new(name, source, Some(link), line.map(|(write, _)| write));
    adopt(&inner);
    if asks_much {
        await_ready(&inner)?;
    }
    Ok(Process::new(inner, description.daemon, Some(work::decode as Decode<R>)))
}

/// Applies, in a forked child, what an exec would have been given.
pub(super) fn settle(
    description: &Description,
    stdio: &[Stdio; 3],
    null: &Option<OwnedFd>,
) -> Result<(), String> {
    let streams: Vec<_> = stdio
        .iter()
        .zip(0..)
        .filter_map(|(s, n)| Some((exec::descriptor(s, null)?.as_raw_fd(), n)))
        .collect();
    settle_raw(description, streams)
}

/// As [`settle`], with the streams as pairs of descriptors: source and 0 to 2.
pub(super) fn settle_raw(description: &Description, mut streams: Vec<(i32, i32)>) -> Result<(), String> {
    let settings = &description.settings;
    let mut all = || {
        steps::apply_place(settings, None, None)?;
        steps::apply_environment(settings)?;
        steps::arrange_descriptors(&mut streams, false, None)?;
        steps::apply_limits(settings)
    };
    all().map_err(|(step, e)| format!("{step}: {e}"))?;
    for (name, value) in &description.env {
        // SAFETY: a forked child of a process with one thread has one thread.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
    Ok(())
}

/// Waits until a new process has applied its settings, so that a setting that can't be had is the start's error.
pub(super) fn await_ready(inner: &Inner) -> Result<(), SpawnError> {
    let Some(link) = &inner.link else { return Ok(()) };
    loop {
        link.collect();
        match link.take_reply() {
            Some(Reply::Ready) => return Ok(()),
            Some(Reply::Refused(why)) => {
                return Err(SpawnError::new(
                    SpawnErrorKind::Start,
                    format!("the new process refused: {why}"),
                ));
            }
            Some(other) => {
                link.put_back(other);
                return Ok(());
            }
            None if link.is_closed() || link.has_error() => return Ok(()),
            None => {
                link.collect_until(None)
                    .map_err(|e| SpawnError::io("the new process could not be heard", e))?;
            }
        }
    }
}
