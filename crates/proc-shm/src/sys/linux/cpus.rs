//! Whether two threads can run at once.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// | value | meaning | left by |
/// |---|---|---|
/// | 0 | not known yet | the first question |
/// | 1 | one CPU, by affinity and quota | |
/// | 2 | several | |
static CPUS: AtomicU8 = AtomicU8::new(0);

/// Whether this process may use more than one CPU; as it was when first asked.
pub(crate) fn several() -> bool {
    match CPUS.load(Relaxed) {
        0 => {
            let several = std::thread::available_parallelism().is_ok_and(|n| n.get() > 1);
            CPUS.store(1 + u8::from(several), Relaxed);
            several
        }
        known => known == 2,
    }
}
