//! Calls that don't block: a descriptor to wait on, and a step to make when it is readable.
//!
//! [`Running`] is the same state machine that [`Command::run`] drives, without the waiting: all that it waits for,
//! time limits too, is behind one descriptor. Any runtime that can wait for a descriptor can drive it, on its own
//! threads; none is started here. Dropped before its end, it kills the program and its group, so a future that holds it
//! and is dropped leaves nothing behind.
//!
//! With tokio, the feature `tokio` has [`Command::run_async`] ready made. With async-io it is
//!
//! ```text
//! async fn run(command: &mut Command) -> Result<Output, RunError> {
//!     let mut running = async_io::Async::new_nonblocking(command.start_async()?)?;
//!     loop {
//!         // SAFETY: the descriptor is neither closed nor replaced by a step.
//!         if let Some(result) = unsafe { running.get_mut() }.step() {
//!             return result;
//!         }
//!         running.readable().await?;
//!     }
//! }
//! ```
//!
//! Starting a program takes about as long as `exec` does, some hundred microseconds, on the calling thread. A directory
//! or a program on a network that hangs is a case for a thread that may block.

use crate::command::Command;
use crate::engine::{Engine, Token};
use crate::error::{Cause, RunError};
use crate::output::Output;
use crate::pipeline::Pipeline;
use crate::sys::watch::Watch;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

/// A call that is under way and waits for nobody.
///
/// As a descriptor it is readable when [`step`](Self::step) has something to do: it is an epoll with a timer (a timerfd),
/// two descriptors beside those of the call itself. It serves waiting by level and by edge.
///
/// ```
/// use proc_exec::cmd;
/// use std::os::fd::AsFd;
///
/// let mut running = cmd!("echo", "hi").start_async()?;
/// let output = loop {
///     if let Some(result) = running.step() {
///         break result?;
///     }
///     // Here a runtime waits until the descriptor is readable.
///     # std::thread::sleep(std::time::Duration::from_millis(1));
/// };
/// assert_eq!(output.stdout, b"hi\n");
/// # Ok::<(), proc_exec::RunError>(())
/// ```
pub struct Running {
    engine: Engine,
    watch: Watch,
    is_over: bool,
}

/// Steps of the engine before a runtime's other tasks get their turn.
const ROUNDS: usize = 16;

impl Running {
    pub(crate) fn new(engine: Engine) -> Result<Self, RunError> {
        let watch = Watch::new();
        let watch =
            watch.map_err(|e| engine.error(Cause::Prepare("no watch could be made", None, e), None, None))?;
        let mut running = Running { engine, watch, is_over: false };
        match running.rewatch() {
            Ok(()) => Ok(running),
            Err(e) => Err(running.engine.error(Cause::Io("it could not be waited for", e), None, None)),
        }
    }

    /// The process id; of a pipeline, the first stage's.
    pub fn id(&self) -> u32 {
        self.engine.processes.stages[0].child.id()
    }

    /// Does what can be done without waiting. `None`: not ended; call it again when the descriptor is readable. The
    /// result comes once; after it, `None` for ever.
    pub fn step(&mut self) -> Option<Result<Output, RunError>> {
        if self.is_over {
            return None;
        }
        match self.advance() {
            Ok(false) => None,
            Ok(true) => {
                self.is_over = true;
                Some(self.engine.result())
            }
            Err(e) => {
                self.is_over = true;
                Some(Err(self.engine.error(Cause::Io("it could not be waited for", e), None, None)))
            }
        }
    }

    /// Kills the program, or all that its scope reaches; the result comes by [`step`](Self::step).
    ///
    /// # Errors
    /// It runs as another user by now.
    pub fn kill(&self) -> io::Result<()> {
        self.engine.processes.signal(libc::SIGKILL)
    }

    fn advance(&mut self) -> io::Result<bool> {
        for _ in 0..ROUNDS {
            let ready = self.watch.ready()?;
            for data in &ready {
                self.engine.serve(token(*data));
            }
            if self.engine.tick(Instant::now()) {
                return Ok(true);
            }
            self.rewatch()?;
            if ready.is_empty() {
                return Ok(false);
            }
        }
        // There is more to do: who waits by edge would not hear of it.
        self.watch.ring()?;
        Ok(false)
    }

