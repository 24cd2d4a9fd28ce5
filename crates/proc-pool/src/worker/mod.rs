//! What runs in a worker process.

pub(crate) mod address;
pub(crate) mod answer;
mod entry;
mod panics;
pub(crate) mod states;
pub(crate) mod work;

use crate::engine::Mix;
use crate::hook::Call;
use crate::link::Table;
use crate::link::record::{self, Head};
use entry::Entry;
use proc_core::inherit::Lineage;
use proc_core::transfer::Packed;
use proc_core::{Func, transfer};
use proc_ipc::ring::{Duplex, Sender};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use work::{Recipe, Shared, Work};

/// How many pools lie between the program's first process and this one.
///
/// | value | meaning | changed by |
/// |---|---|---|
/// | 0 | this is no worker | |
/// | n | a worker of a pool at depth n - 1 | `main`, once, before the first task |
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The depth of the pools that are made here.
pub(crate) fn depth() -> u32 {
    DEPTH.load(Ordering::Relaxed)
}

/// What a worker is started with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) rings: Duplex,
    pub(crate) table: Table,
    /// How many pools lie between the program's first process and this worker.
    pub(crate) depth: u32,
    /// The initializer: a state that is made before the first task.
    pub(crate) initializer: Option<Call>,
    /// A state that is made after the last.
    pub(crate) exit_hook: Option<Call>,
}

/// The life of a worker.
pub(crate) fn main(boot: Boot) {
    DEPTH.store(boot.depth, Ordering::Relaxed);
    // On a terminal Ctrl-C reaches the whole group; what becomes of the tasks is the parent's to decide.
    proc_core::leave_interrupts_to_parent();
    panics::watch();
    let (mut up, mut down) = boot.rings.split();
    let refused = match boot.initializer.map(|hook| panics::catch(|| call(hook))) {
        None | Some(Ok(Ok(()))) => None,
        Some(Ok(Err(why))) => Some(why),
        Some(Err(panic)) => Some(format!("the initializer {panic}")),
    };
    if let Some(why) = refused {
        let _ = say(&mut up, record::REFUSED, why.as_bytes());
        return;
    }
    if !say(&mut up, record::READY, &[]) {
        return;
    }
    let mut worker = Worker {
        states: Rc::default(),
        functions: HashMap::default(),
        up,
        table: boot.table,
        value: Packed::default(),
        entries: 0,
        long: None,
        spare: Vec::new(),
        parts: 0,
        took_part: false,
        lineage: Lineage::current(),
    };
    loop {
        let next = match down.next() {
            Ok(Some(record)) => worker.take(record.bytes, record.fds),
            Ok(None) => {
                down.release();
                // The pool may have found the ring full before that: nobody else tells it that there is room now.
                if worker.took_part && !worker.tell_room() {
                    return;
                }
                if down.wait(None).is_err() {
                    return;
                }
                continue;
            }
            // The pool is gone, and so are we in a moment.
            Err(_) => return,
        };
        match next {
            Next::More => {}
            Next::Room => {
                down.release();
                if !worker.tell_room() {
                    return;
                }
            }
            Next::End => break,
            Next::Gone => return,
        }
        worker.entries += 1;
        if worker.entries % RELEASE == 0 {
            down.release();
        }
    }
    // States end before the hook, which is the last thing that a worker does.
    drop(worker);
    if let Some(hook) = boot.exit_hook {
        let _ = panics::catch(|| call(hook));
    }
}

/// Records that are taken before their room is given back: it costs the pool a look at a line that we write.
const RELEASE: u32 = 16;

/// Entries of which one is measured; those of several items all are.
const SAMPLED: u32 = 16;

fn say(up: &mut Sender, kind: u8, bytes: &[u8]) -> bool {
    up.send(&[bytes, &Head::of(kind).to_bytes(bytes)], None).is_ok()
}

fn call(hook: Call) -> Result<(), String> {
    let Packed { bytes, fds } = hook.into();
    let (_, state) = state((bytes, fds))?;
    let state: Rc<states::Made<()>> = state.downcast().map_err(|_| "the function is another")?;
    state.lend(|()| ())
}

type State = (u64, Rc<dyn Any>);

fn state(content: (Vec<u8>, Vec<OwnedFd>)) -> Result<State, String> {
    let split = crate::function::split::<states::StateHead>(content.0, content.1);
    let ((make, id), content) = split.map_err(|e| e.to_string())?;
    Ok((id, make.call((content.bytes, content.fds))))
}

struct Worker {
    states: Shared,
    functions: HashMap<u32, Result<Box<dyn Work>, String>, BuildHasherDefault<Mix>>,
    up: Sender,
    table: Table,
    value: Packed,
    entries: u32,
    /// What is coming in pieces.
    long: Option<Long>,
    /// A buffer for what comes in pieces.
    spare: Vec<u8>,
    /// Pieces so far: every second is acknowledged, as the ring holds four.
    parts: u32,
    /// The pool was not told that there is room since the last piece was taken.
    took_part: bool,
    lineage: Lineage,
}

/// What is coming in pieces: its announcement, its descriptors, the bytes so far.
struct Long {
    head: Head,
    fds: Vec<OwnedFd>,
    bytes: Vec<u8>,
    /// How many bytes there will be, and how many have come.
    len: usize,
    come: usize,
    /// There is memory for it.
    fits: bool,
}

enum Next {
    More,
    /// A piece was taken: the pool may send the next.
    Room,
    End,
    Gone,
}

impl Worker {
    fn tell_room(&mut self) -> bool {
        self.took_part = false;
        say(&mut self.up, record::ROOM, &[])
    }

