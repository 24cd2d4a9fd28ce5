//! System calls: processes, tracing, a timer, shared pages, futexes.

mod futex;
mod process;
pub(crate) mod robust;

pub(crate) use futex::{futex_wait, futex_wake};
pub(crate) use process::*;
