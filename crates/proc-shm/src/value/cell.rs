//! A piece of plain data that one process changes while others read, never torn.

use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
};

use crate::Plain;

/// Up to 8 bytes are one atomic word. More are two slots and a version, whose last bit says which slot counts:
///
/// | step | who | memory |
/// |---|---|---|
/// | 1 | the writer, under the lock | writes the slot that does not count, word by word |
/// | 2 | the writer | version + 1, by one store: the change |
/// | any | a reader | version, the slot that counts, version again; if it differs, once more |
///
/// A writer that is killed in step 1 has changed nothing. A reader meets a writer in its slot only if one change was made
/// since it read the version, and a second one is under way; then the version differs.
pub(super) struct Cell<T> {
    base: NonNull<u8>,
    data: PhantomData<T>,
}

/// Where the only, or the first slot is. The version is at 0, on a line of its own: atomics share it with nobody.
pub(super) const START: usize = 64;

const WORD: usize = size_of::<AtomicU64>();

impl<T> Cell<T> {
    const WORDS: usize = size_of::<T>().div_ceil(WORD);
    const SMALL: bool = Self::WORDS <= 1;

    /// Bytes that a cell takes.
    pub(super) const SIZE: usize = START + if Self::SMALL { WORD } else { 2 * WORD * Self::WORDS };
}

impl<T: Plain> Cell<T> {
    /// # Safety
    ///
    /// `base` is aligned to 8 and the first of [`SIZE`](Cell::SIZE) mapped bytes that are used as a cell only, in every
    /// process; all zero but for the value at first.
    #[inline]
    pub(super) unsafe fn at(base: NonNull<u8>) -> Cell<T> {
        Cell { base, data: PhantomData }
    }

    /// The value, whole.
    #[inline]
    pub(super) fn load(&self) -> T {
        if Self::SMALL {
            let word = self.word(0, 0).load(Acquire);
            let mut value = MaybeUninit::<T>::uninit();
            // SAFETY: a `T` is at most 8 bytes here, and any bytes are one.
            unsafe {
                value
                    .as_mut_ptr()
                    .cast::<u8>()
                    .copy_from_nonoverlapping((&raw const word).cast(), size_of::<T>());
                return value.assume_init();
            }
        }
        loop {
            let version = self.version().load(Acquire);
            let mut value = MaybeUninit::<T>::uninit();
            let into = value.as_mut_ptr().cast::<u8>();
            for i in 0..Self::WORDS {
                let word = self.word(version & 1, i).load(Relaxed);
                let len = WORD.min(size_of::<T>() - i * WORD);
                // SAFETY: the last word may reach beyond the value, the copy does not.
                unsafe { into.add(i * WORD).copy_from_nonoverlapping((&raw const word).cast(), len) };
            }
            fence(Acquire);
            if self.version().load(Relaxed) == version {
                // SAFETY: all bytes are written, and any bytes are a `T`.
                return unsafe { value.assume_init() };
            }
        }
    }

    /// Changes the value.
    ///
    /// # Safety
    ///
    /// Nobody else does at the same time.
    #[inline]
    pub(super) unsafe fn store(&self, value: T) {
        let from = (&raw const value).cast::<u8>();
        let word_at = |i: usize| {
            let mut word = 0_u64;
            let len = WORD.min(size_of::<T>() - i * WORD);
            // SAFETY: within the value, whose bytes are all initialized: it has no padding.
            unsafe { (&raw mut word).cast::<u8>().copy_from_nonoverlapping(from.add(i * WORD), len) };
            word
        };
        if Self::SMALL {
            let word = if size_of::<T>() == 0 { 0 } else { word_at(0) };
            self.word(0, 0).store(word, Release);
            return;
        }
        let version = self.version().load(Relaxed);
        // A reader that sees one of the stores below and then passes its own fence sees the version of now, too, and knows
        // that its slot was not the one that counts any more.
        fence(Release);
        for i in 0..Self::WORDS {
            self.word(!version & 1, i).store(word_at(i), Relaxed);
        }
        self.version().store(version.wrapping_add(1), Release);
    }

    #[inline]
    fn version(&self) -> &AtomicU64 {
        // SAFETY: by `at`.
        unsafe { self.base.cast().as_ref() }
    }

    #[inline]
    fn word(&self, slot: u64, i: usize) -> &AtomicU64 {
        let at = START + (slot as usize * Self::WORDS + i) * WORD;
        // SAFETY: within the cell, by `at`.
        unsafe { self.base.add(at).cast().as_ref() }
    }
}
