//! Small protocols of the lab's own, each in a right form, which must hold, and in broken forms, which must be caught.
//!
//! They are the lab's proof of itself. They have no bounded waits that would heal a broken protocol, so what the library
//! survives thanks to those is a hang here.

mod lock;
mod notify;
mod ring;

use crate::scenario::Scenario;

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = lock::all();
    all.extend(notify::all());
    all.extend(ring::all());
    all
}
