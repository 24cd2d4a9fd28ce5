//! How bytes reach one worker and come back: a pair of rings and a table of slots, which only it and we map.

pub(crate) mod record;
pub(crate) mod slots;
mod starter;
mod table;

pub(crate) use starter::Starter;
pub(crate) use table::Table;

use crate::function::{Function, State};
use crate::worker::Boot;
use proc_core::{Process, ProcessBuilder, ProcessHandle, SpawnError};
use proc_ipc::ring::{self, SendError};
use record::{Head, PIECE};
use slots::Slots;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// One worker: its process, our sending end, and the table.
#[derive(Debug)]
pub(crate) struct Link {
    process: Process<()>,
    down: ring::Sender,
    table: Table,
    functions: HashSet<u32>,
    states: HashSet<u64>,
    /// What it is to forget and could not be told yet.
    owed: VecDeque<Forgotten>,
}

/// What a worker is to drop.
#[derive(Clone, Copy, Debug)]
enum Forgotten {
    Function(u32),
    State(u64),
}

/// Bytes of a ring: larger ones halve the throughput, as they leave the cache.
const RING: usize = 256 * 1024;

/// What became of an attempt to send.
#[derive(Debug)]
pub(crate) enum Sent {
    Yes,
    /// There is no room now.
    Full,
    /// The state was announced and follows in pieces.
    Partly(Arc<State>),
    /// It can't be sent at all: why.
    Refused(String),
}

/// The worker is gone, or will be: what it did to its memory makes no sense.
#[derive(Debug)]
pub(crate) struct Gone;

impl Link {
    /// Starts a worker, which then runs its initializer. The receiving end is for whoever collects.
    ///
    /// # Errors
    /// The system could not make the process or its memory.
    pub(crate) fn start(
        builder: ProcessBuilder,
        starter: &Starter,
        boot: impl FnOnce(ring::Duplex, Table) -> Boot,
    ) -> Result<(Link, ring::Receiver), StartError> {
        let (ours, theirs) = ring::pair(RING, RING).map_err(StartError::Io)?;
        let table = Table::new().map_err(StartError::Io)?;
        let boot = boot(theirs, table.share().map_err(StartError::Io)?);
        let process = starter.start(builder.daemon(true), boot).map_err(StartError::Spawn)?;
        let (down, up) = ours.split();
        let link = Link {
            process,
            down,
            table,
            functions: HashSet::new(),
            states: HashSet::new(),
            owed: VecDeque::new(),
        };
        Ok((link, up))
    }

    pub(crate) fn handle(&self) -> ProcessHandle {
        self.process.handle()
    }

    /// Asks what it runs to end.
    pub(crate) fn terminate(&self) {
        let _ = self.process.terminate();
    }

    /// Its resident memory in bytes, if the system says.
    pub(crate) fn resident_memory(&self) -> Option<u64> {
        resident_memory(self.process.id())
    }

    pub(crate) fn kill(&self) {
        let _ = self.process.kill();
    }

    pub(crate) fn slots(&self) -> Slots<'_> {
        self.table.slots()
    }

    /// Sends a record if there is room for it.
    #[inline]
    pub(crate) fn send(&mut self, head: Head, body: &[u8], fds: &[OwnedFd]) -> Result<Sent, Gone> {
        let parts = [body, &head.to_bytes(body)[..]];
        let sent = if fds.is_empty() {
            self.down.try_send(&parts)
        } else {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            self.down.try_send_with_fds(&parts, &fds)
        };
        match sent {
            Ok(()) => Ok(Sent::Yes),
            Err(SendError::Full) => Ok(Sent::Full),
            // What the kernel will not carry: too many descriptors under way, no memory.
            Err(e @ (SendError::TooLong | SendError::Io(_))) => Ok(Sent::Refused(e.to_string())),
            Err(_) => Err(Gone),
        }
    }

    /// Sends a function, and the state that goes with it, if the worker does not know them.
    #[inline]
    pub(crate) fn teach(&mut self, function: &Function) -> Result<Sent, Gone> {
        if self.functions.contains(&function.id) { Ok(Sent::Yes) } else { self.teach_new(function) }
    }

    /// Notes that the worker is to drop a state and its functions, if it has them; [`pay`](Self::pay) tells it.
    pub(crate) fn forget(&mut self, state: u64, functions: &[u32]) {
        for function in functions {
            if self.functions.remove(function) {
                self.owed.push_back(Forgotten::Function(*function));
            }
        }
        if self.states.remove(&state) {
            self.owed.push_back(Forgotten::State(state));
        }
    }

    #[inline]
    pub(crate) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Tells the worker what it is to forget, as far as there is room.
    pub(crate) fn pay(&mut self) -> Result<(), Gone> {
        while let Some(next) = self.owed.front().copied() {
            let sent = match next {
                Forgotten::Function(function) => {
                    self.send(Head { function, ..Head::of(record::FORGET) }, &[], &[])?
                }
                Forgotten::State(state) => {
                    self.send(Head { count: 1, ..Head::of(record::FORGET) }, &state.to_ne_bytes(), &[])?
                }
            };
            if !matches!(sent, Sent::Yes) {
                break;
            }
            self.owed.pop_front();
        }
        Ok(())
    }

    #[cold]
    fn teach_new(&mut self, function: &Function) -> Result<Sent, Gone> {
        if let Some(state) = &function.state {
            if !self.states.contains(&state.id) {
                let recipe = match &state.recipe {
                    Ok(recipe) => recipe,
                    Err(why) => return Ok(Sent::Refused(why.clone())),
                };
                let long = recipe.bytes.len() > PIECE;
                let head = Head { count: u32::from(long), ..Head::of(record::STATE) };
                let length = (recipe.bytes.len() as u64).to_ne_bytes();
                let body = if long { &length[..] } else { &recipe.bytes[..] };
                match self.send(head, body, &recipe.fds)? {
                    Sent::Yes => {}
                    other => return Ok(other),
                }
                self.states.insert(state.id);
                if long {
                    return Ok(Sent::Partly(state.clone()));
                }
            }
        }
        let recipe = match &function.recipe {
            Ok(recipe) => recipe,
            Err(why) => return Ok(Sent::Refused(why.clone())),
        };
        let head = Head { function: function.id, ..Head::of(record::FUNCTION) };
        let sent = self.send(head, &recipe.bytes, &recipe.fds)?;
        if matches!(sent, Sent::Yes) {
            self.functions.insert(function.id);
        }
        Ok(sent)
    }
}

/// The resident memory of a process in bytes, if the system says.
pub(crate) fn resident_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Why a worker could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    Spawn(SpawnError),
    Io(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Spawn(e) => e.fmt(f),
            StartError::Io(e) => e.fmt(f),
        }
    }
}
