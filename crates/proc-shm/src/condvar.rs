//! Waiting for a change of what a lock guards.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use crate::{
    Guard, LockError, Plain, RecursiveGuard, ValueGuard, deadline,
    handle::{Handle, crosses},
    raw::Bell,
    region::RegionOptions,
    sync::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
};

/// Waits until another thread or process says that what a lock guards has changed.
///
/// It is a handle: clones and copies that crossed to other processes are the same condition variable. It goes with any
/// lock of this crate: [`Mutex`](crate::Mutex), [`Value`](crate::Value), [`Array`](crate::Array),
/// [`RecursiveMutex`](crate::RecursiveMutex).
///
/// A wait may end without a notification, so it stands in a loop, or is a [`wait_while`](Condvar::wait_while). In
/// particular `notify_one` wakes everybody: if it woke one and that one was killed, nobody would do the work. For the same
/// reason there is no `notify(n)` as Python has it.
///
/// # When a waiter dies
///
/// Nothing happens: nobody waits for waiters. (In Python, and with a process-shared `pthread_cond_t`, whoever notifies
/// after a waiter was killed can hang for ever.)
///
/// # Hidden state
///
/// One descriptor and one mapping, shared by all clones in a process. A waiter wakes up four times a second, to see
/// whether a process died between its change and its wake.
///
/// # Examples
///
/// ```
/// use proc_core::Process;
/// use proc_shm::{Condvar, Mutex};
///
/// # proc_core::init();
/// let (ready, changed) = (Mutex::new(0_u8)?, Condvar::new()?);
/// let child = Process::spawn(
///     |(ready, changed): (Mutex<u8>, Condvar)| {
///         *ready.lock().unwrap() = 1;
///         changed.notify_one();
///     },
///     (ready.clone(), changed.clone()),
/// )?;
/// let guard = changed.wait_while(ready.lock()?, |ready| *ready == 0)?;
/// assert_eq!(*guard, 1);
/// # drop(guard);
/// # child.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Condvar {
    handle: Handle,
}

/// What lies in the region.
///
/// | field | who changes it |
/// |---|---|
/// | `bell` | a notifier adds one, then wakes all who sleep on it |
/// | `waiters` | a waiter adds one before it gives up the lock, and takes it away after; one that was killed leaves it too high, which costs a system call per notification and nothing else |
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
struct Core {
    bell: Bell,
    waiters: AtomicU32,
}

