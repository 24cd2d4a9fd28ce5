//! How long to spin before a sleep.

use std::hint;

/// Six rounds of 2, 4, .. 64 pauses: about what a sleep and a wake cost, and none with one CPU, where the owner can't go on
/// while we spin.
pub(super) struct Spin(u32);

const ROUNDS: u32 = 6;

impl Spin {
    pub(super) fn new() -> Spin {
        Spin(if crate::sys::cpus::several() { 0 } else { ROUNDS })
    }

    /// Spins a while and says true, or says that it was enough.
    #[inline]
    pub(super) fn once_more(&mut self) -> bool {
        if self.0 >= ROUNDS {
            return false;
        }
        self.0 += 1;
        for _ in 0..1_u32 << self.0 {
            hint::spin_loop();
        }
        true
    }
}
