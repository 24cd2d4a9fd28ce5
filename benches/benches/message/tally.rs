//! What was received, as the sender sees it.

use benches::{Routine, shared, timed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many messages each receiver has taken, each on a line of its own so that counting costs next to nothing; and
/// what other senders are to send.
pub(crate) struct Tally {
    taken: [Line; 2],
    /// How many messages a second sender has been asked for, in all.
    asked: Line,
}

#[repr(align(128))]
struct Line(AtomicU64);

impl Tally {
    pub(crate) fn new() -> &'static Self {
        // SAFETY: atomics, for which zero is valid.
        unsafe { shared() }
    }

    /// A receiver counts a message; each has a number of its own.
    pub(crate) fn count(&self, receiver: usize) {
        let taken = &self.taken[receiver].0;
        taken.store(taken.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn total(&self) -> u64 {
        self.taken.iter().map(|line| line.0.load(Ordering::Acquire)).sum()
    }

    /// Waits until all of these were taken. It looks rarely: the receivers need the line, and on one CPU also the CPU.
    fn wait(&self, total: u64) {
        while self.total() < total {
            for _ in 0..100 {
                std::hint::spin_loop();
            }
            std::thread::yield_now();
        }
        assert_eq!(self.total(), total, "a message came twice");
    }

    /// A second sender: sends what it is asked for, until it is killed.
    pub(crate) fn send_asked(&self, mut send: impl FnMut()) {
        let mut sent = 0;
        loop {
            let asked = self.asked.0.load(Ordering::Acquire);
            if sent == asked {
                std::thread::sleep(Duration::from_micros(20));
            }
            while sent < asked {
                send();
                sent += 1;
            }
        }
    }

    /// The routine of a sender: the time until all that it sent was taken. `keep` lives as long: the peers.
    pub(crate) fn routine<K: 'static>(&'static self, keep: K, send: impl FnMut() + 'static) -> Routine {
        self.routine_of(1, keep, send)
    }

    /// The same, where `senders - 1` others send their parts.
    pub(crate) fn routine_of<K: 'static>(
        &'static self,
        senders: u64,
        keep: K,
        mut send: impl FnMut() + 'static,
    ) -> Routine {
        let mut total = 0;
        Box::new(move |n| {
            let _peers = &keep;
            total += n;
            timed(|| {
                let others = n / senders * (senders - 1);
                self.asked.0.fetch_add(others, Ordering::Release);
                for _ in 0..n - others {
                    send();
                }
                self.wait(total);
            })
        })
    }
}
