//! Where the processes of a measurement run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// Where the two sides of a measurement run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// Wherever the kernel puts them.
    Free,
    /// Each on a CPU of its own.
    Apart,
    /// All on one CPU.
    OneCpu,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 3] = [Place::Free, Place::Apart, Place::OneCpu];

    /// Its word in an identifier.
    pub fn key(self) -> &'static str {
        match self {
            Place::Free => "free",
            Place::Apart => "apart",
            Place::OneCpu => "one-cpu",
        }
    }

    /// Its name on the page.
    pub fn name(self) -> &'static str {
        match self {
            Place::Free => "free",
            Place::Apart => "two CPUs apart",
            Place::OneCpu => "one CPU",
        }
    }
}

/// A place on this machine: which CPU each side is bound to. It crosses to children, which bind themselves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The place.
    pub place: Place,
    /// Whether there is time for what takes long.
    pub long: bool,
    caller: Option<usize>,
    peer: Option<usize>,
}

impl Setting {
    /// Chooses CPUs among those that this process may use; `None` if there are not enough.
    pub fn new(place: Place, long: bool) -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let (caller, peer) = match place {
            Place::Free => (None, None),
            Place::Apart => (Some(cpus.next()?), Some(cpus.next()?)),
            Place::OneCpu => {
                let cpu = cpus.next()?;
                (Some(cpu), Some(cpu))
            }
        };
        Some(Setting { place, long, caller, peer })
    }

    /// The same place for a peer that belongs on the caller's side, such as a second sender.
    pub fn beside_caller(self) -> Self {
        Setting { peer: self.caller, ..self }
    }

    /// Binds the calling thread, and what it starts, to the caller's side.
    pub fn bind_caller(&self) {
        bind(self.caller);
    }

    /// Binds the calling thread to the peer's side.
    pub fn bind_peer(&self) {
        bind(self.peer);
    }

    /// The peer's CPU as an argument for another program; -1 for any.
    pub fn peer_cpu(&self) -> String {
        self.peer.map_or_else(|| "-1".into(), |cpu| cpu.to_string())
    }
}

fn bind(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        if let Err(e) = sched_setaffinity(None, &set) {
            panic!("a CPU that this process may use can't be bound to: {e}");
        }
    }
}
