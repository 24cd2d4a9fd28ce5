//! Memory that this process shares with the children that it forks.

use std::ptr;

/// A zeroed `T` in shared memory, for ever.
///
/// # Safety
///
/// Zeroes must be a valid `T`, and `T` must bear being used by several processes at once: atomics, or memory that only
/// the C library touches.
pub unsafe fn shared<T: Sync>() -> &'static T {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<T>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        )
    };
    assert_ne!(start, libc::MAP_FAILED, "no shared memory: {}", std::io::Error::last_os_error());
    // SAFETY: the mapping is large enough, aligned to a page, zeroed and never unmapped; the caller vouches for zeroes.
    unsafe { &*start.cast::<T>() }
}
