//! A handle to a running program.

mod turn;
mod wait_any;

pub use wait_any::wait_any;

use crate::engine::Engine;
use crate::error::RunError;
use crate::output::Output;
use crate::stdio::{Stream, lock};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use turn::{Look, Shared, State, Turn};

/// A running program. Handles can be cloned, and used by any number of threads: all methods take `&self`, waiting does
/// not keep others from killing, and every waiter gets the result.
///
/// No thread works behind it: its streams move, and its time limit is kept, while somebody waits for it. Two programs
/// that talk to each other are waited for together, by [`wait_any`].
///
/// When the last handle is dropped before the program has ended, the program is killed, with all that its
/// [scope](crate::Command::kill_scope) reaches, and reaped within a bound (half a second; what the kernel can't end by
/// then is looked after by later starts). [`detach`](Self::detach) leaves it alone.
///
/// As a descriptor ([`AsFd`]) it is readable once the (first) program has ended.
///
/// ```
/// use proc_exec::cmd;
///
/// let child = cmd!("sleep", "60").spawn()?;
/// let other = child.clone();
/// std::thread::spawn(move || other.terminate());
/// let error = child.wait().unwrap_err();
/// assert_eq!(error.status().and_then(|status| status.signal()), Some(15));
/// # Ok::<(), proc_exec::RunError>(())
/// ```
#[derive(Clone)]
pub struct Child {
    shared: Arc<Shared>,
}

impl Child {
    pub(crate) fn new(engine: Engine) -> Self {
        Child { shared: Arc::new(Shared::new(engine)) }
    }

    /// The process id; of a pipeline, the first stage's.
    pub fn id(&self) -> u32 {
        self.shared.processes.stages[0].child.id()
    }

    /// The process ids of all stages.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u32> {
        self.shared.processes.stages.iter().map(|stage| stage.child.id())
    }

    /// Waits for the program to end, moving its streams. May be called again, and by many: each gets the result. An
    /// input that was to be taken ([`take_stdin`](Self::take_stdin)) and was not is closed.
    ///
    /// # Errors
    /// As [`Command::run`](crate::Command::run).
    pub fn wait(&self) -> Result<Output, RunError> {
        self.shared.call(end_untaken);
        loop {
            if let Some(result) = self.wait_until(None)? {
                return Ok(result);
            }
        }
    }

    /// Waits for so long at most. `None`: it goes on. Never returns early.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Output>, RunError> {
        self.wait_deadline(Instant::now().checked_add(timeout))
    }

    /// The result if it has ended, without waiting. What is to be read or written at the moment is.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self) -> Result<Option<Output>, RunError> {
        self.wait_deadline(Some(Instant::now()))
    }

    /// Waits until a moment at most; `None` waits for ever.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Option<Instant>) -> Result<Option<Output>, RunError> {
        if deadline.is_none() { self.wait().map(Some) } else { self.wait_until(deadline) }
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<Option<Output>, RunError> {
        let shared = &*self.shared;
        let mut desk = lock(&shared.desk);
        loop {
            match shared.take(&mut desk) {
                Look::Done(result) => return result.map(Some),
                Look::Turn(mut turn) => {
                    drop(desk);
                    let pumped = turn.work(|engine| engine.pump(deadline, |_| false));
                    let was_called = turn.engine().take_ring();
                    match turn.give(pumped) {
                        Some(result) => return result.map(Some),
                        None if was_called => desk = lock(&shared.desk),
                        None => return Ok(None),
                    }
                    continue;
                }
                Look::Busy => {}
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            desk = shared.wait(desk, left);
        }
    }

    /// Waits for the program to end, and takes the output without a copy if this is the last handle.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn into_output(self) -> Result<Output, RunError> {
        if Arc::strong_count(&self.shared) > 1 {
            return self.wait();
        }
        let taken = std::mem::replace(&mut lock(&self.shared.desk).state, State::Detached);
        match taken {
            State::Free(mut engine) => {
                end_untaken(&mut engine);
                engine.listen_to(None);
                crate::start::finish(&mut engine)
            }
            State::Done(result) => result,
            other => {
                lock(&self.shared.desk).state = other;
                self.wait()
            }
        }
    }

    /// Whether all its programs have ended. Their streams are not moved by it, and they are not reaped.
    ///
    /// # Errors
    /// This is a forked child of the process that started it.
    pub fn has_ended(&self) -> io::Result<bool> {
        for stage in &self.shared.processes.stages {
            if stage.child.ended_as().is_none() && !stage.child.has_ended()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Kills the program (SIGKILL), or all that its [scope](crate::Command::kill_scope) reaches. One that has ended is
    /// no error; it is not waited for.
    ///
    /// # Errors
    /// It runs as another user by now.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Asks it to end (SIGTERM), likewise.
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(libc::SIGTERM)
    }

    /// Interrupts it (SIGINT), as Ctrl-C would.
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
    pub fn interrupt(&self) -> io::Result<()> {
        self.signal(libc::SIGINT)
    }

    /// Sends it a signal, likewise.
    ///
    /// # Errors
    /// As [`kill`](Self::kill); and there is no such signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.shared.processes.signal(signal)
    }

    /// Takes the write end of its input, if it was made with [`Input::pipe`](crate::Input::pipe). Closing it is the end.
    ///
    /// Another thread may wait for the program meanwhile, by anything but [`wait`](Self::wait) and
    /// [`into_output`](Self::into_output): these close a pipe that nobody has taken, as the program would wait for input
    /// for ever. `None` also in a callback of the program's own output.
    ///
    /// ```
    /// use proc_exec::{Input, Sink, cmd};
    /// use std::io::Write;
    ///
    /// let child = cmd!("cat").stdin(Input::pipe()).stdout(Sink::capture()).spawn()?;
    /// let mut input = std::fs::File::from(child.take_stdin().ok_or("no input")?);
    /// input.write_all(b"by hand")?;
    /// drop(input);
    /// assert_eq!(child.wait()?.stdout, b"by hand");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_stdin(&self) -> Option<OwnedFd> {
        self.shared.call(|engine| engine.feed.as_mut().filter(|feed| feed.for_taking)?.take_fd())?
    }

    /// Takes the read end of a stream that was to be captured: it is no longer captured. As with
    /// [`take_stdin`](Self::take_stdin), another thread may wait for the program meanwhile.
    pub fn take_output(&self, stream: Stream) -> Option<OwnedFd> {
        self.shared
            .call(|engine| engine.outlets.iter_mut().find(|outlet| outlet.stream == stream)?.take_fd())?
    }

    /// Leaves the program alone, for all handles: nothing ends it or waits for it any more, and whoever waits is told so
    /// by an error. Once it has ended, a later start of this library reaps it. A program that has ended already keeps its
    /// result.
    ///
    /// Its time limit no longer counts, and it outlives us. Our ends of its pipes are closed: what it writes to a
    /// captured stream from then on is a broken pipe.
    pub fn detach(self) {
        self.shared.detach();
    }
}

fn end_untaken(engine: &mut Engine) {
    if let Some(feed) = &mut engine.feed {
        feed.finish_untaken();
    }
}

/// # Panics
/// In a forked child of the process that started it.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.processes.stages[0].child.as_fd()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id()).finish_non_exhaustive()
    }
}
