//! Driving one traced process: to its operation, instruction by instruction through it, and to its death.

mod asleep;
mod victim;

pub(crate) use asleep::is_asleep;
pub(crate) use victim::{Step, Victim};
