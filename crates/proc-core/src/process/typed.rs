//! The typed handle: a process, and the value that its function returns.

use super::builder::ProcessBuilder;
use super::error::{JoinError, SpawnError};
use super::handle::{Inner, ProcessHandle, inner_of};
use super::link::{Link, Reply};
use crate::message::Message;
use crate::start::{self, Decode};
use crate::status::ExitStatus;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A process that runs a function of this program; `R` is what the function returns.
///
/// It dereferences to its [`ProcessHandle`]: `id`, `is_alive`, `kill` and so on.
///
/// Dropping it never blocks. A daemon is killed. Another process is left running, and outlives this one if it takes
/// longer, even if it had not begun yet when this one ended. Once it has ended it is reaped by the next start of a process
/// or call of [`active_children`](crate::active_children); a program that does neither keeps a zombie until it ends itself.
///
/// # Compared with `std::thread::JoinHandle`
/// The function takes one argument and captures nothing, both cross by serde; what would be a shared panic payload is a
/// [`JoinError`] with the panic's message and place, and there are more ways to end: exits and signals.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{JoinError, Process};
///
/// proc_core::init(); // the first line of main
///
/// let sum = Process::spawn(|v: Vec<u64>| v.iter().sum::<u64>(), vec![1, 2, 3])?;
/// assert_eq!(sum.join()?, 6);
///
/// let bad = Process::spawn(|x: u32| -> u32 { panic!("boom {x}") }, 1)?;
/// match bad.join() {
///     Err(JoinError::Panicked(panic)) => assert_eq!(panic.message, "boom 1"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Process<R = ()> {
    handle: ProcessHandle,
    daemon: bool,
    /// How its reply becomes a value. `None` for a raw fork, which sends none.
    decode: Option<Decode<R>>,
    taken: bool,
    value: PhantomData<fn() -> R>,
}

impl Process<()> {
    /// Describes a process before it is started.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }
}

impl<R: Message> Process<R> {
    /// Starts a new process of this program that runs `f(arg)`: a fresh image, whatever threads and locks there are
    /// here. [`init`](crate::init) must be the first line of `main`.
    ///
    /// `f` is a function or a closure without captures. Several arguments are a tuple: `|(a, b)| work(a, b)`.
    ///
    /// # Errors
    /// [`SpawnError`]: `init` was not called, the argument does not cross, the function is not the program's own, or
    /// the system could not make the process. Nothing was started then.
    pub fn spawn<A: Message>(f: fn(A) -> R, arg: A) -> Result<Process<R>, SpawnError> {
        Process::builder().spawn(f, arg)
    }

    /// Forks this process; the child runs `f()` on a copy of everything here, captures included, and never returns
    /// into the code of its parent.
    ///
    /// Our handles (values, locks, channels, processes) that `f` captured are refused in the child, since they belong to
    /// this process; name those that it needs to [`fork_with`](Self::fork_with).
    ///
    /// # Errors
    /// [`SpawnError`] with [`Threads`](crate::SpawnErrorKind::Threads) if this process has more than one thread: a lock
    /// that another thread holds would be held in the child for ever. Or the system could not make the process.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::Process;
    ///
    /// let words = vec!["no", "copy", "is", "packed"];
    /// let p = Process::fork(|| words.iter().map(|word| word.len()).sum::<usize>())?;
    /// assert_eq!(p.join()?, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork<F: FnOnce() -> R>(f: F) -> Result<Process<R>, SpawnError> {
        Process::builder().fork(f)
    }

    /// As [`fork`](Self::fork), with handles of ours that the child uses: `f` gets them, made new for the child.
    ///
    /// # Errors
    /// As [`fork`](Self::fork); or the handles do not cross.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::{Fd, Process};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// let p = Process::fork_with(Fd(theirs), |mut socket| socket.write_all(b"hello").is_ok())?;
    /// assert!(p.join()?);
    /// let mut text = String::new();
    /// ours.read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork_with<H: Message, F: FnOnce(H) -> R>(handles: H, f: F) -> Result<Process<R>, SpawnError> {
        Process::builder().fork_with(handles, f)
    }

    /// As [`fork`](Self::fork), whatever threads there are.
    ///
    /// # Errors
    /// The system could not make the process.
    ///
    /// # Safety
    /// With several threads here, `f` may call only what is async-signal-safe: it may not allocate, print or panic,
    /// as the state of every lock in the child is that of the moment of the fork. The value is encoded in the child
    /// too, which must not allocate then either.
    pub unsafe fn fork_unchecked<F: FnOnce() -> R>(f: F) -> Result<Process<R>, SpawnError> {
        start::fork_unchecked(f)
    }
}

