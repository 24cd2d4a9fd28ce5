//! The locks that an operating system offers, by hand, in memory that is shared with a forked child.

use benches::shared;
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A lock in zeroed shared memory.
pub(crate) trait RawLock: Sync + 'static {
    /// Before first use, by one process.
    fn set_up(&self);
    fn lock(&self);
    fn unlock(&self);
}

/// A number under a lock, each on a line of its own.
#[repr(C, align(64))]
pub(crate) struct Guarded<L> {
    lock: L,
    value: Line<UnsafeCell<u64>>,
}

#[repr(C, align(64))]
struct Line<T>(T);

// SAFETY: the number is only touched by who has the lock.
unsafe impl<L: RawLock> Sync for Guarded<L> {}

impl<L: RawLock> Guarded<L> {
    pub(crate) fn new() -> &'static Self {
        // SAFETY: the locks are made for zeroed shared memory, and zero is a number.
        let guarded = unsafe { shared::<Self>() };
        guarded.lock.set_up();
        guarded
    }

    pub(crate) fn add(&self) {
        self.lock.lock();
        let value = self.value.0.get();
        // SAFETY: we have the lock.
        unsafe { value.write_volatile(value.read_volatile() + 1) };
        self.lock.unlock();
    }

    pub(crate) fn get(&self) -> u64 {
        self.lock.lock();
        // SAFETY: we have the lock.
        let value = unsafe { self.value.0.get().read_volatile() };
        self.lock.unlock();
        value
    }
}

/// The three-state mutex of Drepper's "Futexes Are Tricky".
///
/// | word | state | changed by |
/// |---|---|---|
/// | 0 | free | who unlocks |
/// | 1 | taken, nobody sleeps | who locks it free |
/// | 2 | taken, somebody may sleep | who finds it taken |
pub(crate) struct Futex(AtomicU32);

impl RawLock for Futex {
    fn set_up(&self) {}

    fn lock(&self) {
        if self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        while self.0.swap(2, Ordering::Acquire) != 0 {
            futex_wait(&self.0, 2);
        }
    }

    fn unlock(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            futex_wake(&self.0);
        }
    }
}

pub(crate) fn futex_wait(word: &AtomicU32, expected: u32) {
    let no_timeout = ptr::null::<libc::timespec>();
    // SAFETY: the word outlives the call; the kernel only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, no_timeout) };
}

pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word outlives the call; the kernel only takes its address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// `pthread_mutex_t`, shared between processes, robust or not.
pub(crate) struct Pthread<const ROBUST: bool>(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a process-shared mutex is made for this.
unsafe impl<const ROBUST: bool> Sync for Pthread<ROBUST> {}

impl<const ROBUST: bool> Pthread<ROBUST> {
    pub(crate) fn as_ptr(&self) -> *mut libc::pthread_mutex_t {
        self.0.get()
    }
}

impl<const ROBUST: bool> RawLock for Pthread<ROBUST> {
    fn set_up(&self) {
        // SAFETY: the attributes are a value of our own, initialised before use; the mutex is ours alone so far.
        unsafe {
            let mut attributes = std::mem::zeroed::<libc::pthread_mutexattr_t>();
            libc::pthread_mutexattr_init(&raw mut attributes);
            libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
            if ROBUST {
                libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            assert_eq!(libc::pthread_mutex_init(self.0.get(), &raw const attributes), 0);
        }
    }

    fn lock(&self) {
        // SAFETY: `set_up` came first.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0.get()) }, 0);
    }

    fn unlock(&self) {
        // SAFETY: this thread has it.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

/// `pthread_cond_t`, shared between processes, with its mutex and whose turn it is.
pub(crate) struct Turns {
    mutex: Pthread<false>,
    changed: UnsafeCell<libc::pthread_cond_t>,
    turn: UnsafeCell<u32>,
}

// SAFETY: the turn is only touched by who has the mutex; the condition variable is process-shared.
unsafe impl Sync for Turns {}

impl Turns {
    pub(crate) fn new() -> &'static Self {
        // SAFETY: set up before use; zero is a turn.
        let turns = unsafe { shared::<Self>() };
        turns.mutex.set_up();
        // SAFETY: as in the mutex's `set_up`.
        unsafe {
            let mut attributes = std::mem::zeroed::<libc::pthread_condattr_t>();
            libc::pthread_condattr_init(&raw mut attributes);
            libc::pthread_condattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
            assert_eq!(libc::pthread_cond_init(turns.changed.get(), &raw const attributes), 0);
        }
        turns
    }

    /// Waits while it is not `mine`, then gives the turn to the other.
    pub(crate) fn take(&self, mine: u32) {
        self.wait(mine, |turn| *turn = 1 - mine);
        // SAFETY: `new` came first.
        unsafe { libc::pthread_cond_signal(self.changed.get()) };
    }

    /// Waits until it is `mine`.
    pub(crate) fn wait(&self, mine: u32, then: impl FnOnce(&mut u32)) {
        self.mutex.lock();
        // SAFETY: the turn is touched under the mutex, which the wait gives up and takes back.
        unsafe {
            while self.turn.get().read() != mine {
                libc::pthread_cond_wait(self.changed.get(), self.mutex.as_ptr());
            }
            then(&mut *self.turn.get());
        }
        self.mutex.unlock();
    }
}
