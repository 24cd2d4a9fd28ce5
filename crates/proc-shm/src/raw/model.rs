//! For models of structures under loom: threads that die.

/// Runs `f` in the calling thread, which is killed in place of its access number `accesses` to an atomic of ours, counted
/// from 0; sleeping and waking count as accesses. `None`: it was. The thread does nothing after that.
pub fn live<R>(accesses: usize, f: impl FnOnce() -> R) -> Option<R> {
    crate::sync::live(accesses, f)
}

/// An access that touches nothing: a place to die at.
pub fn access() {
    crate::sync::step();
}
