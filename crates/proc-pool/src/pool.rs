//! The pool's handle, and what can be done with it.

use crate::builder::PoolBuilder;
use crate::engine::{Arrival, Batch, Engine, Options, Sink};
use crate::error::{PoolError, TaskError};
use crate::feed::Feed;
use crate::function::{self, Candidate, State};
use crate::imap::{Imap, ImapUnordered};
use crate::lend::Lend;
use crate::parcel::Parcel;
use crate::progress::Progress;
use crate::stats::Stats;
use crate::task::{Task, decode, finish};
use crate::with::{PoolInit, PoolWith};
use proc_core::Message;
use proc_core::transfer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A pool of worker processes that run functions of this program.
///
/// A handle: `Clone` is cheap, and all clones are the same workers. [`timeout`](Pool::timeout) and
/// [`retries`](Pool::retries) give a handle with other options on the same workers.
///
/// When the last handle is dropped the pool is [terminated](Pool::terminate). To let what is queued run to its end,
/// [`close`](Pool::close) and [`join`](Pool::join).
///
/// In a forked child of its process it runs nothing: tasks end with [`TaskError::Broken`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_pool::Pool;
///
/// proc_core::init();
/// let pool = Pool::new(2)?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..5)?, [0, 1, 4, 9, 16]);
/// # Ok(())
/// # }
/// ```
///
/// # Compared with Python's `Pool` and `ProcessPoolExecutor`
/// It is both. A worker that dies fails the one task that it was running, and is replaced; Python's `Pool` waits for
/// ever then, and the executor fails everything. `map` stops at the first error, `imap` takes its inputs lazily, and the
/// end of a `with` block is the end of the handle's life.
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
    options: Options,
    chunk: Option<u32>,
    hook: Option<Hook>,
}

/// Called as items are done.
pub(crate) type Hook = Arc<dyn Fn(Progress) + Send + Sync>;

/// Ends the pool with the last handle.
struct Owner(Arc<Engine>);

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.is_ours() {
            self.0.terminate();
            let _ = self.0.join(Instant::now().checked_add(DROP_PATIENCE));
        }
    }
}

/// How long the last handle's drop waits for workers that were killed. The kernel needs about 30 ms to take down each
/// GiB of a worker's memory.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

impl Pool {
    /// A pool of this many workers, started by `Spawn`.
    ///
    /// # Errors
    /// [`PoolError`]: `workers` is 0, [`proc_core::init`] was not called, or the first worker did not come up.
    pub fn new(workers: usize) -> Result<Pool, PoolError> {
        Pool::builder().workers(workers).build()
    }

