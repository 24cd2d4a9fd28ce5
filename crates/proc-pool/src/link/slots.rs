//! The slot table: which item of which entry a worker is at, in one word that both sides claim by compare-and-swap.
//!
//! An entry (one task, or a run of tasks of one function) is written into the worker's ring and has a slot while it is
//! open. The slot's word decides who an item belongs to, whatever lies in the ring:
//!
//! | word: state (item) | meaning | leaves it to |
//! |---|---|---|
//! | `Empty` | nothing was ever here | `Queued` by the pool |
//! | `Queued (f)` | the entry lies in the ring, none of its items has begun; `f` is the first | `Running (f)` by the worker; `Recalled (f)` by the pool |
//! | `Running (i)` | the worker runs item `i`; those before are done, those behind have not begun | `Running (i + 1)`, `Done (i)` by the worker; `Recalled (i)` by the pool |
//! | `Recalled (i)` | the items behind `i` are the pool's again, and so is `i` if it was `Queued` before | `Done (i)` by the worker; `Queued` by the pool, with the next generation |
//! | `Done (i)` | the worker has run `i`, the last | `Queued` by the pool, with the next generation |
//!
//! The generation counts the uses of a slot. A worker that comes to an entry which was taken back finds another
//! generation or another state, so its swap fails and it goes on to the next entry.
//!
//! The pool never believes this memory. It knows the state of each entry itself; what it reads here is only how far the
//! worker is, checked against the entry's bounds.

use crate::sync::{AtomicU64, Ordering};

/// How many entries may be open at once in one worker.
pub(crate) const SLOTS: usize = 1024;

/// The most items that an entry can have: an item's number has 24 bits.
pub(crate) const MAX_ITEMS: u32 = (1 << 24) - 1;

const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RECALLED: u8 = 3;
const DONE: u8 = 4;

/// One word of the table: generation 32, item 24, state 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    fn new(generation: u32, item: u32, state: u8) -> Word {
        Word(u64::from(generation) << 32 | u64::from(item & MAX_ITEMS) << 8 | u64::from(state))
    }

    pub(crate) fn is_queued(self, generation: u32, item: u32) -> bool {
        self == Word::new(generation, item, QUEUED)
    }

    /// The item that the worker is at, if it says that it runs one of this generation.
    pub(crate) fn running(self, generation: u32) -> Option<u32> {
        let item = (self.0 >> 8) as u32 & MAX_ITEMS;
        (self == Word::new(generation, item, RUNNING)).then_some(item)
    }

    /// The item that the worker is at, if it says that it runs one of this generation, or did when the items behind it
    /// were taken back.
    pub(crate) fn at(self, generation: u32) -> Option<u32> {
        let item = (self.0 >> 8) as u32 & MAX_ITEMS;
        let recalled = self == Word::new(generation, item, RECALLED);
        self.running(generation).or(recalled.then_some(item))
    }
}

/// What became of an entry that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recall {
    /// None of its items will run.
    Whole,
    /// The worker runs this item; those behind it will not run.
    Behind(u32),
    /// The worker is at the last item, or what lies here makes no sense.
    Nothing,
}

/// A table over words that worker and pool share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<'a>(pub(crate) &'a [AtomicU64]);

