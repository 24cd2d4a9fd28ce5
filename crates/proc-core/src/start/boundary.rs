//! The line between a new process and the code of the one it was copied from.

use super::boot::EXIT_PANICKED;
use crate::sys::clone;

/// While it lives, a panic that nobody caught ends this process: it does not unwind into the parent's frames, of which a
/// forked child has a copy, nor out of `init` into `main`.
pub(super) struct Boundary;

impl Drop for Boundary {
    fn drop(&mut self) {
        clone::exit_now(EXIT_PANICKED)
    }
}

/// The whole life of a forked child. It ends with the code that `life` gives, whatever happens.
pub(super) fn never_return(life: impl FnOnce() -> i32) -> ! {
    let _boundary = Boundary;
    clone::exit_now(life())
}
