//! Which process this is, counted in forks.

use std::{
    error::Error,
    fmt, io,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use super::table;
use crate::sys::atfork;

/// Forks between the process that started and this one.
///
/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | nothing here was forked, or only before the first handle | |
/// | n | n forks lie between | the fork hook, in the child, while it has one thread |
///
/// All accesses are relaxed: only a fork changes it, and a fork orders everything.
static GENERATION: AtomicU32 = AtomicU32::new(0);

static HOOK: Once = Once::new();

/// A mark of the process in which it was taken, carried by handles that a forked child must not use.
///
/// A check is one load of a counter that only a fork changes; a process id would cost a system call, and ids are used
/// again.
///
/// # Examples
///
/// ```
/// use proc_core::inherit::Lineage;
///
/// struct Handle {
///     made_in: Lineage,
/// }
///
/// let handle = Handle { made_in: Lineage::current() };
/// assert!(handle.made_in.is_current());
/// handle.made_in.check()?;
/// # Ok::<(), proc_core::inherit::NotInherited>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage(u32);

impl Lineage {
    /// The mark of this process.
    ///
    /// # Panics
    ///
    /// The first call of a process, when there is not even memory to register the [fork hook](super#hidden-state).
    #[inline]
    pub fn current() -> Lineage {
        HOOK.call_once(|| {
            if let Err(e) = atfork::in_children(forked) {
                panic!("cannot register a handler for forks: {e}");
            }
        });
        Lineage(GENERATION.load(Relaxed))
    }

    /// Whether this is the process in which the mark was taken, and not a child forked from it since.
    #[inline]
    pub fn is_current(self) -> bool {
        GENERATION.load(Relaxed) == self.0
    }

    /// [`is_current`](Lineage::is_current) as a result.
    ///
    /// # Errors
    ///
    /// This is a forked child of the process in which the mark was taken.
    #[inline]
    pub fn check(self) -> Result<(), NotInherited> {
        if self.is_current() { Ok(()) } else { Err(NotInherited(())) }
    }
}

/// A handle was used in a forked child of the process it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "functions", derive(serde::Serialize, serde::Deserialize))]
pub struct NotInherited(());

impl fmt::Display for NotInherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the handle belongs to the process from which this one was forked, and was not handed to it",
        )
    }
}

impl fmt::Debug for NotInherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for NotInherited {}

impl From<NotInherited> for io::Error {
    fn from(error: NotInherited) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, error)
    }
}

/// The fork hook: runs in the child, on its only thread, before `fork` returns there. Other threads of the parent may
/// have been anywhere, so nothing here waits, allocates or frees.
extern "C" fn forked() {
    table::close_all();
    GENERATION.store(GENERATION.load(Relaxed).wrapping_add(1), Relaxed);
}
