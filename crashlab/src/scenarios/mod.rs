//! The library's objects, operation by operation.

mod barrier;
mod channel;
mod condvar;
mod connection;
mod event;
mod gates;
mod locking;
mod locks;
mod memory;
mod named;
mod pipe;
mod queue;
mod raw;
mod ring;
mod semaphore;
mod slots;

use crate::scenario::Scenario;

/// All of them, lowest layer first.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![nothing()];
    all.extend(raw::all());
    all.extend(locks::all());
    all.extend(gates::all());
    all.extend(slots::all());
    all.extend(semaphore::all());
    all.extend(condvar::all());
    all.extend(barrier::all());
    all.extend(event::all());
    all.extend(named::all());
    all.extend(ring::all());
    all.extend(pipe::all());
    all.extend(connection::all());
    all.extend(channel::all());
    all.extend(queue::all());
    all
}

/// How many steps the marks take.
fn nothing() -> Scenario {
    Scenario::new("nothing", |stage| {
        stage.victim(&(), |(), _, mark| {
            mark.operation(|| ());
            Ok(())
        })
    })
}