/// Whether a wait ended because its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up. What was waited for may have happened in the last moment all the same.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    const OPTIONS: RegionOptions = RegionOptions::new(u32::from_ne_bytes(*b"cond"));

    /// A condition variable of its own.
    ///
    /// # Errors
    ///
    /// As for [`RegionOptions::create`]: no memory, no descriptor.
    pub fn new() -> io::Result<Condvar> {
        Ok(Condvar { handle: Handle::new(Self::OPTIONS.create(size_of::<Core>())?, 0).constructed::<Core>() })
    }

    /// Gives the lock up, waits for a notification, and takes it again, however long that takes: a time limit, where there is
    /// one, is that of the wait alone.
    ///
    /// # Errors
    ///
    /// - the lock could not be taken again: as for [`Mutex::lock`](crate::Mutex::lock);
    /// - [`NotInherited`](LockError::NotInherited): this is a forked child to which the handle was not given.
    pub fn wait<G: Unlockable>(&self, guard: G) -> Result<G, LockError> {
        self.wait_until(guard, None).map(|(guard, _)| guard)
    }

    /// [Waits](Condvar::wait) for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    pub fn wait_timeout<G: Unlockable>(
        &self,
        guard: G,
        timeout: Duration,
    ) -> Result<(G, WaitTimeoutResult), LockError> {
        self.wait_until(guard, deadline::after(timeout))
    }

    /// [Waits](Condvar::wait) until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    pub fn wait_deadline<G: Unlockable>(
        &self,
        guard: G,
        deadline: Instant,
    ) -> Result<(G, WaitTimeoutResult), LockError> {
        self.wait_until(guard, Some(deadline))
    }

    /// Waits as long as `condition` says true of what the lock guards. It returns at once if it says false.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    pub fn wait_while<G: Unlockable>(
        &self,
        mut guard: G,
        mut condition: impl FnMut(&mut G::Data) -> bool,
    ) -> Result<G, LockError> {
        while guard.with_data(&mut condition) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// [Waits](Condvar::wait_while) for `timeout` at most. If the time is up, `condition` still says true.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use proc_shm::{Condvar, Mutex};
    ///
    /// let (jobs, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// let brief = Duration::from_millis(1);
    /// let (guard, result) = changed.wait_timeout_while(jobs.lock()?, brief, |jobs| *jobs == 0)?;
    /// // Nobody brought one.
    /// assert!(result.timed_out() && *guard == 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout_while<G: Unlockable>(
        &self,
        mut guard: G,
        timeout: Duration,
        mut condition: impl FnMut(&mut G::Data) -> bool,
    ) -> Result<(G, WaitTimeoutResult), LockError> {
        let deadline = deadline::after(timeout);
        let mut over = false;
        loop {
            if !guard.with_data(&mut condition) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if over {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let (again, result) = self.wait_until(guard, deadline)?;
            guard = again;
            over = result.timed_out();
        }
    }

    /// Wakes a waiter, if there is one; in fact all, see [above](Condvar). It is cheap if nobody waits.
    ///
    /// The lock need not be held. In a forked child to which the handle was not given it does nothing.
    #[inline]
    pub fn notify_one(&self) {
        self.notify_all();
    }

    /// Wakes all waiters. It is cheap if nobody waits.
    ///
    /// The lock need not be held. In a forked child to which the handle was not given it does nothing.
    #[inline]
    pub fn notify_all(&self) {
        if self.handle.check().is_err() {
            return;
        }
        let core = self.core();
        // A waiter counts itself before it reads the bell: either it is seen here, or it reads the new value.
        core.bell.ring();
        if core.waiters.load(SeqCst) != 0 {
            core.bell.wake_all();
        }
    }

    fn wait_until<G: Unlockable>(
        &self,
        guard: G,
        deadline: Option<Instant>,
    ) -> Result<(G, WaitTimeoutResult), LockError> {
        self.handle.check()?;
        let core = self.core();
        core.waiters.fetch_add(1, SeqCst);
        let heard = core.bell.hear();
        let mut rang = false;
        let result = guard.unlocked(|| rang = core.bell.wait(heard, deadline));
        core.waiters.fetch_sub(1, Relaxed);
        result.map(|guard| (guard, WaitTimeoutResult(!rang)))
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: callers have checked; the core lies at the start, and is atomics.
        unsafe { self.handle.pointer::<Core>(0).as_ref() }
    }

    fn give(&self) -> io::Result<u32> {
        self.handle.region().give()
    }

    fn take(ticket: u32) -> io::Result<Condvar> {
        Ok(Condvar { handle: Handle::take(Self::OPTIONS, ticket, 0, size_of::<Core>())? })
    }
}

crosses!(Condvar);

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// Guards with which a [`Condvar`] can wait. It is implemented for the guards of this crate, and for no others.
pub trait Unlockable: sealed::Unlockable {}

impl<G: sealed::Unlockable> Unlockable for G {}

mod sealed {
    use crate::LockError;

    #[expect(unnameable_types, reason = "the usual seal")]
    pub trait Unlockable: Sized {
        type Data: ?Sized;

        /// Gives the lock up, runs `wait`, and takes it again.
        fn unlocked(self, wait: impl FnOnce()) -> Result<Self, LockError>;

        fn with_data<R>(&mut self, f: impl FnOnce(&mut Self::Data) -> R) -> R;
    }
}

impl<T: ?Sized> sealed::Unlockable for Guard<'_, T> {
    type Data = T;

    fn unlocked(self, wait: impl FnOnce()) -> Result<Self, LockError> {
        Guard::unlocked(self, wait)
    }

    fn with_data<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        f(self)
    }
}

impl<T: Plain> sealed::Unlockable for ValueGuard<'_, T> {
    type Data = T;

    fn unlocked(self, wait: impl FnOnce()) -> Result<Self, LockError> {
        ValueGuard::unlocked(self, wait)
    }

    fn with_data<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        f(self)
    }
}

impl<T: Plain> sealed::Unlockable for RecursiveGuard<'_, T> {
    type Data = T;

    fn unlocked(self, wait: impl FnOnce()) -> Result<Self, LockError> {
        RecursiveGuard::unlocked(self, wait)
    }

    fn with_data<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        self.update(f)
    }
}
