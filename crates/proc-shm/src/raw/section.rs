//! The lock for a few instructions of ours.

use std::{fmt, marker::PhantomData, time::Instant};

use super::word::{self, Dead, Taken};
use crate::{
    sync::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
    sys::robust::{self, Me},
};

/// A lock between processes for a few instructions on a structure in shared memory: as fast as a futex mutex, 4 bytes,
/// and it outlives its owner.
///
/// All zero bytes are a free one. It may lie in a [region](crate::region) that [holds
/// locks](crate::region::RegionOptions::holds_locks), or on the heap.
///
/// A thread is in one section at a time. Inside, there must be no user code, no allocation, no other lock and no long
/// wait: a process that is stopped there (SIGSTOP, a debugger) stops all others, as it is not dead.
///
/// If its owner dies, the next one to enter is told by [`recovered`](SectionGuard::recovered) and makes the structure
/// whole. If that one dies too before it left, the one after it is told. Structures that change by one store need no
/// repair at all.
///
/// # Examples
///
/// ```
/// use proc_shm::raw::Section;
///
/// let section = Section::new();
/// let guard = section.lock();
/// assert!(!guard.recovered());
/// drop(guard);
/// ```
#[repr(C)]
pub struct Section {
    /// See the [module](super#the-word).
    word: AtomicU32,
}

impl Section {
    /// A free one.
    #[cfg(not(loom))]
    pub const fn new() -> Section {
        Section { word: AtomicU32::new(0) }
    }

    /// A free one.
    #[cfg(loom)]
    pub fn new() -> Section {
        Section { word: AtomicU32::new(0) }
    }

    /// Enters, however long that takes.
    ///
    /// # Panics
    ///
    /// This thread is in a section already.
    #[inline(always)]
    pub fn lock(&self) -> SectionGuard<'_> {
        match self.lock_deadline(None) {
            Some(guard) => guard,
            None => unreachable!("there is no deadline"),
        }
    }

    /// Enters if nobody else is inside. Like [`UserLock::try_lock`](super::UserLock::try_lock) it takes an owner whose death
    /// the kernel did not tell for one that is inside.
    ///
    /// # Panics
    ///
    /// This thread is in a section already.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<SectionGuard<'_>> {
        let me = self.begin();
        loop {
            let now = self.word.load(Relaxed);
            if now & word::TID != 0 {
                me.unwatch();
                return None;
            }
            let ours = me.tid() | (now & word::WAITERS);
            if self.word.compare_exchange(now, ours, Acquire, Relaxed).is_ok() {
                return Some(self.guard(me, now & word::OWNER_DIED != 0));
            }
        }
    }

    /// Enters, or gives up at `deadline`, if there is one.
    ///
    /// # Panics
    ///
    /// This thread is in a section already.
    #[inline(always)]
    pub fn lock_deadline(&self, deadline: Option<Instant>) -> Option<SectionGuard<'_>> {
        let me = self.begin();
        if self.word.compare_exchange(0, me.tid(), Acquire, Relaxed).is_ok() {
            return Some(self.guard(me, false));
        }
        self.lock_slow(me, deadline)
    }

    #[cold]
    fn lock_slow(&self, me: Me, deadline: Option<Instant>) -> Option<SectionGuard<'_>> {
        match word::acquire_slow(&self.word, None, me, Dead::Take, deadline) {
            Taken::Clean => Some(self.guard(me, false)),
            Taken::OwnerDied => Some(self.guard(me, true)),
            Taken::Poisoned | Taken::TimedOut => {
                me.unwatch();
                None
            }
            Taken::Deadlock => {
                me.unwatch();
                nested()
            }
        }
    }

    #[inline(always)]
    fn begin(&self) -> Me {
        let me = robust::me();
        if me.is_watching() {
            nested();
        }
        me.watch(&self.word);
        me
    }

    #[inline(always)]
    fn guard(&self, me: Me, recovered: bool) -> SectionGuard<'_> {
        SectionGuard { section: self, me, recovered, not_send: PhantomData }
    }
}

#[cold]
fn nested() -> ! {
    panic!("a thread can't enter a section of shared memory while it is in one")
}

impl Default for Section {
    fn default() -> Section {
        Section::new()
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Relaxed);
        f.debug_struct("Section").field("owner", &(word & word::TID)).finish_non_exhaustive()
    }
}

/// That this thread is inside of a [`Section`]; dropping it leaves.
///
/// It is bound to its thread. It must not be leaked: the thread could enter no other section until it ends.
#[must_use = "the section is left at once"]
pub struct SectionGuard<'a> {
    section: &'a Section,
    me: Me,
    recovered: bool,
    not_send: PhantomData<*const ()>,
}

impl SectionGuard<'_> {
    /// Whether the last one inside died there, so that what the section guards may be half done.
    #[inline(always)]
    pub fn recovered(&self) -> bool {
        self.recovered
    }
}

impl fmt::Debug for SectionGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SectionGuard").field("recovered", &self.recovered).finish_non_exhaustive()
    }
}

impl Drop for SectionGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let word = &self.section.word;
        if word.compare_exchange(self.me.tid(), 0, Release, Relaxed).is_err() {
            word::release_slow(word, None);
        }
        self.me.unwatch();
    }
}
