//! The handle of one task.

use crate::completed::Done;
use crate::engine::{Batch, Engine, Life, Listener, Outcome};
use crate::error::TaskError;
use crate::parcel::Parcel;
use crate::worker::address::lasting;
use proc_core::Message;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The number of a task: no two tasks of a process have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// How an outcome becomes a value.
pub(crate) type Decode<R> = fn(Parcel) -> Result<R, TaskError>;

/// Decodes in the thread that wants the value: nobody else waits for a `Deserialize` that is slow or panics.
pub(crate) fn decode<R: Message>(parcel: Parcel) -> Result<R, TaskError> {
    parcel.unpack()
}

pub(crate) fn finish<R>(outcome: Outcome, decode: Decode<R>) -> Result<R, TaskError> {
    match outcome {
        Ok(parcel) => decode(parcel),
        Err(error) => Err(*error),
    }
}

/// A task that was submitted; `R` is what its function returns.
///
/// It is a [`Future`] too, of any runtime or none. Dropping it lets the task run on and drops its value.
///
/// # Compared with `concurrent.futures.Future`
/// `cancel` of a queued task is exact, and `is_running` is true only once the worker has begun. [`kill`](Task::kill)
/// ends a running one, which Python's can't.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_pool::Pool;
///
/// proc_core::init();
/// let pool = Pool::new(2)?;
/// let task = pool.submit(|x: u64| x * x, 12);
/// assert_eq!(task.get()?, 144);
/// # Ok(())
/// # }
/// ```
pub struct Task<R> {
    batch: Arc<Batch>,
    engine: Arc<Engine>,
    decode: Decode<R>,
}

impl<R> Task<R> {
    pub(crate) fn new(batch: Arc<Batch>, engine: Arc<Engine>, decode: Decode<R>) -> Self {
        Task { batch, engine, decode }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Has its end noted under a number; `true`: it has ended, or never will in this process.
    pub(crate) fn mark(&self, done: &Arc<Done>, number: u32) -> bool {
        !self.engine.is_ours()
            || self.engine.replace_listener(self.life(), Listener::Mark(done.clone(), number))
    }

    fn life(&self) -> Life<'_> {
        self.batch.life().expect("the batch of a task with a handle is one task")
    }

    /// Its number.
    pub fn id(&self) -> TaskId {
        self.batch.task(0)
    }

    /// Waits for its value.
    ///
    /// # Errors
    /// [`TaskError`]: why there is none.
    pub fn get(self) -> Result<R, TaskError> {
        self.engine.wait_for(self.life(), None);
        self.taken()
    }

    /// Its value, if it is done; `Ok(None)` if not.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`TaskError::Taken`] once the value or the error was taken.
    pub fn try_get(&mut self) -> Result<Option<R>, TaskError> {
        if self.is_done() { self.taken().map(Some) } else { Ok(None) }
    }

    /// Waits at most this long; `Ok(None)` if it is not done. Never returns early.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// use std::time::Duration;
    ///
    /// let mut task = pool.submit(|ms| std::thread::sleep(Duration::from_millis(ms)), 200);
    /// assert_eq!(task.get_timeout(Duration::from_millis(1))?, None);
    /// assert_eq!(task.get_timeout(Duration::from_secs(60))?, Some(()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<Option<R>, TaskError> {
        self.get_until(Instant::now().checked_add(timeout))
    }

    /// Waits until `deadline`; `Ok(None)` if it is not done.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn get_deadline(&mut self, deadline: Instant) -> Result<Option<R>, TaskError> {
        self.get_until(Some(deadline))
    }

    /// Takes it back if it has not begun. `true`: it never runs, and ends with [`TaskError::Cancelled`]. `false`: it has
    /// begun, and runs or is done. One whose long argument is on its way to a worker has begun when the worker takes the
    /// first of it.
    ///
    /// It does not wait, for the task or for anything else.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// use proc_pool::TaskError;
    /// use std::time::Duration;
    ///
    /// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
    /// let first = pool.submit(nap, 100);
    /// let behind = pool.submit(nap, 60_000);
    /// assert!(behind.cancel());
    /// assert_eq!(behind.get(), Err(TaskError::Cancelled));
    /// first.get()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.engine.cancel(&self.batch)
    }

    /// Ends it whatever it does: one that has not begun is cancelled, one that runs loses its worker, which is killed
    /// and replaced; other tasks in that worker are moved first. `true`: it ends with [`TaskError::Cancelled`], once its
    /// worker has ended, whatever it still says. `false`: it was done, with a value or an error of its own.
    ///
    /// It may wait a moment for results that are under way, or for the end of a worker that dies already.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// use proc_pool::TaskError;
    /// use std::time::Duration;
    ///
    /// let task = pool.submit(|s| std::thread::sleep(Duration::from_secs(s)), 600);
    /// assert!(task.kill());
    /// assert_eq!(task.get(), Err(TaskError::Cancelled));
    /// assert_eq!(pool.apply(|x: u32| x + 1, 1), Ok(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill(&self) -> bool {
        self.engine.kill(&self.batch)
    }

    /// Whether it has a value or an error.
    pub fn is_done(&self) -> bool {
        self.life().is_done()
    }

    /// Whether a worker is running it now.
    pub fn is_running(&self) -> bool {
        self.engine.is_running(&self.batch)
    }

    fn get_until(&mut self, deadline: Option<Instant>) -> Result<Option<R>, TaskError> {
        if self.engine.wait_for(self.life(), deadline) { self.taken().map(Some) } else { Ok(None) }
    }

    fn taken(&self) -> Result<R, TaskError> {
        if !self.engine.is_ours() {
            return Err(TaskError::Broken(self.engine.why_not()));
        }
        match self.life().take() {
            Some(outcome) => finish(outcome, self.decode),
            None if self.life().is_done() => Err(TaskError::Taken),
            None => Err(TaskError::Broken(self.engine.why_not())),
        }
    }
}

impl<R> Task<R> {
    /// Calls `f` with its value or error once it is done, on a thread of the process that runs nothing else. A panic of
    /// `f` is contained there. If the system has no thread for it, it runs in the thread that takes the value in.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// pool.submit(|x: u32| x * 2, 21).on_done(move |value| drop(sender.send(value)));
    /// assert_eq!(receiver.recv()??, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_done(self, f: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        if !self.engine.is_ours() {
            let why = TaskError::Broken(self.engine.why_not());
            let _ = catch_unwind(AssertUnwindSafe(|| f(Err(why))));
            return;
        }
        let batch = self.batch.clone();
        let decode = lasting(self.decode);
        let call = Box::new(move || {
            let outcome =
                batch.life().and_then(Life::take).unwrap_or_else(|| Err(Box::new(TaskError::Taken)));
            f(outcome.map_err(|error| *error).and_then(decode));
        });
        self.engine.call_when_done(self.life(), call);
    }
}

impl<R> Future for Task<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.engine.is_ours() || self.engine.is_done_or_wake(self.life(), cx.waker()) {
            Poll::Ready(self.taken())
        } else {
            Poll::Pending
        }
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id().0)
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}
