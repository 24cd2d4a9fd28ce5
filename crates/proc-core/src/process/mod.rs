//! Processes of this program: the typed handle, the untyped one, how they are described, and who is alive.

mod builder;
mod children;
mod error;
mod handle;
mod link;
mod stdio;
mod typed;

pub use builder::ProcessBuilder;
pub use children::active_children;
pub use error::{JoinError, Panic, SpawnError, SpawnErrorKind};
pub use handle::{ProcessHandle, current, parent};
pub use stdio::Stdio;
pub use typed::Process;

pub(crate) use builder::Description;
pub(crate) use children::adopt;
pub(crate) use handle::{Inner, Source, become_child, pidfd_of_self};
pub(crate) use link::{Link, Reply, reply};
pub(crate) use typed::decode_status;