    /// Describes a pool before it is built. Its default size is the number of CPUs that this process may use.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    pub(crate) fn from_engine(engine: Arc<Engine>, options: Options) -> Pool {
        Pool { owner: Arc::new(Owner(engine)), options, chunk: None, hook: None }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.owner.0
    }

    // ------------------------------------------------------------ verbs

    /// `f` of each item, in order. Stops at the first error: what has not begun then never runs.
    ///
    /// Items are taken a little ahead of the workers, never more. If `items` panics, what was submitted is taken back.
    ///
    /// # Errors
    /// The first error that arrives.
    pub fn map<A, R, I>(&self, f: fn(A) -> R, items: I) -> Result<Vec<R>, TaskError>
    where
        A: Message,
        R: Message,
        I: IntoIterator<Item = A>,
    {
        self.map_by(function::plain(f), items, Feed::add)
    }

    /// As [`map`](Self::map) for a function that can fail; its error is [`TaskError::Failed`].
    ///
    /// # Errors
    /// As [`map`](Self::map).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// let parse = |text: String| text.parse::<u32>();
    /// assert_eq!(pool.try_map(parse, ["1".to_owned(), "2".to_owned()])?, [1, 2]);
    ///
    /// let e = pool.try_map(parse, ["1".to_owned(), "two".to_owned()]).unwrap_err();
    /// assert_eq!(e.to_string(), "the task failed: invalid digit found in string");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_map<A, R, E, I>(&self, f: fn(A) -> Result<R, E>, items: I) -> Result<Vec<R>, TaskError>
    where
        A: Message,
        R: Message,
        E: Into<Box<dyn Error + Send + Sync>>,
        I: IntoIterator<Item = A>,
    {
        self.map_by(function::fallible(f), items, Feed::add)
    }

    /// As [`map`](Self::map) over borrowed items, which need not be `Clone`: they are encoded from where they are.
    ///
    /// A function of `&str` is written `|s| f(s)` where the compiler does not find the type by itself.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// fn words(line: &str) -> usize { line.split_whitespace().count() }
    ///
    /// let text = "one\ntwo words";
    /// assert_eq!(pool.map_ref(words, text.lines())?, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_ref<'a, T, R, I>(&self, f: fn(&T) -> R, items: I) -> Result<Vec<R>, TaskError>
    where
        T: Lend + ?Sized + 'static,
        R: Message,
        I: IntoIterator<Item = &'a T>,
    {
        self.map_by(function::lent(f), items, |feed, t| feed.add_ref(t))
    }

    /// `f` of each item, one after the other as they are done, in the order of the items. An error is one item's alone.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// // The inputs have no end: they are taken as the values are.
    /// let mut squares = pool.imap(|x: u64| x * x, 0..);
    /// assert_eq!(squares.next().unwrap()?, 0);
    /// assert_eq!(squares.next().unwrap()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn imap<A, R, I>(&self, f: fn(A) -> R, items: I) -> Imap<R, I::IntoIter>
    where
        A: Message,
        R: Message,
        I: IntoIterator<Item = A>,
    {
        self.imap_by(function::plain(f), items)
    }

    /// As [`imap`](Self::imap), in the order in which the tasks end.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// let mut sum = 0;
    /// for value in pool.imap_unordered(|x: u64| x * x, 0..4) {
    ///     sum += value?; // whichever is done first
    /// }
    /// assert_eq!(sum, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub fn imap_unordered<A, R, I>(&self, f: fn(A) -> R, items: I) -> ImapUnordered<R, I::IntoIter>
    where
        A: Message,
        R: Message,
        I: IntoIterator<Item = A>,
    {
        self.imap_unordered_by(function::plain(f), items)
    }

    /// Queues `f(arg)`. What goes wrong, in whatever step, is the task's error.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// let task = pool.submit(|(a, b): (u32, u32)| a + b, (1, 2)); // several arguments are a tuple
    /// assert_eq!(task.get()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit<A: Message, R: Message>(&self, f: fn(A) -> R, arg: A) -> Task<R> {
        self.submit_by(function::plain(f), arg)
    }

    /// As [`submit`](Self::submit) for a function that can fail; its error is [`TaskError::Failed`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// use proc_pool::TaskError;
    ///
    /// let task = pool.try_submit(std::fs::read_to_string, "/no/such/file".to_owned());
    /// let Err(TaskError::Failed(e)) = task.get() else { panic!() };
    /// assert_eq!(e.io_kind(), Some(std::io::ErrorKind::NotFound));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_submit<A, R, E>(&self, f: fn(A) -> Result<R, E>, arg: A) -> Task<R>
    where
        A: Message,
        R: Message,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.submit_by(function::fallible(f), arg)
    }

    /// `f(arg)` in a worker, waited for.
    ///
    /// # Errors
    /// [`TaskError`]: why there is no value.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// let here = std::process::id();
    /// assert_ne!(pool.apply(|()| std::process::id(), ())?, here);
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply<A: Message, R: Message>(&self, f: fn(A) -> R, arg: A) -> Result<R, TaskError> {
        self.submit(f, arg).get()
    }

    /// A handle with captured state: it is sent once to each worker that needs it, and lent to every call. The first task
    /// that uses it there decodes it, so an error, a panic or a death in that is this task's. Workers drop it when the
    /// last handle with it is gone, and the last task that was submitted by one.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// let limit = 10;
    /// assert_eq!(pool.with(limit).map(|limit, x: u32| x > *limit, [5, 15])?, [false, true]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with<S: Message>(&self, state: S) -> PoolWith<S> {
        PoolWith::new(self.clone(), State::sent(&state))
    }

    /// A handle with a state of each worker's own: `init(arg)` makes it there when the first task asks for it, and it is
    /// lent mutably to every call. After a panic in a call it is made anew.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// let counting = pool.with_init(|start: u32| start, 100);
    /// let next = |n: &mut u32, add: u32| { *n += add; *n };
    /// assert_eq!(counting.map(next, [1, 1, 1])?, [101, 102, 103]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_init<P: Message + Clone, W: 'static>(&self, init: fn(P) -> W, arg: P) -> PoolInit<W> {
        PoolInit::new(self.clone(), State::made(init, arg))
    }

    // ------------------------------------------------------------ options

    /// A handle whose tasks may run at most this long each. A worker that is over the limit is killed and replaced, and
    /// the task ends with [`TaskError::TimedOut`].
    ///
    /// It counts per item, whatever the batches, and from the moment at which the item was seen to run: time in the queue
    /// is none of it, and no item is ended early. What the item does first is part of it: taking in a long argument,
    /// decoding it, decoding or making the state.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// use proc_pool::TaskError;
    /// use std::time::Duration;
    ///
    /// let hasty = pool.timeout(Duration::from_millis(100));
    /// let nap = |ms| std::thread::sleep(Duration::from_millis(ms));
    /// assert_eq!(hasty.apply(nap, 60_000), Err(TaskError::TimedOut));
    /// assert_eq!(pool.apply(nap, 1), Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(&self, limit: Duration) -> Pool {
        Pool { options: self.options.with_limit(limit), ..self.clone() }
    }

    /// A handle whose tasks are run again, up to `n` times, if their worker dies. Without it a task is never begun
    /// twice. Panics and time limits are not repeated. More than 65,535 times are as many.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// # let mark = std::env::temp_dir().join(format!("proc-pool-retries-{}", std::process::id()));
    /// // Its first run ends the worker, as a crash might.
    /// let flaky = |mark: std::path::PathBuf| {
    ///     if std::fs::File::create_new(&mark).is_ok() {
    ///         std::process::abort();
    ///     }
    ///     7
    /// };
    /// assert_eq!(pool.retries(1).apply(flaky, mark.clone())?, 7);
    /// # std::fs::remove_file(mark)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retries(&self, n: u32) -> Pool {
        Pool { options: self.options.with_retries(n), ..self.clone() }
    }

    /// A handle whose `map`, `imap` and their kin hand inputs over in batches of `n`. Without it the batches are as large
    /// as the measured cost of the function suggests, which is about 100 us of a worker's time.
    ///
    /// Whatever the batches, results and errors are per item, and a batch that takes long is shared with workers that
    /// have nothing to do. A batch has 1 item at least and 4096 at most.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// assert_eq!(pool.chunk(100).map(|x: u64| x + 1, 0..1000)?.len(), 1000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn chunk(&self, n: usize) -> Pool {
        let chunk = u32::try_from(n.max(1)).unwrap_or(u32::MAX);
        Pool { chunk: Some(chunk), ..self.clone() }
    }

    /// A handle whose `map`, `imap` and their kin call `f` as items are done, in the thread that called them.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// let pool = pool.on_progress(|progress| {
    ///     println!("{} of {:?}", progress.done, progress.total);
    /// });
    /// pool.map(|x: u64| x, 0..10)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(&self, f: impl Fn(Progress) + Send + Sync + 'static) -> Pool {
        Pool { hook: Some(Arc::new(f)), ..self.clone() }
    }

    pub(crate) fn hook(&self) -> Option<Hook> {
        self.hook.clone()
    }

    // ------------------------------------------------------------ the pool itself

    /// What its workers have done and do.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(1)?;
    /// pool.map(|x: u64| x, 0..10)?;
    /// let stats = pool.stats();
    /// assert_eq!(stats.queued, 0);
    /// assert_eq!(stats.workers[0].tasks, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// How many workers it has, or is to have.
    pub fn workers(&self) -> usize {
        self.engine().workers()
    }

    /// Changes the number of workers, at least 1, at most 65,536. Workers that are too many end after their task; one that
    /// is still in its initializer is killed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// let pool = proc_pool::Pool::new(1)?;
    /// pool.resize(2);
    /// assert_eq!(pool.workers(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resize(&self, workers: usize) {
        self.engine().resize(workers);
    }

    /// Takes no more tasks; what was submitted runs to its end.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// use proc_pool::{Pool, TaskError};
    ///
    /// let pool = Pool::new(2)?;
    /// let task = pool.submit(|x: u32| x + 1, 1);
    /// pool.close();
    /// assert_eq!(pool.apply(|x: u32| x, 1), Err(TaskError::Closed));
    /// pool.join()?; // the task is done, and the workers have ended
    /// assert_eq!(task.get()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.engine().close();
    }

    /// Waits until all tasks and all workers of a closed or terminated pool have ended.
    ///
    /// # Errors
    /// The pool is open, or it broke: its workers kept dying.
    pub fn join(&self) -> Result<(), PoolError> {
        self.engine().join(None).map(|_| ())
    }

    /// As [`join`](Self::join), at most this long; `false` if the time was over first.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, PoolError> {
        self.engine().join(Instant::now().checked_add(timeout))
    }

    /// Ends the pool at once: workers are killed, and tasks that are not done end with [`TaskError::Closed`].
    pub fn terminate(&self) {
        self.engine().terminate();
    }

    // ------------------------------------------------------------ for the handles with state

    pub(crate) fn submit_by<A, R>(&self, f: Candidate, arg: A) -> Task<R>
    where
        A: Serialize + 'static,
        R: Message,
    {
        let engine = self.engine();
        let (arg, failed) = match Parcel::pack_owned(arg) {
            Ok(arg) => (arg, None),
            Err(e) => (Parcel::default(), Some(e)),
        };
        let sink = Sink::One(f.held.clone());
        let batch = Batch::new(engine.function(f), self.options, 1, arg, sink);
        match failed {
            Some(e) => batch.fail(e),
            None => engine.submit(&batch),
        }
        Task::new(batch, engine.clone(), decode::<R>)
    }

    pub(crate) fn map_by<R, I>(
        &self,
        f: Candidate,
        items: I,
        add: impl Fn(&mut Feed, I::Item),
    ) -> Result<Vec<R>, TaskError>
    where
        R: Message,
        I: IntoIterator,
    {
        let mut feed = self.feed(f, usize::MAX);
        let mut items = items.into_iter().fuse();
        let mut values: Vec<R> = Vec::with_capacity(items.size_hint().0.min(1 << 20));
        // What has arrived before its turn.
        let mut early: BTreeMap<u64, Arrival> = BTreeMap::new();
        let (mut done, mut ended) = (0, false);
        loop {
            feed.hint(items.size_hint());
            while !ended && feed.open() < feed.window() {
                match items.next() {
                    Some(item) => add(&mut feed, item),
                    None => ended = true,
                }
            }
            if ended {
                feed.flush();
            }
            if feed.open() == 0 {
                return Ok(values);
            }
            for arrival in feed.collect(None) {
                let place = match arrival {
                    Arrival::One(_, Err(error)) => return Err(*error),
                    Arrival::One(place, _) => place,
                    Arrival::Values(ref run) => run.first,
                };
                done += arrival.len() as u64;
                early.insert(place, arrival);
            }
            while let Some(next) = early.remove(&(values.len() as u64)) {
                match next {
                    Arrival::One(_, outcome) => values.push(finish(outcome, decode::<R>)?),
                    Arrival::Values(run) => run.each(|_, value| {
                        let value = transfer::unpack(value, Vec::new());
                        values.push(value.map_err(|e| TaskError::Decode(e.to_string()))?);
                        Ok(())
                    })?,
                }
            }
            if let Some(hook) = &self.hook {
                let hint = items.size_hint();
                let total = hint.1.filter(|most| *most == hint.0).map(|left| feed.taken() + left as u64);
                hook(Progress { done, total });
            }
        }
    }

    pub(crate) fn imap_by<A, R, I>(&self, f: Candidate, items: I) -> Imap<R, I::IntoIter>
    where
        A: Message,
        R: Message,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self.clone(), self.feed(f, LOOK_AHEAD), items.into_iter(), take_next, decode::<R>)
    }

    pub(crate) fn imap_unordered_by<A, R, I>(&self, f: Candidate, items: I) -> ImapUnordered<R, I::IntoIter>
    where
        A: Message,
        R: Message,
        I: IntoIterator<Item = A>,
    {
        ImapUnordered::new(self.clone(), self.feed(f, LOOK_AHEAD), items.into_iter(), take_next, decode::<R>)
    }

    fn feed(&self, f: Candidate, most: usize) -> Feed {
        Feed::new(self.engine().clone(), f, self.options, self.chunk, most)
    }
}

/// The most inputs that `imap` takes ahead, unless the pool was built with another number.
const LOOK_AHEAD: usize = 2048;

/// An input that takes longer is slow.
const SLOW: Duration = Duration::from_micros(50);

fn take_next<A: Message, I: Iterator<Item = A>>(items: &mut I, feed: &mut Feed) -> bool {
    feed.hint(items.size_hint());
    let start = Instant::now();
    match items.next() {
        Some(item) => {
            feed.set_slow(start.elapsed() > SLOW);
            feed.add(item);
            true
        }
        None => false,
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
