//! Linux: rustix where it has a door, libc where it has none (`clone`, `fork`, signal dispositions, `waitid` with usage).

pub(crate) mod atfork;
#[cfg(feature = "functions")]
pub(crate) mod auxv;
pub(crate) mod clone;
#[cfg(feature = "functions")]
pub(crate) mod messages;
pub(crate) mod pidfd;
pub(crate) mod signals;
#[cfg(feature = "functions")]
pub(crate) mod sockets;
pub(crate) mod steps;
#[cfg(feature = "functions")]
pub(crate) mod threads;