// No bound here: the decoder was kept when the process was started.
impl<R> Process<R> {
    pub(crate) fn new(inner: Arc<Inner>, daemon: bool, decode: Option<Decode<R>>) -> Self {
        let handle = ProcessHandle::from_inner(inner);
        Process { handle, daemon, decode, taken: false, value: PhantomData }
    }

    /// An untyped handle of the process, to keep or to hand to another thread.
    pub fn handle(&self) -> ProcessHandle {
        self.handle.clone()
    }

    /// Waits for the process to end and gives its function's value.
    ///
    /// # Errors
    /// [`JoinError`] says why there is no value: a panic with message and place, an exit code, a signal.
    pub fn join(mut self) -> Result<R, JoinError> {
        self.join_until(None)?.ok_or(JoinError::Lost)
    }

    /// The value, if the process has ended; `Ok(None)` if it runs, or if nobody has told yet how it ended and there is no
    /// value (see [`exit_status`](ProcessHandle::exit_status)).
    ///
    /// # Errors
    /// As [`join`](Self::join); [`JoinError::Taken`] if an earlier call gave the value or the error.
    pub fn try_join(&mut self) -> Result<Option<R>, JoinError> {
        self.join_until(Some(Instant::now()))
    }

    /// Waits at most this long; `Ok(None)` if the process still runs. Never returns early.
    ///
    /// # Errors
    /// As [`try_join`](Self::try_join).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::{JoinError, Process};
    /// use std::time::Duration;
    ///
    /// proc_core::init();
    /// let mut p = Process::spawn(|()| std::thread::sleep(Duration::from_secs(60)), ())?;
    /// assert_eq!(p.join_timeout(Duration::from_millis(10))?, None);
    /// p.terminate()?;
    /// assert_eq!(p.join(), Err(JoinError::Signaled { signal: 15, core: false }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<R>, JoinError> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    /// Waits until `deadline`; `Ok(None)` if the process still runs.
    ///
    /// # Errors
    /// As [`try_join`](Self::try_join).
    pub fn join_deadline(&mut self, deadline: Instant) -> Result<Option<R>, JoinError> {
        self.join_until(Some(deadline))
    }

    /// Waits for the end first and reads then: what a child sends lies in the socket or in a file, so it never waits for
    /// a reader, and this side is woken once (1.00 to 1.03x of a bare wait; the other order costs 1.16x).
    fn join_until(&mut self, deadline: Option<Instant>) -> Result<Option<R>, JoinError> {
        let inner = inner_of(&self.handle);
        if !inner.is_ours() {
            return Err(JoinError::NotInherited);
        }
        if self.taken {
            return Err(JoinError::Taken);
        }
        // A value that came counts however the process ended, so whoever has to tell how is not waited for.
        if !inner.is_reaped_here() {
            let ended = inner.wait_ended(deadline).map_err(|e| JoinError::Wait(e.to_string()))?;
            let reply = inner.link.as_ref().filter(|_| ended).and_then(Link::take_final);
            if let (Some(decode), Some(reply)) = (self.decode, reply) {
                self.taken = true;
                return decode(Some(reply), ExitStatus::Lost).map(Some);
            }
        }
        let waited = inner.wait_deadline(deadline).map_err(|e| JoinError::Wait(e.to_string()))?;
        let Some(status) = waited else { return Ok(None) };
        let reply = inner.link.as_ref().and_then(Link::take_final);
        self.taken = true;
        let Some(decode) = self.decode else {
            return Err(JoinError::from_status(status));
        };
        if let (None, Some(e)) = (&reply, inner.link.as_ref().and_then(Link::take_error)) {
            return Err(JoinError::Decode(format!("it came, and could not be received: {e}")));
        }
        decode(reply, status).map(Some)
    }

    /// The process without its handle: it is neither joined nor ended when this is dropped.
    pub(crate) fn into_inner(mut self) -> Arc<Inner> {
        self.daemon = false;
        inner_of(&self.handle).clone()
    }
}

/// A raw fork's child sends nothing: success is its exit code.
pub(crate) fn decode_status(reply: Option<Reply>, status: ExitStatus) -> Result<(), JoinError> {
    drop(reply);
    if status.success() { Ok(()) } else { Err(JoinError::from_status(status)) }
}

impl<R> Deref for Process<R> {
    type Target = ProcessHandle;

    fn deref(&self) -> &ProcessHandle {
        &self.handle
    }
}

impl<R> AsFd for Process<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        let inner = inner_of(&self.handle);
        if !inner.is_ours() {
            return;
        }
        if inner.is_known_to_have_ended() || (!inner.is_reaped_here() && inner.has_ended()) {
            // Nothing is left to reap, so its descriptors need not wait for the next sweep.
            super::children::forget(inner);
        } else if self.daemon {
            let _ = self.handle.kill();
        }
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
