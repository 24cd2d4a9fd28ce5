//! Mutex, RecursiveMutex, Value under its lock, the writers of an RwLock, an Array and its parts.

use super::locking::Kit;
use crate::scenario::Scenario;
use crate::stage::{Outcome, ensure};
use proc_shm::{Array, LockError, Mutex, Part, RecursiveMutex, RwLock, Value};
use std::error::Error;
use std::time::Duration;

/// Two numbers that are equal whenever the lock is left whole.
type Pair = [u64; 2];

const MILLISECOND: Duration = Duration::from_millis(1);

fn text(e: impl ToString) -> String {
    e.to_string()
}

pub(super) fn check(pair: &[u64]) -> Outcome {
    ensure(pair[0] == pair[1], || format!("torn, and nobody said that an owner died: {pair:?}"))
}

/// Adds to both. The compiler must not make one store of the two.
pub(super) fn add_to(pair: &mut [u64], middle: &mut dyn FnMut()) -> Outcome {
    check(pair)?;
    pair[0] += 1;
    std::hint::black_box(&mut *pair);
    middle();
    pair[1] += 1;
    Ok(())
}

/// Scenarios of a lock with the usual methods.
macro_rules! kit {
    ($name:literal, $lock:ident, $add:expr) => {
        kit!($name, $lock<Pair>, || Ok($lock::new([0, 0])?), (lock, lock_timeout, try_lock), $add)
    };
    ($name:literal, $type:ty, $make:expr, ($lock:ident, $lock_timeout:ident, $try_lock:ident), $add:expr) => {
        Kit::<$type> {
            name: $name,
            make: $make,
            add: |lock, middle| {
                let mut guard = match lock.$lock() {
                    Err(LockError::OwnerDied) => lock.repair(|pair| pair[1] = pair[0]),
                    other => other,
                }
                .map_err(text)?;
                let add: fn(&mut _, &mut dyn FnMut()) -> Outcome = $add;
                add(&mut guard, middle)
            },
            try_add: |lock| {
                let mut guard = match lock.$try_lock() {
                    Ok(None) => return Ok(false),
                    Err(LockError::OwnerDied) => Ok(lock.repair(|pair| pair[1] = pair[0]).map_err(text)?),
                    Ok(Some(guard)) => Ok(guard),
                    Err(other) => Err(text(other)),
                }?;
                let add: fn(&mut _, &mut dyn FnMut()) -> Outcome = $add;
                add(&mut guard, &mut || ()).map(|()| true)
            },
            in_vain: |lock| {
                let locked = lock.$lock_timeout(MILLISECOND).map_err(text)?;
                ensure(locked.is_none(), || "the lock was free".into())
            },
            sum: |lock| {
                let guard = match lock.$lock() {
                    Err(LockError::OwnerDied) => lock.repair(|pair| pair[1] = pair[0]),
                    other => other,
                };
                Ok(guard.map_err(text)?.first())
            },
        }
    };
}

/// The first number behind a guard.
trait First {
    fn first(&self) -> u64;
}

impl First for proc_shm::Guard<'_, Pair> {
    fn first(&self) -> u64 {
        self[0]
    }
}

impl First for proc_shm::Guard<'_, [u64]> {
    fn first(&self) -> u64 {
        self[0]
    }
}

impl First for proc_shm::WriteGuard<'_, Pair> {
    fn first(&self) -> u64 {
        self[0]
    }
}

impl First for proc_shm::ValueGuard<'_, Pair> {
    fn first(&self) -> u64 {
        self[0]
    }
}

impl First for proc_shm::RecursiveGuard<'_, Pair> {
    fn first(&self) -> u64 {
        self.get()[0]
    }
}

/// An array of a pair, for the whole of which nobody has to look at parts.
fn array() -> Result<Array<u64>, Box<dyn Error>> {
    Ok(Array::from_slice(&[0, 0])?)
}

/// One that has parts.
fn parted() -> Result<Array<u64>, Box<dyn Error>> {
    let array = Array::from_slice(&[0; 4])?;
    array.try_parts(2)?;
    Ok(array)
}

/// A part that is a pair.
fn part() -> Result<Part<u64>, Box<dyn Error>> {
    Array::from_slice(&[0; 4])?.try_parts(2)?.pop().ok_or_else(|| "no parts".into())
}

/// Scenarios of the locks whose data is a slice.
fn slices() -> Vec<Scenario> {
    let mut all = Vec::new();
    macro_rules! kits {
        ($($name:literal, $type:ty, $make:expr;)*) => {$(
            all.extend(
                kit!($name, $type, $make, (lock, lock_timeout, try_lock), |guard: &mut proc_shm::Guard<'_, [u64]>, middle| {
                    add_to(guard, middle)
                })
                .all(),
            );
        )*};
    }
    kits! {
        "array", Array<u64>, array;
        "array-of-parts", Array<u64>, parted;
        "part", Part<u64>, part;
    }
    all
}

pub(super) fn all() -> Vec<Scenario> {
    let mut all = kit!("mutex", Mutex, |guard: &mut proc_shm::Guard<'_, Pair>, middle| {
        add_to(&mut guard[..], middle)
    })
    .all();
    let value = kit!("value", Value, |guard: &mut proc_shm::ValueGuard<'_, Pair>, middle| {
        add_to(&mut guard[..], middle)
    });
    all.extend(value.all());
    let recursive =
        kit!("recursive", RecursiveMutex, |guard: &mut proc_shm::RecursiveGuard<'_, Pair>, middle| {
            guard.update(|pair| add_to(pair, middle))
        });
    all.extend(recursive.all());
    let writers = kit!(
        "rwlock",
        RwLock<Pair>,
        || Ok(RwLock::new([0, 0])?),
        (write, write_timeout, try_write),
        |guard: &mut proc_shm::WriteGuard<'_, Pair>, middle| { add_to(&mut guard[..], middle) }
    );
    all.extend(writers.all());
    all.extend(slices());
    all
}
