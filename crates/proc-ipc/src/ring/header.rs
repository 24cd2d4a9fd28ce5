//! The words that both sides of a ring share.

use crossbeam_utils::CachePadded;

use crate::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release, SeqCst, fence};

/// At the start of a ring's memory. All zero is an empty ring of two live sides.
///
/// | word | meaning | changed by |
/// |---|---|---|
/// | `tail` | all bytes before it are committed records | the sender: only up, by whole records (release) |
/// | `head` | all bytes before it were consumed | the receiver: only up (release) |
/// | `reader_sleeps` | 1: ring the bell once `tail` moved | 1 by the receiver before it sleeps; 0 by whoever rings, or by the receiver when it is awake |
/// | `writer_sleeps` | not 0: ring the bell once `head` is there | the same by the sender |
/// | `sender_closed` | 1: the sending end was dropped | the sender, once, after its last `tail` |
/// | `receiver_closed` | 1: the receiving end was dropped | the receiver, once |
/// | `reader_cpu` | the CPU on which the receiver last waited, plus 1; 0: it never did. A hint, on which only the way of copying rests | the receiver, before it waits |
///
/// Each side keeps its own position in private memory, reads the other's once a look, and checks it. The two positions
/// have cache lines of their own; the rest is written rarely and read often, so it shares one.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Header {
    tail: CachePadded<AtomicU64>,
    head: CachePadded<AtomicU64>,
    rare: CachePadded<Rare>,
}

#[repr(C)]
#[derive(Debug, Default)]
struct Rare {
    writer_sleeps: AtomicU64,
    reader_sleeps: AtomicU32,
    sender_closed: AtomicU32,
    receiver_closed: AtomicU32,
    reader_cpu: AtomicU32,
}

/// Who sleeps and who must ring is settled by two fences: a side that moves its position does *store position, fence,
/// load the other's flag*, a side that goes to sleep does *store flag, fence, load the other's position*. Whatever the
/// order, at least one of them sees the other's store: either the sleeper sees that there is something to do, or the
/// mover sees that somebody sleeps. The flags change by exchanges only, so that each change has its place among the others':
/// a model need not consider a plain store that is overtaken by an older exchange.
impl Header {
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.tail.load(Acquire)
    }

    #[inline]
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Acquire)
    }

    /// Commits all records before `tail`.
    #[inline]
    pub(crate) fn commit(&self, tail: u64) {
        self.tail.store(tail, Release);
    }

    /// Gives the room before `head` back.
    #[inline]
    pub(crate) fn release(&self, head: u64) {
        self.head.store(head, Release);
    }

    /// To be asked after [`commit`](Header::commit): whether the reader's bell must be rung. Says so once a sleep.
    #[inline]
    pub(crate) fn must_wake_reader(&self) -> bool {
        fence(SeqCst);
        self.rare.reader_sleeps.load(Relaxed) != 0 && self.rare.reader_sleeps.swap(0, Relaxed) != 0
    }

    /// To be asked after [`release`](Header::release) of `head`: whether the writer's bell must be rung.
    #[inline]
    pub(crate) fn must_wake_writer(&self, head: u64) -> bool {
        fence(SeqCst);
        let wanted = self.rare.writer_sleeps.load(Relaxed);
        wanted != 0 && head >= wanted && self.rare.writer_sleeps.swap(0, Relaxed) != 0
    }

    /// The reader goes to sleep, unless a look at [`tail`](Header::tail) after this shows something.
    pub(crate) fn arm_reader(&self) {
        self.rare.reader_sleeps.swap(1, Relaxed);
        fence(SeqCst);
    }

    /// The reader is awake. True if its bell was rung since it was armed, or will be any moment.
    pub(crate) fn disarm_reader(&self) -> bool {
        self.rare.reader_sleeps.swap(0, Relaxed) == 0
    }

    /// The writer goes to sleep until `head`, unless a look at [`head`](Header::head) after this shows that it is there.
    pub(crate) fn arm_writer(&self, head: u64) {
        self.rare.writer_sleeps.swap(head, Relaxed);
        fence(SeqCst);
    }

    /// The writer is awake. True if its bell was rung since it was armed, or will be any moment.
    pub(crate) fn disarm_writer(&self) -> bool {
        self.rare.writer_sleeps.swap(0, Relaxed) == 0
    }

    /// Everything that will ever be sent is committed.
    pub(crate) fn close_sender(&self) {
        self.rare.sender_closed.store(1, Release);
    }

    #[inline]
    pub(crate) fn sender_closed(&self) -> bool {
        self.rare.sender_closed.load(Acquire) != 0
    }

    pub(crate) fn close_receiver(&self) {
        self.rare.receiver_closed.store(1, Release);
    }

    #[inline]
    pub(crate) fn receiver_closed(&self) -> bool {
        self.rare.receiver_closed.load(Acquire) != 0
    }

    /// The reader waits on this CPU.
    pub(crate) fn tell_reader_cpu(&self, cpu: usize) {
        self.rare.reader_cpu.store((cpu as u32).wrapping_add(1), Relaxed);
    }

    /// The CPU on which the reader last waited.
    pub(crate) fn reader_cpu(&self) -> Option<usize> {
        self.rare.reader_cpu.load(Relaxed).checked_sub(1).map(|cpu| cpu as usize)
    }
}
