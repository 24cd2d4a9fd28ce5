//! The calling thread as the kernel will see it when it ends: its id and its list of robust futexes.
//!
//! Each thread has registered, by libc, a `robust_list_head`. When the thread ends, however it ends, the kernel walks the
//! list and then looks at the pending slot; for each word whose owner part is the thread's id it sets OWNER_DIED and wakes
//! one sleeper, and for a pending word without an owner it wakes one sleeper, whose turn the dead one may have taken.
//!
//! The list is libc's too, and is kept as libc keeps it: a node is the pointer `next`, the 8 bytes before it are `prev`,
//! which libc writes when it links a mutex of its own in front of ours.

use std::{
    cell::Cell,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{
        AtomicU32, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
        compiler_fence,
    },
};

use proc_core::inherit::Lineage;

/// `struct robust_list_head` of the kernel. Only the thread itself changes it; the kernel reads it when the thread ends,
/// which is why each access is a whole word and in program order. libc's `prev` of the head is in the 8 bytes before.
#[repr(C)]
struct Head {
    /// The first node, or the head itself. Bit 0 is a flag of the node (priority inheritance), never of one of ours.
    list: AtomicUsize,
    /// From a node to its futex word.
    futex_offset: isize,
    /// The node of a lock that is just being taken or given up.
    pending: AtomicUsize,
}

/// The calling thread. Cheap to copy, and of no use in another thread.
#[derive(Clone, Copy)]
pub(crate) struct Me {
    head: *const Head,
    tid: u32,
}

/// What a thread knows of itself.
#[derive(Clone, Copy)]
struct Known {
    me: Me,
    /// Meaningful if `me` has a head.
    lineage: MaybeUninit<Lineage>,
}

thread_local! {
    /// No destructor and a constant start: an access is one instruction. (An `Option` here is copied to the stack in pieces
    /// and read back whole, which stalls the processor: 30 ns a lock.)
    static KNOWN: Cell<Known> =
        const { Cell::new(Known { me: Me { head: ptr::null(), tid: 0 }, lineage: MaybeUninit::uninit() }) };
    /// How many nodes of ours are in the list, behind its last; so that the usual thread, with one lock, never writes it.
    static LINKED: Cell<u32> = const { Cell::new(0) };
}

/// The kernel walks 2,048 nodes (`ROBUST_LIST_LIMIT`) and forgets the rest. Some are left to libc's robust mutexes.
/// One less, as the last is not counted.
const MOST_LINKED: u32 = 2_000 - 1;

/// The calling thread. A forked child has another id than its parent, hence the lineage.
#[inline(always)]
pub(crate) fn me() -> Me {
    let known = KNOWN.get();
    // SAFETY: it was written together with the head.
    if !known.me.head.is_null() && unsafe { known.lineage.assume_init() }.is_current() {
        return known.me;
    }
    first_time()
}

/// The calling thread, which has called [`me`] in this process before.
#[inline(always)]
pub(crate) fn known() -> Me {
    KNOWN.get().me
}

#[cold]
fn first_time() -> Me {
    let mut head: *const Head = ptr::null();
    let mut len = 0_usize;
    // SAFETY: both are valid for a write; 0 is the calling thread. rustix has no door to it.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    assert!(
        result == 0 && !head.is_null() && len == size_of::<Head>(),
        "the C library has registered no robust list for this thread"
    );
    let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    let me = Me { head, tid };
    let offset = -me.head().futex_offset;
    assert!(
        (16..=56).contains(&offset) && offset % 8 == 0,
        "the C library lays out its robust mutexes in a way that is not known here: {offset}"
    );
    KNOWN.set(Known { me, lineage: MaybeUninit::new(Lineage::current()) });
    // libc's fork starts the child with an empty list.
    LINKED.set(0);
    me
}

impl Me {
    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        self.tid
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: the head is part of this thread's control block, which lives as long as the thread.
        unsafe { &*self.head }
    }

    #[inline(always)]
    fn node_of(&self, word: &AtomicU32) -> usize {
        (ptr::from_ref(word) as usize).wrapping_add_signed(-self.head().futex_offset)
    }

    /// From now on the kernel looks at `word` if this thread ends.
    #[inline(always)]
    pub(crate) fn watch(self, word: &AtomicU32) {
        self.head().pending.store(self.node_of(word), Relaxed);
        // The kernel looks as a signal handler of this thread would: in program order.
        compiler_fence(SeqCst);
    }

    /// From now on it does not.
    #[inline(always)]
    pub(crate) fn unwatch(self) {
        compiler_fence(SeqCst);
        self.head().pending.store(0, Relaxed);
    }

    /// Whether a word is being watched.
    #[inline(always)]
    pub(crate) fn is_watching(self) -> bool {
        self.head().pending.load(Relaxed) != 0
    }

    /// Whether [`link`](Me::link) may be called once more.
    #[inline(always)]
    pub(crate) fn has_room(self) -> bool {
        LINKED.get() < MOST_LINKED
    }

    /// Puts the lock of `word` into the list, at its front.
    ///
    /// # Safety
    ///
    /// The 64 bytes from `word` on are the lock's, and stay mapped until it is unlinked or the thread has ended; this
    /// thread owns the lock, and it is not in the list.
    #[inline(always)]
    pub(crate) unsafe fn link(self, word: &AtomicU32) {
        let head = self.head();
        let node = self.node_of(word);
        let first = head.list.load(Relaxed);
        // SAFETY: `first` is the head, whose `prev` libc keeps in front of it, or a linked node; `node` is ours by the
        // caller.
        unsafe {
            prev_of(first & !1).store(node, Relaxed);
            next_of(node).store(first, Relaxed);
            prev_of(node).store(self.head as usize, Relaxed);
        }
        // The node must be whole before the list leads to it.
        compiler_fence(SeqCst);
        head.list.store(node, Relaxed);
        if first != self.head as usize {
            LINKED.set(LINKED.get() + 1);
        }
    }

    /// Takes the lock of `word` out of the list.
    ///
    /// # Safety
    ///
    /// This thread has linked it and not unlinked it since.
    #[inline(always)]
    pub(crate) unsafe fn unlink(self, word: &AtomicU32) {
        let node = self.node_of(word);
        // SAFETY: `node` is linked, so its neighbours are linked nodes or the head.
        unsafe {
            let next = next_of(node).load(Relaxed);
            let prev = prev_of(node).load(Relaxed);
            prev_of(next & !1).store(prev, Relaxed);
            next_of(prev & !1).store(next, Relaxed);
            compiler_fence(SeqCst);
            if LINKED.get() != 0 {
                // Mutexes of libc come and go between ours, so that an empty list is the only sure number.
                let empty = next == self.head as usize && prev == next;
                LINKED.set(if empty { 0 } else { LINKED.get() - 1 });
            }
        }
    }
}

/// # Safety
///
/// `node` is the address of a node or of the head.
#[inline(always)]
unsafe fn next_of<'a>(node: usize) -> &'a AtomicUsize {
    // SAFETY: by the caller; nodes are aligned to 8.
    unsafe { AtomicUsize::from_ptr(ptr::with_exposed_provenance_mut(node)) }
}

/// # Safety
///
/// As for [`next_of`].
#[inline(always)]
unsafe fn prev_of<'a>(node: usize) -> &'a AtomicUsize {
    // SAFETY: by the caller, and a node's `prev` is in the 8 bytes before it.
    unsafe { AtomicUsize::from_ptr(ptr::with_exposed_provenance_mut(node - size_of::<usize>())) }
}
