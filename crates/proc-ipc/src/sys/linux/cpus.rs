//! On how many CPUs this thread may run, and on which it does.

/// Whether this thread may run on more than one CPU: 100 ns, so ask it before a sleep and not in a loop. A program that
/// pins its threads after the first message is seen at the next sleep.
pub(crate) fn several() -> bool {
    rustix::thread::sched_getaffinity(None).map_or(true, |set| set.count() > 1)
}

/// The CPU that this thread is on; the next moment it may be on another, unless it is pinned.
pub(crate) fn current() -> usize {
    rustix::thread::sched_getcpu()
}
