//! The kernel as a model checker sees it: sleeping on a word, and what is done when a thread ends.
//!
//! No sleep ends by itself here, so that a lost wake is a deadlock that loom reports and not a delay. But who sleeps in
//! slices, to see whether others live, looks once after each death.

pub(crate) mod futex {
    use std::{cell::Cell, time::Duration};

    use loom::sync::{Condvar, Mutex, atomic::Ordering::SeqCst};

    use crate::sync::{AtomicU32, fenced, step};

    struct Sleeper {
        word: usize,
        ticket: usize,
        woken: bool,
    }

    #[derive(Default)]
    struct Sleepers {
        deaths: usize,
        next: usize,
        all: Vec<Sleeper>,
    }

    loom::lazy_static! {
        static ref SLEEPERS: Mutex<Sleepers> = Mutex::new(Sleepers::default());
        static ref BELL: Condvar = Condvar::new();
    }

    loom::thread_local! {
        /// Deaths after which this thread has looked.
        static SEEN: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn wait(word: &AtomicU32, expected: u32, _: Option<Duration>) {
        wait_as(word, expected, false);
    }

    pub(crate) fn look_again(word: &AtomicU32, expected: u32, _: Duration) {
        wait_as(word, expected, true);
    }

    fn wait_as(word: &AtomicU32, expected: u32, slices: bool) {
        if step() {
            sleep(word, expected, slices);
            // A sleeper may die of the wake.
            step();
        }
    }

    /// Somebody has died.
    pub(super) fn tell_death() {
        if let Ok(mut sleepers) = SLEEPERS.lock() {
            sleepers.deaths += 1;
            BELL.notify_all();
        }
    }

    fn sleep(word: &AtomicU32, expected: u32, slices: bool) {
        let Ok(mut sleepers) = SLEEPERS.lock() else { return };
        if fenced(SeqCst, || word.kernel().load(SeqCst)) != expected {
            return;
        }
        let ticket = sleepers.next;
        sleepers.next += 1;
        sleepers.all.push(Sleeper { word: std::ptr::from_ref(word) as usize, ticket, woken: false });
        loop {
            let late = slices && SEEN.with(|seen| seen.replace(sleepers.deaths)) != sleepers.deaths;
            if let Some(at) = sleepers.all.iter().position(|s| s.ticket == ticket && (s.woken || late)) {
                sleepers.all.remove(at);
                return;
            }
            let Ok(again) = BELL.wait(sleepers) else { return };
            sleepers = again;
        }
    }

    pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
        if step() { wake_now(word, count) } else { 0 }
    }

    pub(super) fn wake_now(word: &AtomicU32, count: u32) -> usize {
        let Ok(mut sleepers) = SLEEPERS.lock() else { return 0 };
        let word = std::ptr::from_ref(word) as usize;
        let asleep = sleepers.all.iter_mut().filter(|s| s.word == word && !s.woken);
        let mut woken = 0;
        for sleeper in asleep.take(count as usize) {
            sleeper.woken = true;
            woken += 1;
        }
        if woken > 0 {
            BELL.notify_all();
        }
        woken
    }

    pub(crate) fn nap(_: Duration) {
        loom::thread::yield_now();
    }
}

pub(crate) mod robust {
    use std::{cell::RefCell, ptr};

    use loom::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::futex;
    use crate::sync::{AtomicU32, gone};

    #[derive(Clone, Copy)]
    pub(crate) struct Me {
        tid: u32,
    }

    #[derive(Default)]
    struct Robust {
        pending: Option<*const AtomicU32>,
        list: Vec<*const AtomicU32>,
    }

    loom::lazy_static! {
        static ref NEXT: AtomicUsize = AtomicUsize::new(1);
        static ref ENDED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    }

    /// Whether the thread with this id has ended.
    pub(crate) fn has_ended(tid: u32) -> bool {
        ENDED.lock().is_ok_and(|ended| ended.contains(&tid))
    }

    loom::thread_local! {
        static TID: u32 = NEXT.fetch_add(1, SeqCst) as u32;
        static ROBUST: RefCell<Robust> = RefCell::new(Robust::default());
    }

    pub(crate) fn me() -> Me {
        Me { tid: TID.with(|tid| *tid) }
    }

    pub(crate) fn known() -> Me {
        me()
    }

    impl Me {
        pub(crate) fn tid(self) -> u32 {
            self.tid
        }

        pub(crate) fn watch(self, word: &AtomicU32) {
            if !gone() {
                ROBUST.with(|r| r.borrow_mut().pending = Some(ptr::from_ref(word)));
            }
        }

        pub(crate) fn unwatch(self) {
            if !gone() {
                ROBUST.with(|r| r.borrow_mut().pending = None);
            }
        }

        pub(crate) fn is_watching(self) -> bool {
            ROBUST.with(|r| r.borrow().pending.is_some())
        }

        pub(crate) fn has_room(self) -> bool {
            true
        }

        /// # Safety
        ///
        /// As in the real one.
        pub(crate) unsafe fn link(self, word: &AtomicU32) {
            ROBUST.with(|r| r.borrow_mut().list.push(ptr::from_ref(word)));
        }

        /// # Safety
        ///
        /// As in the real one.
        pub(crate) unsafe fn unlink(self, word: &AtomicU32) {
            ROBUST.with(|r| r.borrow_mut().list.retain(|w| !ptr::eq(*w, word)));
        }
    }

    /// What the kernel does when the calling thread ends here and now.
    pub(crate) fn end_thread() {
        let (list, pending) = ROBUST.with(|r| {
            let mut robust = r.borrow_mut();
            (std::mem::take(&mut robust.list), robust.pending.take())
        });
        for word in list.iter().rev().filter(|word| Some(**word) != pending) {
            // SAFETY: models keep their locks longer than their threads.
            died(unsafe { &**word }, false);
        }
        if let Some(word) = pending {
            // SAFETY: as above.
            died(unsafe { &*word }, true);
        }
        if let Ok(mut ended) = ENDED.lock() {
            ended.push(me().tid());
        }
        futex::tell_death();
    }

    /// `handle_futex_death` of the kernel.
    fn died(word: &AtomicU32, pending: bool) {
        let word_now = word.kernel();
        let mut now = word_now.load(SeqCst);
        loop {
            if pending && now & 0x3fff_ffff == 0 {
                futex::wake_now(word, 1);
                return;
            }
            if now & 0x3fff_ffff != me().tid() {
                return;
            }
            let dead = (now & 0x8000_0000) | 0x4000_0000;
            match word_now.compare_exchange(now, dead, SeqCst, SeqCst) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        if now & 0x8000_0000 != 0 {
            futex::wake_now(word, 1);
        }
    }
}

/// Models give all room to the order of events, none to spinning.
pub(crate) mod cpus {
    pub(crate) fn several() -> bool {
        false
    }
}
