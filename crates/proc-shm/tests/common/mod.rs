//! What the tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use proc_shm::{Array, LockError, Mutex, Part, RecursiveMutex, RwLock, Value};
use serde::{Serialize, de::DeserializeOwned};

/// A machine ten times slower than this one does in this time what must happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Long enough that somebody is asleep; not long.
pub(crate) const SHORT: Duration = Duration::from_millis(40);

/// Waits until `done` says so.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "{what} did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `f` in a thread that gets a signal each millisecond.
pub(crate) fn under_signals(f: impl FnOnce() + Send) {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, and the tests use this signal for nothing else.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let (id, done, ended) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|s| {
        let thread = s.spawn(|| {
            // SAFETY: it has no arguments.
            id.store(unsafe { libc::pthread_self() }, SeqCst);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            done.store(true, SeqCst);
            eventually("the last signal", || ended.load(SeqCst));
            result.unwrap();
        });
        eventually("the start", || id.load(SeqCst) != 0);
        let mut signals = 0;
        while !done.load(SeqCst) {
            // SAFETY: the thread ends after the last signal only.
            unsafe { libc::pthread_kill(id.load(SeqCst), libc::SIGUSR1) };
            signals += 1;
            thread::sleep(Duration::from_millis(1));
        }
        ended.store(true, SeqCst);
        thread.join().unwrap();
        assert!(signals > 1, "there was no wait to be ended");
    });
}

/// What all locks can do. `with` runs while it is held; false or `None` means that it was not got.
pub(crate) trait Lock: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {
    fn make() -> Self;
    fn with<R>(&self, f: impl FnOnce() -> R) -> Result<R, LockError>;
    fn try_with<R>(&self, f: impl FnOnce() -> R) -> Result<Option<R>, LockError>;
    fn timeout_with<R>(&self, d: Duration, f: impl FnOnce() -> R) -> Result<Option<R>, LockError>;
    fn deadline_with<R>(&self, d: Instant, f: impl FnOnce() -> R) -> Result<Option<R>, LockError>;
    /// Says whether the mender ran.
    fn repair(&self) -> Result<bool, LockError>;
    fn is_poisoned(&self) -> bool;
    /// Locks and keeps it until the thread ends.
    fn leak(&self);
    /// Adds one to the number that it guards, under the lock.
    fn add(&self) -> Result<(), LockError>;
    fn sum(&self) -> u64;
    /// A thread that has it gets it again.
    const RECURSIVE: bool = false;
}

macro_rules! lock {
    ($t:ty, $make:expr, $lock:ident $try_lock:ident $timeout:ident $deadline:ident, |$g:ident| $add:expr, |$h:ident| $sum:expr $(, $recursive:ident)?) => {
        impl Lock for $t {
            fn make() -> Self {
                $make
            }
            fn with<R>(&self, f: impl FnOnce() -> R) -> Result<R, LockError> {
                let _guard = self.$lock()?;
                Ok(f())
            }
            fn try_with<R>(&self, f: impl FnOnce() -> R) -> Result<Option<R>, LockError> {
                Ok(self.$try_lock()?.map(|_guard| f()))
            }
            fn timeout_with<R>(&self, d: Duration, f: impl FnOnce() -> R) -> Result<Option<R>, LockError> {
                Ok(self.$timeout(d)?.map(|_guard| f()))
            }
            fn deadline_with<R>(&self, d: Instant, f: impl FnOnce() -> R) -> Result<Option<R>, LockError> {
                Ok(self.$deadline(d)?.map(|_guard| f()))
            }
            fn repair(&self) -> Result<bool, LockError> {
                let mut ran = false;
                drop(<$t>::repair(self, |_| ran = true)?);
                Ok(ran)
            }
            fn is_poisoned(&self) -> bool {
                <$t>::is_poisoned(self)
            }
            fn leak(&self) {
                std::mem::forget(self.$lock().unwrap());
            }
            #[allow(unused_mut)]
            fn add(&self) -> Result<(), LockError> {
                let mut $g = self.$lock()?;
                $add;
                Ok(())
            }
            fn sum(&self) -> u64 {
                let $h = self.$lock().unwrap();
                $sum
            }
            $(const RECURSIVE: bool = $recursive;)?
        }
    };
}

lock!(Mutex<u64>, Mutex::new(0).unwrap(), lock try_lock lock_timeout lock_deadline, |g| *g += 1, |g| *g);
lock!(Value<u64>, Value::new(0).unwrap(), lock try_lock lock_timeout lock_deadline, |g| *g += 1, |g| *g);
lock!(Value<[u64; 3]>, Value::new([0; 3]).unwrap(), lock try_lock lock_timeout lock_deadline, |g| g[2] += 1, |g| g[2]);
lock!(Array<u64>, Array::zeroed(3).unwrap(), lock try_lock lock_timeout lock_deadline, |g| g[2] += 1, |g| g[2]);
lock!(Part<u64>, Array::zeroed(3).unwrap().parts(2).remove(1), lock try_lock lock_timeout lock_deadline, |g| g[0] += 1, |g| g[0]);
lock!(RwLock<u64>, RwLock::new(0).unwrap(), write try_write write_timeout write_deadline, |g| *g += 1, |g| *g);
lock!(RecursiveMutex<u64>, RecursiveMutex::new(0).unwrap(), lock try_lock lock_timeout lock_deadline, |g| g.update(|n| *n += 1), |g| g.get(), true);

/// Runs a generic test once for each lock.
#[macro_export]
macro_rules! for_all_locks {
    ($($test:ident)*) => {
        for_all_locks! {@ [$($test)*]
            mutex: proc_shm::Mutex<u64>,
            value: proc_shm::Value<u64>,
            wide_value: proc_shm::Value<[u64; 3]>,
            array: proc_shm::Array<u64>,
            part: proc_shm::Part<u64>,
            rwlock: proc_shm::RwLock<u64>,
            recursive: proc_shm::RecursiveMutex<u64>,
        }
    };
    (@ $tests:tt $($name:ident: $t:ty,)*) => { $(for_all_locks! {@one $tests $name: $t})* };
    (@one [$($test:ident)*] $name:ident: $t:ty) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    super::$test::<$t>();
                }
            )*
        }
    };
}
