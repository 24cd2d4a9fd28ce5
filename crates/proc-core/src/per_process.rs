//! A lazily made value of which each process has its own, forked ones too.

use crate::inherit::Lineage;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A static that a forked child does not share: the first use there makes a new value.
///
/// The parent's value is leaked in the child. It can't be dropped or even looked at: it may hold a lock that another
/// thread of the parent held at the fork, and descriptors that are not the child's.
///
/// | state of the pointer | meaning | leaves it by |
/// |---|---|---|
/// | null | no process of this line made a value | `get`, to a slot |
/// | slot of this lineage | this process's value | a fork |
/// | slot of another lineage | this process is a forked child that has made none | `get`, to a slot of its own |
pub(crate) struct PerProcess<T> {
    slot: AtomicPtr<Slot<T>>,
    make: fn() -> T,
}

struct Slot<T> {
    lineage: Lineage,
    value: T,
}

impl<T: Sync + 'static> PerProcess<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        PerProcess { slot: AtomicPtr::new(ptr::null_mut()), make }
    }

    pub(crate) fn get(&'static self) -> &'static T {
        let mut seen = self.slot.load(Ordering::Acquire);
        loop {
            // SAFETY: a slot, once published, is never freed or changed.
            if let Some(slot) = unsafe { seen.as_ref() } {
                if slot.lineage.is_current() {
                    return &slot.value;
                }
            }
            let fresh = Box::into_raw(Box::new(Slot { lineage: Lineage::current(), value: (self.make)() }));
            match self.slot.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => seen = fresh,
                Err(other) => {
                    // SAFETY: it was not published, so it is still ours alone.
                    drop(unsafe { Box::from_raw(fresh) });
                    seen = other;
                }
            }
        }
    }
}
