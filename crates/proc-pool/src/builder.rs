//! Describing a pool before it is built.

use crate::engine::{Config, Engine, Limit, MOST_WORKERS, Options};
use crate::error::PoolError;
use crate::hook::{Hook, Hooks};
use crate::link::Starter;
use crate::pool::Pool;
use proc_core::{Message, StartMethod, Zygote};
use std::sync::Arc;
use std::time::Duration;

/// Describes a pool: its size, how its workers are started, what they do first, and the limits of its tasks.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_pool::Pool;
/// use std::time::Duration;
///
/// proc_core::init();
/// let pool = Pool::builder()
///     .workers(2)
///     .initializer(|greeting: String| assert_eq!(greeting, "hello"), "hello".into())
///     .task_timeout(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(pool.apply(|x: u32| x + 1, 1)?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    workers: Option<usize>,
    starter: Starter,
    initializer: Option<Result<Hook, String>>,
    exit_hook: Option<Result<Hook, String>>,
    max_tasks: Option<usize>,
    max_memory: Option<u64>,
    grace: Duration,
    look_ahead: Option<usize>,
    affinity: Vec<usize>,
    timeout: Option<Duration>,
    name: Option<String>,
    crash_limit: u32,
    depth_limit: u32,
}

impl Default for PoolBuilder {
    fn default() -> Self {
        PoolBuilder {
            workers: None,
            starter: Starter::Method(StartMethod::default()),
            initializer: None,
            exit_hook: None,
            max_tasks: None,
            max_memory: None,
            grace: Duration::ZERO,
            look_ahead: None,
            affinity: Vec::new(),
            timeout: None,
            name: None,
            crash_limit: 8,
            depth_limit: 8,
        }
    }
}

