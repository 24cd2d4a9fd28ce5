//! Linux: rustix, and libc for signal dispositions, which rustix has no door to.

pub(crate) mod descriptors;
pub(crate) mod poll;
#[cfg(feature = "pty")]
pub(crate) mod pty;
pub(crate) mod signals;
pub(crate) mod tree;
#[cfg(feature = "async")]
pub(crate) mod watch;
