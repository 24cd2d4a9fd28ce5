//! The one door to system calls: one backend a platform.

mod linux;

pub(crate) use linux::{cpus, futex, local, memory, poll, socket};
