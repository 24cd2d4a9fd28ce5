//! Figures of this project and of its rivals, side by side.
//!
//! A group of figures is a criterion benchmark with a `main` of its own (`benches/start`, `benches/pool`, ...). It fills
//! a [`Suite`]: cases, and for each case who takes part. The binary `figures` asks every group what it has, runs each
//! participant in a process of its own under a time limit, and makes the page of it.

mod ballast;
pub mod bare;
mod info;
mod ours;
mod peer;
mod place;
mod python;
mod routine;
mod shared;
mod suite;
pub mod usage;

pub use ballast::Ballast;
pub use info::{Case, Group, Kind, Subject, Unit};
pub use ours::our_peer;
pub use peer::Peer;
pub use place::{Place, Setting};
pub use python::Python;
pub use routine::{Routine, batches, calls, timed};
pub use shared::shared;
pub use suite::{Entry, MISSING, Suite};
