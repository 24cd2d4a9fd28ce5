//! Where what lies in the region of an array.

use crate::{gate::Control, raw::UserLock};

/// The lock of the whole is first, and those of the parts are side by side with it. There is room for one a part, but
/// memory only once there are parts. Then comes the control of the gate, and the elements.
pub(super) const PARTS: usize = size_of::<UserLock>();

/// The most parts that an array has room for: 4 MiB of addresses.
const MOST_PARTS: usize = 1 << 16;

/// Up to here the room for parts is not worth a hole.
const SMALL: usize = 4_096;

pub(super) struct Layout {
    len: usize,
    pub(super) end: usize,
}

impl Layout {
    /// `None`: it does not fit into the address space.
    pub(super) fn of<T>(len: usize) -> Option<Layout> {
        let bytes = len.checked_mul(size_of::<T>())?;
        Some(Layout { len, end: Layout::data(len).checked_add(bytes)? })
    }

    #[inline]
    pub(super) fn most_parts_of(len: usize) -> usize {
        len.clamp(1, MOST_PARTS)
    }

    pub(super) fn most_parts(&self) -> usize {
        Layout::most_parts_of(self.len)
    }

    #[inline]
    pub(super) fn control(len: usize) -> usize {
        PARTS + Layout::most_parts_of(len) * size_of::<UserLock>()
    }

    #[inline]
    pub(super) fn data(len: usize) -> usize {
        Layout::control(len) + size_of::<Control>()
    }

    /// The length of the array in a region of `size` bytes, if it is one.
    pub(super) fn len_in<T>(size: usize) -> Option<usize> {
        let fits = |len: usize| Layout::of::<T>(len).is_some_and(|layout| layout.end == size);
        // Above as many parts as there can be, only the elements count; below, each has a lock too.
        let long = size.checked_sub(Layout::data(MOST_PARTS)).map(|rest| rest / size_of::<T>());
        let short = size.checked_sub(Layout::data(0) - size_of::<UserLock>());
        let short = short.map(|rest| rest / (size_of::<T>() + size_of::<UserLock>()));
        [long, short, Some(0)].into_iter().flatten().find(|len| fits(*len))
    }

    /// What gets memory at once, from the start.
    pub(super) fn first_allocated(&self) -> usize {
        if Layout::control(self.len) <= SMALL { self.end } else { PARTS }
    }

    /// What gets memory besides, as start and length.
    pub(super) fn rest_allocated(&self) -> Option<(usize, usize)> {
        let start = Layout::control(self.len);
        (start > SMALL).then(|| (start, self.end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_found_again() {
        for len in [0, 1, 2, 3, 63, 64, 65, 1_000, 65_535, 65_536, 65_537, 1_000_000] {
            assert_eq!(Layout::len_in::<u8>(Layout::of::<u8>(len).unwrap().end), Some(len));
            assert_eq!(Layout::len_in::<u64>(Layout::of::<u64>(len).unwrap().end), Some(len));
            assert_eq!(Layout::len_in::<[u8; 3]>(Layout::of::<[u8; 3]>(len).unwrap().end), Some(len));
        }
        assert_eq!(Layout::len_in::<u64>(Layout::of::<u64>(9).unwrap().end + 1), None);
        assert!(Layout::of::<u64>(usize::MAX).is_none());
    }
}
