//! Many who may be inside together, or one who has all of it alone.
//!
//! It is what [`RwLock`](crate::RwLock) (readers, a writer) and [`Array`](crate::Array) (its parts, the whole) are made of.
//! Each of the many holds a slot of its own: a lock, so that the kernel knows of it. Who wants all takes the main lock, and
//! waits until each slot is free.
//!
//! # Protocol
//!
//! | who | 1 | 2 | 3 |
//! |---|---|---|---|
//! | one of many | takes a slot | looks at the main lock: free, it is in | else gives the slot up, and takes it again while it has the main lock |
//! | all | takes the main lock | `inside` = LOOKS | looks at all slots: free, `inside` = ALONE, and it is in; else `inside` = WAITS, it waits for those, and again from 2 |
//!
//! Both write first and look then, and all four are sequentially consistent, so that one of two sees the other. Whoever wants
//! all keeps newcomers out from its first step, and can't be starved by them; they queue at the main lock, as it does.
//!
//! A thread that has one slot and takes another, while somebody waits for its first, would wait for somebody who waits for
//! it. So it is let in if it sees WAITS: who waits looks at all slots again after it said LOOKS.
//!
//! # Deaths
//!
//! A slot whose owner died is marked. For a reader that means nothing, for a part it is poison. If the owner of the main lock
//! died, the whole is poisoned if `inside` was ALONE or had the bit BAD, or if there are no slots; else it had touched nothing,
//! and the next to come clears the mark.

mod many;
mod whole;

use std::{ptr::NonNull, slice};

use crate::{
    raw::UserLock,
    sync::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
};

/// | `inside` | meaning | left by |
/// |---|---|---|
/// | [`NOBODY`] | nobody has all of it | the owner of the main lock |
/// | [`WAITS`] | the owner of the main lock waits for slots | that owner |
/// | [`LOOKS`] | the owner of the main lock looks whether all slots are free | that owner |
/// | [`ALONE`] | the owner of the main lock has all | that owner |
/// | with [`BAD`] | the same, and the last owner but one died: it is to be mended | that owner, when it is |
///
/// A dead owner leaves it as it was, and it means what it meant until the main lock has another.
///
/// | `slots` | meaning | changed by |
/// |---|---|---|
/// | 0 | nobody has asked for slots yet, or there are none | who has all, once: to their number, when they have memory |
/// | n | there are so many | nobody |
#[repr(C, align(64))]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Control {
    inside: AtomicU32,
    pub(crate) slots: AtomicU32,
}

impl Control {
    /// Says how many slots there are, in new memory.
    ///
    /// # Safety
    ///
    /// `at` is valid for writes, aligned and all zero, and nobody else has it yet.
    pub(crate) unsafe fn lay(at: NonNull<Control>, slots: u32) {
        #[cfg(loom)]
        // SAFETY: by the caller.
        unsafe {
            at.write(Control::default());
        }
        // SAFETY: by the caller; zeros are one.
        unsafe { at.as_ref() }.slots.store(slots, Relaxed);
    }
}

const NOBODY: u32 = 0;
const WAITS: u32 = 1;
const LOOKS: u32 = 2;
const ALONE: u32 = 3;
const BAD: u32 = 8;

/// A gate in shared memory: where its pieces are in this process.
#[derive(Clone, Copy)]
pub(crate) struct Gate {
    main: NonNull<UserLock>,
    control: NonNull<Control>,
    table: NonNull<UserLock>,
    most: usize,
    /// A slot whose owner died stands for data that may be half changed.
    slots_poison: bool,
}

// SAFETY: its pieces are atomics in shared memory.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

// All functions that lock are unsafe for one reason: the memory must stay mapped while a lock of the gate is held.
impl Gate {
    /// # Safety
    ///
    /// While the gate is used, all is mapped: `table` is the first of `most` locks, of which as many as `control` says have
    /// memory.
    pub(crate) unsafe fn new(
        main: NonNull<UserLock>,
        control: NonNull<Control>,
        table: NonNull<UserLock>,
        most: usize,
        slots_poison: bool,
    ) -> Gate {
        Gate { main, control, table, most, slots_poison }
    }

    #[inline(always)]
    pub(crate) fn main(&self) -> &UserLock {
        // SAFETY: by `new`; it is atomics.
        unsafe { self.main.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: by `new`; it is atomics.
        unsafe { self.control.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> &[UserLock] {
        let count = (self.control().slots.load(Relaxed) as usize).min(self.most);
        // SAFETY: by `new`.
        unsafe { slice::from_raw_parts(self.table.as_ptr(), count) }
    }

    /// Whether the whole is poisoned; out of date at once.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.main().is_poisoned() && self.counts()
    }

    /// Whether the death of the main lock's owner means anything.
    fn counts(&self) -> bool {
        self.control().slots.load(Relaxed) == 0 || self.was_bad()
    }

    fn was_bad(&self) -> bool {
        let inside = self.control().inside.load(SeqCst);
        inside == ALONE || inside & BAD != 0
    }
}
