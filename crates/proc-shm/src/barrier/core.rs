//! What lies in the region of a barrier.

use std::time::Instant;

use crate::{
    deadline,
    participants::{self, Identity, Seat},
    raw::{Bell, Section, SectionGuard},
    sync::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

/// All is changed in the section, but for `broken`, which whoever can't enter it in time sets without.
///
/// | field | meaning |
/// |---|---|
/// | `parties` | how many must come; fixed |
/// | `generation` | how often the barrier has opened or was broken; who waits sleeps on it |
/// | `failed` | bit `g % 64`: generation `g` ended by breaking |
/// | `broken` | 1 from a break to a reset |
/// | a seat's count | `generation << 32 \| arrived`: threads of that process that have come, 0 if the generation is another |
///
/// An arrival is one store, and so is the opening: it changes the generation, by which all counts are 0.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(super) struct Core {
    pub(super) section: Section,
    pub(super) generation: Bell,
    pub(super) broken: AtomicU32,
    pub(super) parties: AtomicU32,
    failed: AtomicU64,
    pub(super) seats: [Seat; participants::MOST],
}

impl Core {
    /// Enters the section. `None`: the time is up, and somebody was inside for all of it.
    pub(super) fn enter(&self, deadline: Option<Instant>) -> Option<SectionGuard<'_>> {
        self.section.lock_deadline(deadline::with_grace(deadline))
    }

    /// Threads that have come in `generation`. In the section, or out of date.
    pub(super) fn arrived(&self, generation: u32) -> u32 {
        let taken = self.seats.iter().filter(|seat| seat.is_taken());
        taken.map(|seat| arrived_of(seat, generation)).fold(0, u32::saturating_add)
    }

    /// One more thread of the process of `seat` has come; says how many have. In the section.
    pub(super) fn arrive(&self, seat: &Seat, generation: u32) -> u32 {
        let ours = arrived_of(seat, generation) + 1;
        seat.count.store(u64::from(generation) << 32 | u64::from(ours), Relaxed);
        ours
    }

    /// Whether one that has come in `generation` is dead, `who` aside, whose process asks. It asks the system for each
    /// other process: not for the inside of the section. One whose id was given to a new process since it came is missed,
    /// and found by those who sleep.
    pub(super) fn lost_one_in(&self, generation: u32, who: Identity) -> bool {
        let mut others = self.seats.iter().filter(|seat| seat.is_taken() && !seat.is_of(who));
        others.any(|seat| arrived_of(seat, generation) != 0 && seat.has_just_died())
    }

    /// Whether one that was ever here is dead, and had not dropped its handle.
    pub(super) fn lost_one(&self) -> bool {
        self.seats.iter().any(|seat| seat.dead().is_some())
    }

    /// Those, by their seats.
    pub(super) fn lost(&self) -> Vec<(&Seat, Identity)> {
        self.seats.iter().filter_map(|seat| seat.dead().map(|who| (seat, who))).collect()
    }

    /// Forgets them. In the section.
    pub(super) fn forget(lost: &[(&Seat, Identity)]) {
        for (seat, who) in lost {
            if seat.is_of(*who) {
                seat.free();
            }
        }
    }

    /// Ends `generation`. In the section.
    pub(super) fn end(&self, generation: u32, failed: bool) {
        let bit = 1 << (generation % 64);
        let others = self.failed.load(Relaxed) & !bit;
        self.failed.store(if failed { others | bit } else { others }, Relaxed);
        self.generation.ring();
    }

    /// Breaks the barrier, if `generation` is still the present one. Who has a time limit does not wait much longer than
    /// that.
    pub(super) fn break_in(&self, generation: u32, deadline: Option<Instant>) {
        match self.enter(deadline) {
            Some(_inside) => {
                if self.generation.hear() != generation {
                    return;
                }
                self.broken.store(1, SeqCst);
                self.end(generation, true);
            }
            // All who sleep look at it, and so does the last to come, before it opens.
            None => self.broken.store(1, SeqCst),
        }
        self.generation.wake_all();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(SeqCst) != 0
    }

    /// Whether a generation that is over ended by breaking.
    pub(super) fn failed_in(&self, generation: u32) -> bool {
        self.failed.load(SeqCst) >> (generation % 64) & 1 != 0
    }
}

fn arrived_of(seat: &Seat, generation: u32) -> u32 {
    let count = seat.count.load(Relaxed);
    if (count >> 32) as u32 == generation { count as u32 } else { 0 }
}
