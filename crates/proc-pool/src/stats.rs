//! What the workers of a pool have done and do.

/// What the workers of a pool have done and do, at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that no worker has yet.
    pub queued: usize,
    /// Tasks that lie in workers: those that run and those that were written ahead.
    pub with_workers: usize,
    /// The workers, by number.
    pub workers: Vec<WorkerStats>,
}

/// One worker, and those that were in its place before it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process id; `None` while there is none.
    pub pid: Option<u32>,
    /// Tasks that were done in this place.
    pub tasks: u64,
    /// Worker processes that were started in this place.
    pub starts: u64,
    /// Worker processes that have ended in this place, in whatever way.
    pub ends: u64,
    /// Whether it has something to do.
    pub is_busy: bool,
    /// Its resident memory in bytes, if the system says.
    pub resident_memory: Option<u64>,
}

impl WorkerStats {
    pub(crate) fn new(pid: Option<u32>, tasks: u64, starts: u64, ends: u64, is_busy: bool) -> WorkerStats {
        WorkerStats { pid, tasks, starts, ends, is_busy, resident_memory: None }
    }
}
