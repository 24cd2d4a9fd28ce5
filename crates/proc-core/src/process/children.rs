//! Who is alive, and who is left over: the processes that this one has started.

use super::handle::{Inner, ProcessHandle};
use crate::per_process::PerProcess;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Every process that was started here and is not known to have been reaped. The list keeps a dropped handle's process
/// until it has ended, so that it can be reaped then.
static CHILDREN: PerProcess<Mutex<Vec<Arc<Inner>>>> = PerProcess::new(Mutex::default);

/// Enters a new process, and reaps orphans: processes that have ended and whose handles were dropped. It is our
/// substitute for a SIGCHLD handler, which belongs to the program.
pub(crate) fn adopt(inner: &Arc<Inner>) {
    let mut children = children();
    let done = sweep(&mut children);
    children.push(inner.clone());
    drop(children);
    drop(done);
}

/// Takes out a process that has been reaped.
pub(crate) fn forget(inner: &Arc<Inner>) {
    children().retain(|other| !Arc::ptr_eq(other, inner));
}

/// The processes that this one has started and that have not ended, in the order of their starts. Reaps those whose
/// handles were dropped and that have ended.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use proc_core::{Process, active_children};
///
/// proc_core::init();
/// let p = Process::spawn(|()| std::thread::sleep(std::time::Duration::from_secs(60)), ())?;
/// assert!(active_children().contains(&p.handle()));
/// for child in active_children() {
///     child.kill()?;
///     child.wait()?;
/// }
/// assert!(active_children().is_empty());
/// # Ok(())
/// # }
/// ```
pub fn active_children() -> Vec<ProcessHandle> {
    let (done, alive) = {
        let mut children = children();
        (sweep(&mut children), children.clone())
    };
    drop(done);
    alive.into_iter().map(ProcessHandle::from_inner).filter(ProcessHandle::is_alive).collect()
}

/// Takes out the processes that have ended and that nobody has a handle of, and reaps them. It waits for nothing; their
/// descriptors are closed by the caller, who drops them when others may use the list again.
fn sweep(children: &mut Vec<Arc<Inner>>) -> Vec<Arc<Inner>> {
    // Those with a handle left are its business; once it is gone the list is the last owner.
    let is_orphan = |inner: &Arc<Inner>| Arc::strong_count(inner) == 1 && inner.is_done();
    if !children.iter().any(is_orphan) {
        return Vec::new();
    }
    let (done, kept) = std::mem::take(children).into_iter().partition(is_orphan);
    *children = kept;
    done
}

fn children() -> MutexGuard<'static, Vec<Arc<Inner>>> {
    CHILDREN.get().lock().unwrap_or_else(PoisonError::into_inner)
}
