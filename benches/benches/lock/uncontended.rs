//! A lock that nobody else wants.

use crate::bare::{Futex, Guarded, Pthread, RawLock};
use crate::python;
use benches::{Place, Routine, Suite, Unit, calls};
use proc_shm::{Mutex, Value};

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "uncontended",
            "Lock, add one, unlock: nobody else wants it",
            "A number in shared memory is increased under its lock by one process.",
            Unit::Time,
            &[Place::Free],
        )
        .ours("mutex", "Mutex<u64>", |_| {
            let mutex = Mutex::new(0_u64).map_err(|e| e.to_string())?;
            Ok(calls(move || *mutex.lock().expect("a living owner") += 1))
        })
        .ours("value", "Value<u64>::lock", |_| {
            let value = Value::new(0_u64).map_err(|e| e.to_string())?;
            Ok(calls(move || *value.lock().expect("a living owner") += 1))
        })
        .floor("futex", "futex mutex, not robust", |_| Ok(alone::<Futex>()))
        .floor("pthread", "pthread mutex, shared", |_| Ok(alone::<Pthread<false>>()))
        .floor("robust", "pthread mutex, shared and robust", |_| Ok(alone::<Pthread<true>>()));
    #[cfg(feature = "rivals")]
    let entry = entry.threads("parking_lot", "parking_lot Mutex", |_| {
        let mutex = parking_lot::Mutex::new(0_u64);
        Ok(calls(move || *mutex.lock() += 1))
    });
    entry.rival("python", "Python Value, get_lock()", python("uncontended"));
}

fn alone<L: RawLock>() -> Routine {
    let guarded = Guarded::<L>::new();
    calls(move || guarded.add())
}
