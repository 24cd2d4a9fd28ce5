//! The descriptors that a forked child closes: a set of small numbers, to be walked where nothing may wait or allocate.
//!
//! It is a bitmap, as descriptors are small and dense: entering and leaving is one instruction, whatever the number of
//! members, and a child looks at 16 words for a thousand descriptors. The words are in blocks that double in size, are
//! made when first needed, and are never freed: 64 bytes for the usual process.

use std::{
    os::fd::RawFd,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::sys::atfork;

/// Words `2^k - 1` to `2^(k+1) - 2` are in block `k`, and bit `b` of word `w` is descriptor `64 w + b`.
///
/// | pointer | meaning | changed by |
/// |---|---|---|
/// | null | no descriptor of the block was ever entered | |
/// | other | the first of `2^k` words, for ever | the first [`insert`] there, once (release) |
///
/// | bit | meaning | changed by |
/// |---|---|---|
/// | 0 | free, or not for children to close | [`remove`] before the owner closes it; [`close_all`] |
/// | 1 | open, and its owner is a `LocalFd` of this process | [`insert`] after it was opened |
///
/// Bits are relaxed: their only reader is the child of a fork, which sees all that came before it.
static BLOCKS: [AtomicPtr<AtomicU64>; BLOCK_COUNT] = [const { AtomicPtr::new(ptr::null_mut()) }; BLOCK_COUNT];

/// Enough for every non-negative `RawFd`: 2^31 of them in 2^25 words.
const BLOCK_COUNT: usize = 26;

/// From now on children close `fd`.
pub(super) fn insert(fd: RawFd) {
    if let Some((block, offset, bit)) = place(fd) {
        block_or_new(block)[offset].fetch_or(bit, Relaxed);
    }
}

/// From now on they don't. To be called before it is closed: the other way round, a fork in between would close in the
/// child what another thread of the parent has just opened under the same number.
pub(super) fn remove(fd: RawFd) {
    if let Some((block, offset, bit)) = place(fd) {
        if let Some(words) = block_if_there(block) {
            words[offset].fetch_and(!bit, Relaxed);
        }
    }
}

/// Closes all members. Neither waits nor allocates; for the child of a fork, while it has one thread.
pub(super) fn close_all() {
    for block in 0..BLOCK_COUNT {
        let Some(words) = block_if_there(block) else { continue };
        let first = words.len() - 1;
        for (offset, word) in words.iter().enumerate() {
            // The common word is empty: reading it leaves the page shared with the parent.
            let mut bits = word.load(Relaxed);
            if bits != 0 {
                word.store(0, Relaxed);
            }
            while bits != 0 {
                let fd = (first + offset) * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // SAFETY: in this memory the number belongs to the copy of a `LocalFd`, which never uses or closes it
                // again, as it sees by its lineage.
                unsafe { atfork::close(fd as RawFd) };
            }
        }
    }
}

fn place(fd: RawFd) -> Option<(usize, usize, u64)> {
    let fd = usize::try_from(fd).ok()?;
    let word = fd / 64 + 1;
    let block = word.ilog2() as usize;
    Some((block, word - (1 << block), 1 << (fd % 64)))
}

fn block_if_there(block: usize) -> Option<&'static [AtomicU64]> {
    let words = BLOCKS[block].load(Acquire);
    if words.is_null() {
        return None;
    }
    // SAFETY: a pointer that is not null came from `block_or_new`, which leaked `2^block` words.
    Some(unsafe { std::slice::from_raw_parts(words, 1 << block) })
}

fn block_or_new(block: usize) -> &'static [AtomicU64] {
    if let Some(words) = block_if_there(block) {
        return words;
    }
    let fresh: Box<[AtomicU64]> = (0..1_usize << block).map(|_| AtomicU64::new(0)).collect();
    let fresh = Box::into_raw(fresh);
    match BLOCKS[block].compare_exchange(ptr::null_mut(), fresh.cast(), AcqRel, Acquire) {
        // SAFETY: just leaked, so it lives for ever.
        Ok(_) => unsafe { &*fresh },
        Err(theirs) => {
            // SAFETY: another thread was faster, and nobody has seen ours.
            drop(unsafe { Box::from_raw(fresh) });
            // SAFETY: as in `block_if_there`.
            unsafe { std::slice::from_raw_parts(theirs, 1 << block) }
        }
    }
}