impl Slots<'_> {
    // ------------------------------------------------------------ the pool's side

    /// Opens an entry whose first item is `item`, before it is written into the ring.
    pub(crate) fn queue(self, slot: u16, generation: u32, item: u32) {
        // Release: the ring's own commit orders it for the worker; this keeps the order if the ring's ever changes.
        self.word(slot).store(Word::new(generation, item, QUEUED).0, Ordering::Release);
    }

    /// Takes back what has not begun of an entry with items from `first` to before `end`.
    pub(crate) fn recall(self, slot: u16, generation: u32, first: u32, end: u32) -> Recall {
        let word = self.word(slot);
        let mut seen = Word::new(generation, first, QUEUED);
        loop {
            let running = seen.running(generation);
            let is_last = running.is_some_and(|item| item + 1 >= end);
            if is_last || (!seen.is_queued(generation, first) && running.is_none()) {
                return Recall::Nothing;
            }
            let item = running.unwrap_or(first);
            let recalled = Word::new(generation, item, RECALLED).0;
            // The worker moves on at most as often as there are items, so this ends.
            match word.compare_exchange(seen.0, recalled, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return running.map_or(Recall::Whole, Recall::Behind),
                Err(now) => seen = Word(now),
            }
        }
    }

    /// What the worker says. It may be anything.
    pub(crate) fn look(self, slot: u16) -> Word {
        Word(self.word(slot).load(Ordering::Acquire))
    }

    // ------------------------------------------------------------ the worker's side

    /// Claims an entry's first item; `false`: it was taken back.
    pub(crate) fn begin(self, slot: u16, generation: u32, item: u32) -> bool {
        self.swap(slot, Word::new(generation, item, QUEUED), Word::new(generation, item, RUNNING))
    }

    /// Claims the next item after `item`; `false`: it and those behind it were taken back.
    pub(crate) fn advance(self, slot: u16, generation: u32, item: u32) -> bool {
        self.swap(slot, Word::new(generation, item, RUNNING), Word::new(generation, item + 1, RUNNING))
    }

    /// The last item was run. To be called before its result is committed: after that the slot is the pool's, and a
    /// plain store could hit its next entry.
    pub(crate) fn done(self, slot: u16, generation: u32, item: u32) {
        self.word(slot).store(Word::new(generation, item, DONE).0, Ordering::Release);
    }

    fn swap(self, slot: u16, from: Word, to: Word) -> bool {
        self.word(slot).compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn word(&self, slot: u16) -> &AtomicU64 {
        // The slot's number may come from the other side.
        &self.0[usize::from(slot) % self.0.len()]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn table() -> Vec<AtomicU64> {
        (0..4).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn smoke() {
        let words = table();
        let slots = Slots(&words);
        slots.queue(1, 7, 0);
        assert!(slots.begin(1, 7, 0));
        assert_eq!(slots.look(1).running(7), Some(0));
        assert!(slots.advance(1, 7, 0));
        assert_eq!(slots.recall(1, 7, 0, 3), Recall::Behind(1));
        assert!(!slots.advance(1, 7, 1));
    }

    #[test]
    fn an_entry_that_was_taken_back_does_not_begin() {
        let words = table();
        let slots = Slots(&words);
        slots.queue(0, 1, 5);
        assert_eq!(slots.recall(0, 1, 5, 6), Recall::Whole);
        assert!(!slots.begin(0, 1, 5));
        // The slot's next use does not let the old entry begin either.
        slots.queue(0, 2, 5);
        assert!(!slots.begin(0, 1, 5));
        assert!(slots.begin(0, 2, 5));
    }

    #[test]
    fn an_entry_that_was_run_is_not_taken_back() {
        let words = table();
        let slots = Slots(&words);
        slots.queue(0, 1, 0);
        assert!(slots.begin(0, 1, 0));
        slots.done(0, 1, 0);
        assert_eq!(slots.recall(0, 1, 0, 1), Recall::Nothing);
        // Nor is nonsense.
        words[0].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(slots.recall(0, 1, 0, 1), Recall::Nothing);
        assert_eq!(slots.look(0).running(1), None);
    }
}

/// The races, on all interleavings: `RUSTFLAGS="--cfg loom" cargo test -p proc-pool --lib --release`.
#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    type Counts = Arc<Vec<AtomicUsize>>;

    /// The worker's loop over one entry.
    fn work(slots: Slots<'_>, generation: u32, items: u32, ran: &Counts) {
        if !slots.begin(0, generation, 0) {
            return;
        }
        for item in 0..items {
            ran[item as usize].fetch_add(1, Ordering::Relaxed);
            if item + 1 == items {
                slots.done(0, generation, item);
            } else if !slots.advance(0, generation, item) {
                return;
            }
        }
    }

    fn counts(n: u32) -> Counts {
        Arc::new((0..n).map(|_| AtomicUsize::new(0)).collect())
    }

    #[test]
    fn every_item_is_run_or_taken_back_and_never_both() {
        loom::model(|| {
            const ITEMS: u32 = 3;
            let words = Arc::new(vec![AtomicU64::new(0)]);
            let ran = counts(ITEMS);
            Slots(&words).queue(0, 1, 0);
            let worker = {
                let (words, ran) = (words.clone(), ran.clone());
                thread::spawn(move || work(Slots(&words), 1, ITEMS, &ran))
            };
            let taken = match Slots(&words).recall(0, 1, 0, ITEMS) {
                Recall::Whole => 0..ITEMS,
                Recall::Behind(item) => item + 1..ITEMS,
                Recall::Nothing => 0..0,
            };
            worker.join().unwrap();
            for item in 0..ITEMS {
                let ran = ran[item as usize].load(Ordering::Relaxed);
                assert_eq!(ran + usize::from(taken.contains(&item)), 1, "item {item}");
            }
        });
    }

    #[test]
    fn a_slot_that_is_used_again_keeps_the_old_entry_out() {
        loom::model(|| {
            let words = Arc::new(vec![AtomicU64::new(0)]);
            let (old, new) = (counts(2), counts(2));
            Slots(&words).queue(0, 1, 0);
            let worker = {
                let (words, old, new) = (words.clone(), old.clone(), new.clone());
                thread::spawn(move || {
                    work(Slots(&words), 1, 2, &old);
                    work(Slots(&words), 2, 2, &new);
                })
            };
            let whole = Slots(&words).recall(0, 1, 0, 2) == Recall::Whole;
            if whole {
                // The pool uses a slot again at once when nothing of the entry has begun.
                Slots(&words).queue(0, 2, 0);
            }
            worker.join().unwrap();
            let count = |of: &Counts| of.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>();
            if whole {
                assert_eq!(count(&old), 0);
            }
            assert!(count(&new) <= 2);
        });
    }
}
