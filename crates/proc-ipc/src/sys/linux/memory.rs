//! What the kernel is told about mappings.

use proc_shm::region::{HEADER_SIZE, Region};
use rustix::mm::{Advice, madvise};

/// Leaves the memory out of core dumps. It is messages of others as well, and the kernel would allocate every page of it,
/// the 16 GiB of a channel that has none, to write it down.
pub(crate) fn keep_out_of_dumps(region: &Region) {
    let start = region.as_ptr().as_ptr().wrapping_sub(HEADER_SIZE);
    // SAFETY: the whole of a mapping that lives; the advice changes neither its content nor who may use it.
    let advised = unsafe { madvise(start.cast(), HEADER_SIZE + region.len(), Advice::LinuxDontDump) };
    // A kernel that knows no such advice writes larger dumps.
    let _ = advised;
}
