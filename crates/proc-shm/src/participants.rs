//! The processes that take part in an object, so that those that died can be told from those that live.
//!
//! A process is named by its id and the time of its start: an id alone can come again.

use std::io;
#[cfg(not(loom))]
use std::sync::Mutex;

#[cfg(not(loom))]
use proc_core::inherit::Lineage;

use crate::sync::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
#[cfg(loom)]
use crate::sys::robust;
#[cfg(not(loom))]
use crate::sys::tasks::{self, Look};

/// How many processes can take part in one object.
pub(crate) const MOST: usize = if cfg!(loom) { 3 } else { 512 };

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pid: u32,
    started: u64,
}

/// In a model each thread is a process.
#[cfg(loom)]
impl Identity {
    pub(crate) fn own() -> io::Result<Identity> {
        Ok(Identity { pid: robust::me().tid(), started: 0 })
    }

    fn is_gone(self) -> bool {
        robust::has_ended(self.pid)
    }

    fn has_just_gone(self) -> bool {
        self.is_gone()
    }
}

#[cfg(not(loom))]
impl Identity {
    /// This process. It is looked up once.
    pub(crate) fn own() -> io::Result<Identity> {
        static OWN: Mutex<Option<(Lineage, Identity)>> = Mutex::new(None);
        let look = || Ok(Identity { pid: std::process::id(), started: tasks::own_start()? });
        // After a fork in the middle of this the child finds it locked for ever, and looks each time.
        let Ok(mut own) = OWN.try_lock() else { return look() };
        match *own {
            Some((lineage, identity)) if lineage.is_current() => Ok(identity),
            _ => {
                let identity = look()?;
                *own = Some((Lineage::current(), identity));
                Ok(identity)
            }
        }
    }

    /// Whether it has ended, with all its threads. One that can't be looked at counts as living, as do one that replaced its
    /// program and one of which only the first thread has ended.
    fn is_gone(self) -> bool {
        match tasks::look(self.pid) {
            Look::Gone => true,
            Look::Hidden => false,
            Look::There(task) => task.process_ended || task.started != self.started,
        }
    }

    /// [`is_gone`](Identity::is_gone) of one that was there a moment ago, so that its id is hardly another's by now.
    fn has_just_gone(self) -> bool {
        tasks::process_has_ended(self.pid).unwrap_or_else(|| self.is_gone())
    }
}

/// The place of one process. All changes are made in the section of the object around it, by any process.
///
/// | `pid` | meaning | left by |
/// |---|---|---|
/// | 0 | nobody's; the rest means nothing | [`claim`](Seat::claim) |
/// | other | that of the process with this id and this start | [`free`](Seat::free) |
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Seat {
    pid: AtomicU32,
    _pad: AtomicU32,
    started: AtomicU64,
    /// What the object counts of the process.
    pub(crate) count: AtomicU64,
    _reserved: AtomicU64,
}

impl Seat {
    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.pid.load(Acquire) != 0
    }

    #[inline]
    pub(crate) fn is_of(&self, who: Identity) -> bool {
        self.pid.load(Acquire) == who.pid && self.started.load(Relaxed) == who.started
    }

    /// The name is written last, so that a death half-way leaves nobody's seat.
    pub(crate) fn claim(&self, who: Identity) {
        self.count.store(0, Relaxed);
        self.started.store(who.started, Relaxed);
        self.pid.store(who.pid, Release);
    }

    pub(crate) fn free(&self) {
        self.pid.store(0, Release);
    }

    /// Whose seat it is, if that process has ended. It asks the system, and is not for the inside of a section.
    pub(crate) fn dead(&self) -> Option<Identity> {
        let who = Identity { pid: self.pid.load(Acquire), started: self.started.load(Relaxed) };
        (who.pid != 0 && who.is_gone()).then_some(who)
    }

    /// Whether whose seat it is has ended, and was there a moment ago. It asks the system, in a microsecond.
    pub(crate) fn has_just_died(&self) -> bool {
        let who = Identity { pid: self.pid.load(Acquire), started: self.started.load(Relaxed) };
        who.pid != 0 && who.has_just_gone()
    }
}

/// A seat for `who`: one that is free, if `hint` is not it. `None`: all are taken.
pub(crate) fn seat_for(seats: &[Seat], who: Identity, hint: Option<usize>) -> Option<usize> {
    let free_or_ours = |seat: &Seat| !seat.is_taken() || seat.is_of(who);
    if let Some(hint) = hint.filter(|hint| seats.get(*hint).is_some_and(free_or_ours)) {
        return Some(hint);
    }
    seats.iter().position(|seat| !seat.is_taken())
}
