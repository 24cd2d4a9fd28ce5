//! The one door to the kernel. Everything above this module is written against these names.

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod backend;

pub(crate) use backend::*;