impl PoolBuilder {
    /// How many workers. Without it: the CPUs that this process may use.
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// How workers are started. `Fork` copies this process once, which must have one thread then; the copy forks the
    /// workers, those that replace others too.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.starter = Starter::Method(method);
        self
    }

    /// Has workers forked by a zygote that has something loaded, which they share copy-on-write: a table that its preload
    /// function put into a static of the program, say.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_core::Zygote;
    /// use proc_pool::Pool;
    /// use std::sync::{Arc, OnceLock};
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// proc_core::init();
    /// let load = |n: u64| drop(TABLE.set((0..n).map(|x| x * x).collect()));
    /// let zygote = Zygote::preload(load, 1000)?;
    /// let pool = Pool::builder().workers(2).zygote(Arc::new(zygote)).build()?;
    /// assert_eq!(pool.apply(|i: usize| TABLE.get().map(|table| table[i]), 30)?, Some(900));
    /// # Ok(())
    /// # }
    /// ```
    pub fn zygote<M: 'static>(mut self, zygote: Arc<Zygote<M>>) -> Self {
        self.starter = Starter::by_zygote(zygote);
        self
    }

    /// A function that each worker calls before its first task. A worker in which it panics takes no task. It has no time
    /// limit: a worker that never gets out of it takes no task either, and is killed when the pool ends or shrinks.
    ///
    /// Its argument may hold what tasks share: locks, queues, values, files. The function puts it where tasks find it:
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use proc_ipc::Queue;
    /// use proc_pool::Pool;
    /// use proc_shm::Mutex;
    /// use std::sync::OnceLock;
    ///
    /// static SHARED: OnceLock<(Mutex<u64>, Queue<String>)> = OnceLock::new();
    ///
    /// proc_core::init();
    /// let (sum, words) = (Mutex::new(0)?, Queue::bounded(100)?);
    /// let init = |shared| drop(SHARED.set(shared));
    /// let pool = Pool::builder().workers(2).initializer(init, (sum.clone(), words.clone())).build()?;
    /// let work = |x: u64| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let (sum, words) = SHARED.get().ok_or("the initializer has run")?;
    ///     *sum.lock()? += x;
    ///     words.put(format!("added {x}"))?;
    ///     Ok(())
    /// };
    /// pool.try_map(work, [1, 2, 3])?;
    /// assert_eq!(*sum.lock()?, 6);
    /// assert!(words.get()?.starts_with("added"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A worker that replaces another gets it too. So the builder and the pool keep the argument, with the descriptors in it,
    /// until the pool has ended: the sender of a channel that is in it counts as one here too, and its receiver is not told
    /// of the end of all senders before. Such an argument is encoded anew for each worker.
    pub fn initializer<A: Message + Clone>(mut self, f: fn(A), arg: A) -> Self {
        self.initializer = Some(Hook::new(f, arg));
        self
    }

    /// A function that each worker calls when it ends in good order: after a [`close`](Pool::close), when it is replaced
    /// after its number of tasks, or when the pool shrinks. It runs after the states of [`Pool::with_init`] were
    /// dropped. A worker that is killed calls nothing. Its argument may hold what the [initializer](Self::initializer)'s may.
    pub fn exit_hook<A: Message + Clone>(mut self, f: fn(A), arg: A) -> Self {
        self.exit_hook = Some(Hook::new(f, arg));
        self
    }

    /// Replaces a worker after this many tasks.
    pub fn max_tasks_per_worker(mut self, n: usize) -> Self {
        self.max_tasks = Some(n);
        self
    }

    /// Replaces a worker whose resident memory is above this many bytes after a task. Each worker then has one task at a
    /// time, and is measured between two, which costs about 10 us.
    pub fn max_memory_per_worker(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Ends a task that is over its time limit, or was [killed](crate::Task::kill), by SIGTERM first, and by SIGKILL only
    /// if its worker has not ended after this time. Without it SIGKILL comes at once. The task gives no value before its
    /// worker has ended.
    pub fn kill_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The most inputs that `map`, `imap` and their kin take ahead of the values. Without it as many as keep the workers
    /// busy: 4 for each worker if tasks are long, up to some thousands if they are tiny.
    pub fn look_ahead(mut self, n: usize) -> Self {
        self.look_ahead = Some(n.max(1));
        self
    }

    /// Ties the workers to CPUs, by number: worker `i` runs on `cpus[i % cpus.len()]`.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.affinity = cpus.into_iter().collect();
        self
    }

    /// How long a task may run, as for [`Pool::timeout`], which changes it for one handle.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// What the workers are called, with a number behind it. Without it: `worker`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many workers in a row may fail before the pool is broken; without it, 8.
    ///
    /// What counts: a worker that ends before its initializer has run, or with something to do and without having done
    /// any of it; and a worker that can't be started while there is no other. What does not: the end of an idle worker, of
    /// one that has done something, and whatever [`timeout`](Pool::timeout) or [`Task::kill`](crate::Task::kill) end. A
    /// task that is done, with a value, an error or a panic, sets the count to 0.
    pub fn crash_limit(mut self, n: u32) -> Self {
        self.crash_limit = n.max(1);
        self
    }

    /// How many pools may lie inside of each other; without it, 8.
    pub fn depth_limit(mut self, n: u32) -> Self {
        self.depth_limit = n;
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// - a number of 0 workers, of more than 65,536, or of 0 tasks per worker;
    /// - [`proc_core::init`] was not called;
    /// - too many pools inside of each other;
    /// - the initializer or the exit hook, or the argument of one, can't be sent to a worker;
    /// - the initializer fails in the first worker;
    /// - the system could not make the first worker.
    pub fn build(self) -> Result<Pool, PoolError> {
        let workers = match self.workers {
            Some(0) => return Err(PoolError::new("a pool needs at least one worker")),
            Some(n) if n > MOST_WORKERS => {
                let what = format!("a pool has at most {MOST_WORKERS} workers, and {n} were asked for");
                return Err(PoolError::new(what));
            }
            Some(n) => n,
            None => proc_core::available_parallelism().map_or(1, Into::into).min(MOST_WORKERS),
        };
        if self.max_tasks == Some(0) {
            return Err(PoolError::new("a worker that may run no task is of no use"));
        }
        let depth = crate::worker::depth();
        if depth >= self.depth_limit {
            let what = format!("{depth} pools lie inside of each other already; `depth_limit` allows more");
            return Err(PoolError::new(what));
        }
        let hooks = Hooks {
            initializer: crosses(self.initializer, "initializer")?,
            exit_hook: crosses(self.exit_hook, "exit hook")?,
        };
        let config = Config {
            workers,
            starter: self.starter,
            max_tasks: self.max_tasks.map(|n| n as u64),
            max_memory: self.max_memory,
            grace: self.grace,
            name: self.name.unwrap_or_else(|| "worker".into()),
            crash_limit: self.crash_limit,
            depth,
            look_ahead: self.look_ahead,
            affinity: self.affinity,
        };
        let options = Options { limit: self.timeout.map_or(Limit::NONE, Limit::new), retries: 0 };
        Ok(Pool::from_engine(Engine::start(config, hooks)?, options))
    }
}

fn crosses(hook: Option<Result<Hook, String>>, what: &str) -> Result<Option<Hook>, PoolError> {
    hook.transpose().map_err(|why| PoolError::new(format!("the {what} can't be sent to a worker: {why}")))
}
