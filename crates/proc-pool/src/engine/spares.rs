//! Memory of long arguments, which long values are received in.
//!
//! What the system gives a process is new pages, and to touch 1 MiB of them first takes three times as long as to copy
//! into them. The argument of a task that has ended is nobody's any more, and was in the cache a moment ago.

use crate::bytes::LARGE;

/// Buffers for values to come: as many as there are workers at most, and none while nothing is open.
#[derive(Debug, Default)]
pub(super) struct Spares {
    all: Vec<Vec<u8>>,
}

/// A buffer above this is not kept.
const KEPT: usize = 4 << 20;

impl Spares {
    /// Keeps the memory of an argument, beside `most` others.
    #[inline]
    pub(super) fn keep(&mut self, mut arg: Vec<u8>, most: usize) {
        if (LARGE..=KEPT).contains(&arg.capacity()) && self.all.len() < most {
            arg.clear();
            self.all.push(arg);
        }
    }

    /// A buffer for a value of `len` bytes. What is not much larger is kept by its caller: nothing is allocated and copied
    /// again. If there is none, it is for the receiver to allocate.
    #[inline]
    pub(super) fn lend(&mut self, len: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&spare.capacity());
        match self.all.iter().position(fits) {
            Some(place) => self.all.swap_remove(place),
            None => {
                // Values are of another size now.
                self.all.pop();
                Vec::new()
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.all = Vec::new();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_lent_again_and_nothing_else() {
        const SIZE: usize = 1 << 20;
        let new = |capacity| vec![1; capacity];
        let mut spares = Spares::default();
        spares.keep(new(SIZE), 2);
        let spare = spares.lend(SIZE);
        assert_eq!((spare.len(), spare.capacity()), (0, SIZE));
        assert_eq!(spares.lend(SIZE).capacity(), 0);

        for size in [KEPT + 1, LARGE - 1] {
            spares.keep(new(size), 2);
            assert_eq!(spares.lend(size).capacity(), 0);
        }
        // Too small, and so large that its caller would keep twice what he needs.
        for len in [SIZE + 1, SIZE / 2 - 1] {
            spares.keep(new(SIZE), 2);
            assert_eq!(spares.lend(len).capacity(), 0);
            assert_eq!(spares.lend(SIZE).capacity(), 0, "it was not kept on");
        }
        (0..3).for_each(|_| spares.keep(new(SIZE), 2));
        assert_eq!(spares.all.len(), 2);
        spares.clear();
        assert_eq!(spares.lend(SIZE).capacity(), 0);
    }
}
