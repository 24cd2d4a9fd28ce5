//! Copies between private and shared memory.
//!
//! Another process may write what is read here, so plain reads and `memcpy` would be data races, which the language
//! does not define. Words are relaxed atomics; from 256 bytes on x86-64 it is one `rep movsb`, which the compiler does
//! not look into: 64 KiB take 1.29 us that way, 1.37 by `memcpy`, 1.66 by words. What was read may be any mixture of
//! what others wrote, and is private from then on.
//!
//! What is long goes into shared memory around the cache, if its reader may be on another CPU: the lines are in the cache
//! of that one, which has read what was there before, and to win each back before it is written over takes longer than the
//! way through memory. 1 MiB messages pass at 14 to 16 GB/s that way, and at 2 to 9 by `rep movsb`, as the two CPUs lie. On
//! a single CPU it would be 9 instead of 15.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// From this many bytes on the string instruction pays.
const LONG: usize = 256;

/// From this many bytes on a copy into shared memory may go around the cache.
const STREAM: usize = 16 * 1024;

/// Whether it matters how far the reader is.
#[inline]
pub(crate) fn is_long(len: usize) -> bool {
    len >= STREAM
}

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

/// Copies `bytes` into shared memory. `far`: whoever reads them may be on another CPU.
///
/// # Safety
///
/// `to` is valid for writes of as many bytes of mapped memory, which are reached by atomics and these functions only.
#[inline]
pub(crate) unsafe fn to_shared(bytes: &[u8], to: *mut u8, far: bool) {
    let (from, len) = (bytes.as_ptr(), bytes.len());
    if len >= LONG && cfg!(target_arch = "x86_64") {
        // SAFETY: as the caller's.
        unsafe { if far && is_long(len) { stream(from, to, len) } else { long(from, to, len) } };
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
/// As for [`long`].
#[cfg(target_arch = "x86_64")]
unsafe fn stream(from: *const u8, to: *mut u8, len: usize) {
    // Whole lines; what is before and behind them goes the other way.
    let before = to.align_offset(LINE).min(len);
    let lines = (len - before) / LINE * LINE;
    // SAFETY: the three parts are the `len` bytes of either pointer, one after the other, and the instructions touch just
    // these. In the loop `to` is at the start of a line, as they need it, and there is at least one line. The fence makes the
    // stores, which are not ordered by themselves, come before whatever is stored after this: the commit, too, that makes
    // them visible.
    unsafe {
        long(from, to, before);
        if lines > 0 {
            std::arch::asm!(
                "2:",
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movntps [{to}], {a}",
                "movntps [{to} + 16], {b}",
                "movntps [{to} + 32], {c}",
                "movntps [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "sub {len}, 64",
                "jnz 2b",
                "sfence",
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                from = inout(reg) from.add(before) => _,
                to = inout(reg) to.add(before) => _,
                len = inout(reg) lines => _,
                options(nostack),
            );
        }
        let done = before + lines;
        long(from.add(done), to.add(done), len - done);
    }
}

/// Bytes of a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// # Safety
///
/// As for [`long`]. Unreachable, as that is here.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn stream(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's.
    unsafe { long(from, to, len) };
}

/// # Safety
///
/// Both pointers are valid for `len` bytes, for reads and writes respectively, and do not overlap.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn long(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's. Unreachable: only x86-64 has a long form.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Into shared memory and out of it, by each of the ways that there are: all bytes, and none beside them.
    #[test]
    fn whatever_the_length_and_the_place() {
        let short = (0..=70).chain([LONG - 1, LONG, LONG + 1, 1000]);
        let long = (STREAM - 2..STREAM + 70).chain([STREAM * 2 + 1, 100_000]);
        let source: Vec<u8> = (0..100_100_u32).map(|i| (i % 251) as u8).collect();
        let mut shared = vec![0_u64; 20_000];
        let base = shared.as_mut_ptr().cast::<u8>();
        for len in short.chain(long) {
            for (from, to, far) in [(0, 0, true), (1, 8, true), (8, 1, true), (5, 64, false), (0, 63, true)] {
                let bytes = &source[from..from + len];
                let mut back = vec![0; len + 2];
                // SAFETY: all lie within their buffers, which are this test's alone.
                unsafe {
                    base.write_bytes(0xee, 160_000);
                    to_shared(bytes, base.add(to), far);
                    from_shared(base.add(to), back.as_mut_ptr().add(1), len);
                    assert!(to == 0 || base.add(to - 1).read() == 0xee, "before {len} at {to}");
                    assert_eq!(base.add(to + len).read(), 0xee, "behind {len} at {to}");
                }
                assert!(back[1..=len] == *bytes, "{len} from {from} to {to}");
                assert_eq!((back[0], back[len + 1]), (0, 0), "{len} from {from} to {to}");
            }
        }
    }
}
