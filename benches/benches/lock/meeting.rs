//! Two sides that do the same work at the same time.

use benches::{Routine, shared};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Rounds that both sides begin together. Each word is the number of the last round.
///
/// | word | meaning | changed by |
/// |---|---|---|
/// | `called` | there is work; [`OVER`] at the end | caller |
/// | `ready` | the peer knows | peer |
/// | `begun` | both begin now | caller |
/// | `done` | the peer has done its part | peer |
///
/// `part` is how much the peer does, written before `called`.
#[derive(Default)]
pub(crate) struct Meeting {
    called: AtomicU64,
    part: AtomicU64,
    ready: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
}

const OVER: u64 = u64::MAX;

impl Meeting {
    pub(crate) fn new() -> &'static Self {
        // SAFETY: atomics, for which zero is valid.
        unsafe { shared() }
    }

    /// The peer's side: does its part of each round, until [`end`](Self::end).
    pub(crate) fn serve(&self, mut work: impl FnMut(u64)) {
        let mut round = 0;
        loop {
            round = wait(|| self.called.load(SeqCst), |called| called != round);
            if round == OVER {
                return;
            }
            self.ready.store(round, SeqCst);
            wait(|| self.begun.load(SeqCst), |begun| begun == round);
            work(self.part.load(SeqCst));
            self.done.store(round, SeqCst);
        }
    }

    /// Ends a peer that is a thread; a process is killed.
    #[cfg(feature = "rivals")]
    pub(crate) fn end(&self) {
        self.called.store(OVER, SeqCst);
    }

    /// The caller's side: `n` pieces of work, half of them done by the peer, until both are done.
    fn round(&self, n: u64, work: &mut dyn FnMut(u64)) -> Duration {
        let round = self.called.load(SeqCst) + 1;
        self.part.store(n / 2, SeqCst);
        self.called.store(round, SeqCst);
        wait(|| self.ready.load(SeqCst), |ready| ready == round);
        let start = Instant::now();
        self.begun.store(round, SeqCst);
        work(n - n / 2);
        wait(|| self.done.load(SeqCst), |done| done == round);
        start.elapsed()
    }

    /// The routine of the caller's side. `keep` lives as long: the peer.
    pub(crate) fn routine<K: 'static>(
        &'static self,
        keep: K,
        mut work: impl FnMut(u64) + 'static,
    ) -> Routine {
        Box::new(move |n| {
            let _peer = &keep;
            self.round(n, &mut work)
        })
    }
}

/// Spins, but lets the other side run if there is one CPU for both.
fn wait(load: impl Fn() -> u64, until: impl Fn(u64) -> bool) -> u64 {
    loop {
        for _ in 0..100 {
            let value = load();
            if until(value) {
                return value;
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
}
