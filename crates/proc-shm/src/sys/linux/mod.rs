//! Linux: rustix where it has a door, libc where it has none (the robust list, `tkill` without a signal).

#[cfg(not(loom))]
pub(crate) mod cpus;
pub(crate) mod event;
#[cfg(not(loom))]
pub(crate) mod futex;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod namespace;
#[cfg(not(loom))]
pub(crate) mod robust;
#[cfg_attr(loom, allow(dead_code, reason = "a model's processes are threads"))]
pub(crate) mod tasks;

/// What a model checker sees in place of the kernel.
#[cfg(loom)]
mod model;
#[cfg(loom)]
pub(crate) use model::{cpus, futex, robust};