    fn rewatch(&mut self) -> io::Result<()> {
        let wanted = self.engine.interests().into_iter().map(|(token, events)| (number(token), events));
        let engine = &self.engine;
        self.watch.set(wanted.collect(), |data| engine.descriptor(token(data)).ok())?;
        self.watch.set_moment(self.engine.timer())
    }
}

/// Tokens as numbers: the kind above, the index below.
fn number(token: Token) -> u64 {
    match token {
        Token::Feed => 0,
        Token::Cancel => 1,
        // Whoever steps it has it alone, and no bell.
        Token::Bell => 2,
        Token::Outlet(i) | Token::Closed(i) => 1 << 32 | i as u64,
        Token::Stage(i) => 2 << 32 | i as u64,
    }
}

fn token(number: u64) -> Token {
    let index = (number & 0xFFFF_FFFF) as usize;
    match (number >> 32, index) {
        (0, 0) => Token::Feed,
        (0, 1) => Token::Cancel,
        (0, _) => Token::Bell,
        (1, i) => Token::Outlet(i),
        (_, i) => Token::Stage(i),
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl AsRawFd for Running {
    fn as_raw_fd(&self) -> RawFd {
        self.watch.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("id", &self.id())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

impl Command {
    /// Starts the program as [`run`](Self::run) does, and waits for nothing.
    ///
    /// # Errors
    /// The program could not be started; a descriptor to wait on could not be made.
    pub fn start_async(&mut self) -> Result<Running, RunError> {
        Running::new(crate::start::start(&[&*self], crate::start::Mode::captured())?)
    }

    /// [`run`](Self::run) as a future on tokio's reactor: needs a runtime with IO enabled.
    ///
    /// The program is started by this call, not by the first poll, and the time limit counts from here. Dropped, the
    /// future kills the program and what its [scope](Self::kill_scope) reaches, and has reaped it when the drop returns
    /// (a bounded time).
    ///
    /// ```
    /// use proc_exec::cmd;
    ///
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    /// let output = runtime.block_on(cmd!("echo", "hi").run_async())?;
    /// assert_eq!(output.stdout, b"hi\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// When it is polled outside of a tokio runtime, or in one without IO.
    #[cfg(feature = "tokio")]
    pub fn run_async(&mut self) -> impl Future<Output = Result<Output, RunError>> + Send + 'static {
        by_tokio(self.start_async())
    }
}

impl Pipeline {
    /// Starts the programs as [`run`](Self::run) does, and waits for nothing.
    ///
    /// # Errors
    /// As [`Command::start_async`].
    pub fn start_async(&mut self) -> Result<Running, RunError> {
        Running::new(self.start()?)
    }

    /// As [`Command::run_async`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[cfg(feature = "tokio")]
    pub fn run_async(&mut self) -> impl Future<Output = Result<Output, RunError>> + Send + 'static {
        by_tokio(self.start_async())
    }
}

#[cfg(feature = "tokio")]
async fn by_tokio(running: Result<Running, RunError>) -> Result<Output, RunError> {
    use tokio::io::{Interest, unix::AsyncFd};

    let running = running?;
    let failed =
        |running: &Running, e| running.engine.error(Cause::Io("it could not be waited for", e), None, None);
    #[allow(
        deprecated,
        reason = "the form that replaces it is `unsafe`, and newer than most of tokio 1: \
                                  what it asks for holds here, as a `Running` keeps its descriptor for life"
    )]
    let mut waiting = match AsyncFd::try_with_interest(running, Interest::READABLE) {
        Ok(waiting) => waiting,
        Err(e) => {
            let (running, error) = e.into_parts();
            return Err(failed(&running, error));
        }
    };
    loop {
        let mut guard = match waiting.readable_mut().await {
            Ok(guard) => guard,
            Err(e) => return Err(failed(waiting.get_ref(), e)),
        };
        if let Some(result) = guard.get_inner_mut().step() {
            return result;
        }
        guard.clear_ready();
    }
}
