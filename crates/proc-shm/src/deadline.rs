//! Durations as instants.

use std::time::{Duration, Instant};

/// The instant in `duration`; `None`, which is never, if the clock does not go so far (`Duration::MAX`).
#[inline]
pub(crate) fn after(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

/// How long beyond its own limit somebody waits for a section, a few instructions of somebody else: who is not out of it by
/// then is stopped, and may be for ever. A limit of zero is not to fail because another CPU is just in there.
const MOMENT: Duration = Duration::from_millis(20);

/// When somebody gives up to enter a section whose own limit is `deadline`.
#[inline]
pub(crate) fn with_grace(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| {
        let late = deadline.max(Instant::now());
        late.checked_add(MOMENT).unwrap_or(late)
    })
}

/// Lengths of the sleeps of somebody who also has to look whether others live: short ones first, so that a death is seen
/// soon after the wait began, and a quarter of a second for those who wait for long.
pub(crate) struct Slices(Duration);

impl Slices {
    const LONGEST: Duration = Duration::from_millis(250);

    pub(crate) fn new() -> Slices {
        Slices(Duration::from_millis(8))
    }

    /// The next sleep, or `None` if the time is up.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Option<Duration> {
        self.0 = (self.0 * 2).min(Slices::LONGEST);
        let Some(deadline) = deadline else { return Some(self.0) };
        let left = deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(self.0))
    }
}