    fn take(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) -> Next {
        let Some((head, bytes)) = Head::parse(bytes) else { return Next::Gone };
        match head.kind {
            record::ENTRY => return self.run(head, bytes, fds),
            record::FUNCTION => self.add_function(head.function, Packed { bytes: bytes.to_vec(), fds }),
            record::STATE if head.count == 0 => self.add_state(Packed { bytes: bytes.to_vec(), fds }),
            record::STATE | record::LONG => return self.announce(head, bytes, fds),
            record::PART => return self.add_part(bytes),
            record::FORGET => self.forget(head, bytes),
            record::END => return Next::End,
            _ => return Next::Gone,
        }
        Next::More
    }

    /// Something comes in pieces. The item of a long argument is claimed now: if taking it in ends the worker (as the
    /// kernel may, when memory runs out), that item is the guilty one, and its time limit counts.
    fn announce(&mut self, head: Head, bytes: &[u8], fds: Vec<OwnedFd>) -> Next {
        let Some(len) = record::length(bytes) else { return Next::Gone };
        self.long = None;
        if head.kind == record::LONG && !self.table.slots().begin(head.slot, head.generation, head.item) {
            // It was taken back. Pieces that are under way are left out.
            let head = Head { kind: record::SKIPPED, ..head };
            let told = self.up.send(&[&head.to_bytes(&[])], None);
            return if told.is_ok() { Next::More } else { Next::Gone };
        }
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        let fits = bytes.try_reserve_exact(len).is_ok();
        self.long = Some(Long { head, fds, bytes, len, come: 0, fits });
        Next::More
    }

    /// What is dropped here may be the user's. It is no item's: one that ends the process costs a worker, and no task.
    fn forget(&mut self, head: Head, bytes: &[u8]) {
        let state = bytes.try_into().ok().map(u64::from_ne_bytes);
        let _ = panics::catch(|| match state {
            Some(state) if head.count == 1 => {
                let state = self.states.borrow_mut().remove(state);
                drop(state);
            }
            _ => drop(self.functions.remove(&head.function)),
        });
    }

    fn add_part(&mut self, bytes: &[u8]) -> Next {
        self.parts += 1;
        self.took_part = true;
        let room = if self.parts % 2 == 0 { Next::Room } else { Next::More };
        // A piece of what was taken back meanwhile belongs to nothing.
        let Some(long) = &mut self.long else { return room };
        long.come += bytes.len();
        if long.fits {
            long.bytes.extend_from_slice(bytes);
        }
        if long.come < long.len {
            return room;
        }
        let Some(Long { head, fds, bytes: all, len, fits, .. }) = self.long.take() else { return room };
        if head.kind == record::STATE {
            // Without memory for it there is no such state here, as the tasks that need it will say.
            if fits {
                self.add_state(Packed { bytes: all, fds });
            }
            return Next::Room;
        }
        if !fits {
            let why = format!("there is no memory for its {len} bytes in the worker");
            return self.run_with(head, &[], fds, Err(why));
        }
        let next = self.run_with(head, &[], fds, Ok(Some(all)));
        // What the value was sent from is as long as the next argument will be, most likely.
        self.spare = std::mem::take(&mut self.value.bytes);
        next
    }

    fn run(&mut self, head: Head, bytes: &[u8], fds: Vec<OwnedFd>) -> Next {
        self.run_with(head, bytes, fds, Ok(None))
    }

    /// Runs an entry; `long` is the argument that came in pieces, or why there is none.
    fn run_with(
        &mut self,
        head: Head,
        bytes: &[u8],
        fds: Vec<OwnedFd>,
        long: Result<Option<Vec<u8>>, String>,
    ) -> Next {
        let (long, refused) = match long {
            Ok(long) => (long, None),
            Err(why) => (None, Some(work::missing(&why))),
        };
        let sampled = head.count > 1 || self.entries % SAMPLED == 0;
        let mut entry = Entry {
            slots: self.table.slots(),
            up: &mut self.up,
            head,
            rest: bytes,
            fds,
            long,
            claimed: head.kind == record::LONG,
            next: head.item,
            value: &mut self.value,
            began: sampled.then(Instant::now),
            lineage: self.lineage,
            gone: false,
        };
        // A function is announced before its first task: one that is not known means that the ring was written over, and
        // what it says is no task's error.
        let Some(known) = self.functions.get(&head.function) else { return Next::Gone };
        let broken = refused.or_else(|| known.as_ref().err().map(|why| work::missing(why)));
        let work: &dyn Work = match (known, &broken) {
            (_, Some(broken)) => broken,
            (Ok(work), None) => &**work,
            (Err(_), None) => return Next::Gone,
        };
        // A panic ends one item; the items behind it are run by the next call.
        while let Err(panic) = panics::catch(|| work.run(&mut entry)) {
            entry.panicked(panic);
        }
        if entry.gone { Next::Gone } else { Next::More }
    }

    fn add_state(&mut self, content: Packed) {
        // One that can't be made is missed by the functions that need it, which say so.
        if let Ok(Ok((id, state))) = panics::catch(|| state((content.bytes, content.fds))) {
            self.states.borrow_mut().insert(id, state);
        }
    }

    fn add_function(&mut self, id: u32, content: Packed) {
        let make = || {
            let unpacked =
                transfer::unpack::<(Func<(Recipe, Shared), _>, Recipe)>(&content.bytes, content.fds);
            let (make, recipe) = unpacked.map_err(|e| e.to_string())?;
            make.call((recipe, self.states.clone()))
        };
        let function = panics::catch(make).unwrap_or_else(|panic| Err(panic.to_string()));
        self.functions.insert(id, function);
    }
}
