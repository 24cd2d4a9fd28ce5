//! Tasks in the order of their ends.

use crate::engine::{Engine, Signal, Wanted};
use crate::task::Task;
use parking_lot::Mutex;
use proc_core::inherit::Lineage;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The tasks, each once it is done, in the order of their ends. More can be [pushed](AsCompleted::push) meanwhile.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_pool::{Pool, as_completed};
///
/// proc_core::init();
/// let pool = Pool::new(2)?;
/// let mut sum = 0;
/// for task in as_completed((0..4).map(|i| pool.submit(|x: u32| x + 1, i))) {
///     sum += task.get()?;
/// }
/// assert_eq!(sum, 10);
/// # Ok(())
/// # }
/// ```
pub fn as_completed<R>(tasks: impl IntoIterator<Item = Task<R>>) -> AsCompleted<R> {
    let mut all = AsCompleted {
        open: HashMap::new(),
        done: Arc::default(),
        next: 0,
        is_mixed: false,
        lineage: Lineage::current(),
    };
    all.extend(tasks);
    all
}

/// The iterator of [`as_completed`].
pub struct AsCompleted<R> {
    open: HashMap<u32, Task<R>>,
    done: Arc<Done>,
    next: u32,
    /// Its tasks are of several pools.
    is_mixed: bool,
    lineage: Lineage,
}

/// The numbers of tasks that have ended.
#[derive(Debug, Default)]
pub(crate) struct Done {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    numbers: VecDeque<u32>,
    consumer: Option<Arc<Signal>>,
    /// With tasks of several pools: the one for which the consumer may be collecting, which only its bell ends.
    collecting: Weak<Engine>,
}

impl Done {
    /// The task with this number has ended.
    pub(crate) fn add(&self, number: u32) {
        let mut inner = self.inner.lock();
        inner.numbers.push_back(number);
        let (consumer, collecting) = (inner.consumer.take(), inner.collecting.upgrade());
        drop(inner);
        if let Some(signal) = consumer {
            signal.set();
        }
        if let Some(engine) = collecting {
            engine.ring_bell();
        }
    }
}

impl Wanted for Done {
    fn is_there(&self) -> bool {
        !self.inner.lock().numbers.is_empty()
    }

    fn call(&self, signal: &Arc<Signal>) {
        let mut inner = self.inner.lock();
        if inner.numbers.is_empty() {
            inner.consumer = Some(signal.clone());
        } else {
            signal.set();
        }
    }

    fn call_off(&self) {
        self.inner.lock().consumer = None;
    }
}

impl<R> AsCompleted<R> {
    /// Adds a task.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # proc_core::init();
    /// # let pool = proc_pool::Pool::new(2)?;
    /// use proc_pool::as_completed;
    ///
    /// let half = |x: u32| x / 2;
    /// let mut tasks = as_completed([pool.submit(half, 64), pool.submit(half, 40)]);
    /// let mut steps = 0;
    /// while let Some(task) = tasks.next() {
    ///     steps += 1;
    ///     let x = task.get()?;
    ///     if x > 0 {
    ///         tasks.push(pool.submit(half, x));
    ///     }
    /// }
    /// assert_eq!(steps, 7 + 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn push(&mut self, task: Task<R>) {
        // They come round after 2^32 tasks; one that is still in use then is left out.
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.is_mixed |=
            self.open.values().next().is_some_and(|one| !Arc::ptr_eq(one.engine(), task.engine()));
        if self.lineage.is_current() && task.mark(&self.done, number) {
            self.done.add(number);
        }
        self.open.insert(number, task);
    }

    /// How many tasks have not been given out.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether all tasks have been given out.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The next task that is done; `None` if none is in time, or none is left.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Task<R>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Task<R>> {
        loop {
            if !self.lineage.is_current() {
                // A forked child: nothing comes here, as each task says. A lock may have been held at the fork.
                let number = *self.open.keys().next()?;
                return self.open.remove(&number);
            }
            let number = self.done.inner.lock().numbers.pop_front();
            if let Some(number) = number {
                match self.open.remove(&number) {
                    Some(task) => return Some(task),
                    None => continue,
                }
            }
            // Whoever waits collects, for one pool; what belongs to another is collected by that one's own thread.
            let engine = self.open.values().next()?.engine().clone();
            if self.is_mixed {
                self.done.inner.lock().collecting = Arc::downgrade(&engine);
            }
            if !engine.wait(&*self.done, deadline) {
                return None;
            }
        }
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = Task<R>;

    fn next(&mut self) -> Option<Task<R>> {
        self.next_until(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<R> Extend<Task<R>> for AsCompleted<R> {
    fn extend<T: IntoIterator<Item = Task<R>>>(&mut self, tasks: T) {
        for task in tasks {
            self.push(task);
        }
    }
}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
