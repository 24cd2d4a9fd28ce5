//! Copies between private and shared memory.
//!
//! Another process may write what is read here, so plain reads and `memcpy` would be data races, which the language
//! does not define. Words are relaxed atomics; from 256 bytes on x86-64 it is one `rep movsb`, which the compiler does
//! not look into: 64 KiB take 1.29 us that way, 1.37 by `memcpy`, 1.66 by words. What was read may be any mixture of
//! what others wrote, and is private from then on.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// From this many bytes on the string instruction pays.
const LONG: usize = 256;

/// Copies `len` bytes out of shared memory.
///
/// # Safety
///
/// `from` is valid for reads of `len` bytes of mapped memory, which are reached by atomics and these functions only;
/// `to` is valid for writes of `len` bytes that are private to the caller.
#[inline]
pub(crate) unsafe fn from_shared(from: *const u8, to: *mut u8, len: usize) {
    if len >= LONG && cfg!(target_arch = "x86_64") {
        // SAFETY: as the caller's.
        unsafe { long(from, to, len) };
        return;
    }
    let mut done = 0;
    // SAFETY: all accesses are within `len` bytes of either pointer. Shared ones are atomic, words only where the
    // address is a multiple of eight; private ones need no alignment.
    unsafe {
        while done < len && (from.add(done).addr() % WORD != 0 || len - done < WORD) {
            to.add(done).write((*from.add(done).cast::<AtomicU8>()).load(Relaxed));
            done += 1;
        }
        while len - done >= WORD {
            let word = (*from.add(done).cast::<AtomicU64>()).load(Relaxed);
            to.add(done).cast::<u64>().write_unaligned(word);
            done += WORD;
        }
        while done < len {
            to.add(done).write((*from.add(done).cast::<AtomicU8>()).load(Relaxed));
            done += 1;
        }
    }
}

/// Copies `bytes` into shared memory.
///
/// # Safety
///
/// `to` is valid for writes of as many bytes of mapped memory, which are reached by atomics and these functions only.
#[inline]
pub(crate) unsafe fn to_shared(bytes: &[u8], to: *mut u8) {
    let (from, len) = (bytes.as_ptr(), bytes.len());
    if len >= LONG && cfg!(target_arch = "x86_64") {
        // SAFETY: as the caller's.
        unsafe { long(from, to, len) };
        return;
    }
    let mut done = 0;
    // SAFETY: as in `from_shared`, the other way round.
    unsafe {
        while done < len && (to.add(done).addr() % WORD != 0 || len - done < WORD) {
            (*to.add(done).cast::<AtomicU8>()).store(from.add(done).read(), Relaxed);
            done += 1;
        }
        while len - done >= WORD {
            let word = from.add(done).cast::<u64>().read_unaligned();
            (*to.add(done).cast::<AtomicU64>()).store(word, Relaxed);
            done += WORD;
        }
        while done < len {
            (*to.add(done).cast::<AtomicU8>()).store(from.add(done).read(), Relaxed);
            done += 1;
        }
    }
}

/// # Safety
///
/// Both pointers are valid for `len` bytes, for reads and writes respectively, and do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn long(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the instruction touches just these bytes; the direction flag is clear, as the ABI has it.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
///
/// Both pointers are valid for `len` bytes, for reads and writes respectively, and do not overlap.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn long(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's. Unreachable: only x86-64 has a long form.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
}
