//! On how many CPUs this thread may run.

/// Whether this thread may run on more than one CPU: 100 ns, so ask it before a sleep and not in a loop. A program that
/// pins its threads after the first message is seen at the next sleep.
pub(crate) fn several() -> bool {
    rustix::thread::sched_getaffinity(None).map_or(true, |set| set.count() > 1)
}
