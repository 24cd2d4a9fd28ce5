//! The page on which the actors of a trial write what they did.

use crate::sys;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Actors of one trial, at most.
pub(crate) const ACTORS: usize = 12;
const TEXT: usize = 300;

/// How often who waits for something on the board looks.
const MOMENT: Duration = Duration::from_micros(60);

/// Memory that all actors share, beside the object under test. It has no locks: each word is an atomic.
///
/// | word | value | written by |
/// |---|---|---|
/// | killed | 0, 1: the victim is dead | the lab |
/// | counters | what a scenario counts | the actors |
/// | words | memory of the small protocols under `mutants` | the actors |
/// | texts | why an actor failed | that actor |
#[derive(Debug)]
pub(crate) struct Board {
    killed: AtomicU32,
    finished: AtomicU32,
    counters: [AtomicU64; 16],
    words: [AtomicU32; 64],
    texts: [Text; ACTORS],
}

#[derive(Debug)]
struct Text {
    length: AtomicU32,
    bytes: [AtomicU8; TEXT],
}

impl Board {
    /// The board of this lab. One is made, and used for every trial.
    pub(crate) fn new() -> io::Result<&'static Board> {
        let page = sys::shared_pages(size_of::<Board>())?;
        // SAFETY: zeroed, aligned to a page, never unmapped, and atomics only.
        Ok(unsafe { &*page.cast::<Board>() })
    }

    /// Wipes it.
    pub(crate) fn reset(&self) {
        self.killed.store(0, SeqCst);
        self.finished.store(0, SeqCst);
        self.counters.iter().for_each(|c| c.store(0, SeqCst));
        self.words.iter().for_each(|w| w.store(0, SeqCst));
        self.texts.iter().for_each(|t| t.length.store(0, SeqCst));
    }

    /// Adds to one of 16 counters; says what it was.
    pub(crate) fn add(&self, n: usize, more: u64) -> u64 {
        self.counters[n].fetch_add(more, SeqCst)
    }

    /// Sleeps until a counter has this much.
    pub(crate) fn await_count(&self, n: usize, least: u64) {
        while self.count(n) < least {
            std::thread::sleep(MOMENT);
        }
    }

    /// What a counter has.
    pub(crate) fn count(&self, n: usize) -> u64 {
        self.counters[n].load(SeqCst)
    }

    /// One of 64 words that a small protocol may use.
    pub(crate) fn word(&self, n: usize) -> &AtomicU32 {
        &self.words[n]
    }

    /// Whether the victim came to the end of its operation before it was killed.
    pub(crate) fn finished(&self) -> bool {
        self.finished.load(SeqCst) == 1
    }

    /// Sleeps until the victim is dead.
    pub(crate) fn await_death(&self) {
        while self.killed.load(SeqCst) == 0 {
            std::thread::sleep(MOMENT);
        }
    }

    pub(crate) fn tell_death(&self) {
        self.killed.store(1, SeqCst);
    }

    pub(crate) fn tell_finished(&self) {
        self.finished.store(1, SeqCst);
    }

    pub(crate) fn write(&self, actor: usize, why: &str) {
        let text = &self.texts[actor];
        let bytes = &why.as_bytes()[..why.len().min(TEXT)];
        for (to, from) in text.bytes.iter().zip(bytes) {
            to.store(*from, SeqCst);
        }
        text.length.store(bytes.len() as u32, SeqCst);
    }

    pub(crate) fn read(&self, actor: usize) -> String {
        let text = &self.texts[actor];
        let length = (text.length.load(SeqCst) as usize).min(TEXT);
        let bytes: Vec<u8> = text.bytes[..length].iter().map(|b| b.load(SeqCst)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
