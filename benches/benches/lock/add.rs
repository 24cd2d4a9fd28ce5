//! An atomic number in shared memory.

use crate::meeting::Meeting;
use crate::python;
use benches::{Peer, Place, Routine, Setting, Suite, Unit, calls, our_peer, shared};
use proc_shm::Value;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) fn register(suite: &mut Suite) {
    suite
        .case(
            "add",
            "Add one to an atomic: alone",
            "fetch_add on a number in shared memory by one process. (Python has no atomics: its Value under its lock.)",
            Unit::Time,
            &[Place::Free],
        )
        .ours("value", "Value<AtomicU64>", |_| {
            let value = Value::new(AtomicU64::new(0)).map_err(|e| e.to_string())?;
            Ok(calls(move || value.fetch_add(1, Relaxed)))
        })
        .floor("atomic", "AtomicU64 in shared memory", |_| {
            let atomic = atomic();
            Ok(calls(move || atomic.fetch_add(1, Relaxed)))
        })
        .rival("python", "Python Value, get_lock()", python("uncontended"));
    suite
        .case(
            "add-two",
            "Add one to an atomic: two processes at once",
            "The same by two processes as fast as they can: the time of both, divided by all additions.",
            Unit::Time,
            &Place::ALL,
        )
        .ours("value", "Value<AtomicU64>", |setting| {
            let value = Value::new(AtomicU64::new(0)).map_err(|e| e.to_string())?;
            let add = |value: &Value<AtomicU64>, n: u64| {
                for _ in 0..n {
                    value.fetch_add(1, Relaxed);
                }
            };
            let meeting = Meeting::new();
            let peer = our_peer(setting, value.clone(), move |value| meeting.serve(|n| add(&value, n)))?;
            Ok(meeting.routine(peer, move |n| add(&value, n)))
        })
        .floor("atomic", "AtomicU64 in shared memory", bare)
        .rival("python", "Python Value, get_lock()", python("contended"));
}

fn atomic() -> &'static AtomicU64 {
    // SAFETY: an atomic, for which zero is valid.
    unsafe { shared() }
}

fn bare(setting: &Setting) -> Result<Routine, String> {
    let atomic = atomic();
    let add = move |n: u64| {
        for _ in 0..n {
            atomic.fetch_add(1, Relaxed);
        }
    };
    let meeting = Meeting::new();
    let peer = Peer::fork(setting, || meeting.serve(add));
    Ok(meeting.routine(peer, add))
}
