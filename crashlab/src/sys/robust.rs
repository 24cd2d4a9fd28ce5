//! The pending slot of this thread's robust list.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst, compiler_fence};

/// `struct robust_list_head` of the kernel.
#[repr(C)]
struct Head {
    next: *mut u8,
    futex_offset: isize,
    list_op_pending: Cell<*mut u8>,
}

/// Has the kernel look at `word` when this thread dies, until [`withdraw`]. One at a time.
pub(crate) fn announce(word: &AtomicU32) {
    let head = head();
    head.list_op_pending.set(word.as_ptr().cast::<u8>().wrapping_offset(-head.futex_offset));
    compiler_fence(SeqCst);
}

/// Ends what [`announce`] began.
pub(crate) fn withdraw() {
    compiler_fence(SeqCst);
    head().list_op_pending.set(std::ptr::null_mut());
}

/// The head that libc registered for this thread.
fn head() -> &'static Head {
    let mut head = std::ptr::null::<Head>();
    let mut size = 0_usize;
    // SAFETY: writes both; the head lives as long as the thread, and nothing here leaves the thread.
    unsafe {
        libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut size);
        &*head
    }
}
