//! Whoever waits collects: taking results out of the rings, and waiting for them.

use super::Engine;
use super::core::{Coming, Nonsense, ThreadIs, Told};
use super::signal::Signal;
use parking_lot::MutexGuard;
use proc_core::ProcessHandle;
use proc_ipc::ring::{Readiness, Receiver, RecvError, Waiter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving ends of all workers: the collector's role is to hold them.
#[derive(Debug, Default)]
pub(super) struct Ears {
    all: Vec<Ear>,
    waiter: Waiter,
    /// When the workers' processes were last looked at.
    last_check: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Ear {
    pub(super) seat: usize,
    ring: Receiver,
    /// What a record is received in.
    buffer: Vec<u8>,
    /// The next record is a long value, and what that is received in.
    coming: Option<Coming>,
    long: Vec<u8>,
    pub(super) process: ProcessHandle,
    /// Nothing comes any more.
    pub(super) closed: bool,
}

/// Records that one look takes from one worker, so that the lock is not held for ever while a worker keeps sending.
const SOME: usize = 2048;

/// How often processes are looked at while results keep coming; who sleeps is told at once.
const CHECK: Duration = Duration::from_millis(10);

/// How a thread that does not collect is woken.
pub(crate) trait Wanted {
    /// Whether there is nothing to wait for any more.
    fn is_there(&self) -> bool;
    /// Has the signal set when it is there.
    fn call(&self, signal: &Arc<Signal>);
    fn call_off(&self) {}
}

/// How a turn at collecting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What was wanted is there.
    Done,
    /// The deadline is over.
    Late,
    /// Another thread has taken the role while this one told somebody.
    Lost,
}

/// What a look found.
#[derive(Default)]
pub(super) struct Look {
    /// Whether anything had come.
    pub(super) some: bool,
    /// What runs code that is not ours, or may block: to be told without the role.
    pub(super) foreign: Vec<Told>,
}

impl Engine {
    /// Waits until what is wanted is there; `false`: the deadline was over first. Collects, unless another thread does.
    pub(crate) fn wait(&self, wanted: &dyn Wanted, deadline: Option<Instant>) -> bool {
        let mut called = false;
        let result = loop {
            if wanted.is_there() {
                break true;
            }
            if let Some(ears) = self.ears.try_lock() {
                match self.collect(ears, &|| wanted.is_there(), deadline) {
                    Turn::Done => break true,
                    Turn::Late => break false,
                    Turn::Lost => continue,
                }
            }
            let signal = Signal::own();
            called = true;
            wanted.call(&signal);
            let mut core = self.core.lock();
            core.waits += 1;
            if !core.parked.iter().any(|parked| Arc::ptr_eq(parked, &signal)) {
                core.parked.push(signal.clone());
            }
            drop(core);
            // Whoever had the role may have given it back before it could see us.
            let free = !self.ears.is_locked();
            let set = free || wanted.is_there() || signal.wait(deadline);
            let mut core = self.core.lock();
            core.parked.retain(|parked| !Arc::ptr_eq(parked, &signal));
            drop(core);
            if !set {
                break wanted.is_there();
            }
        };
        if called {
            wanted.call_off();
        }
        result
    }

    /// The role is free: somebody who waits takes it, or the pool's own thread.
    pub(super) fn hand_over(&self) {
        let mut core = self.core.lock();
        let next = core.parked.first().cloned();
        let urgent = core.listening > 0 || core.rouse();
        drop(core);
        match next {
            Some(signal) => signal.set(),
            None if urgent => self.nudge.set(),
            None => {}
        }
    }

    /// The role is free while this thread tells somebody: a parked thread may take it meanwhile. So may the pool's own,
    /// but that need not be woken for it, unless it sleeps for long.
    fn give_way(&self) {
        let mut core = self.core.lock();
        let next = core.parked.first().cloned();
        let rouse = core.rouse();
        drop(core);
        if let Some(signal) = next {
            signal.set();
        }
        if rouse {
            self.nudge.set();
        }
    }

    /// Something was changed that whoever collects should see.
    pub(crate) fn ring_bell(&self) {
        if self.ears.is_locked() {
            let _ = self.bell.wake();
        } else {
            self.nudge.set();
        }
    }

    /// Looks once, if nobody collects.
    pub(super) fn look_in(&self) {
        if let Some(ears) = self.ears.try_lock() {
            self.last_look(ears);
        }
    }

    /// Looks once, and gives the role back.
    pub(super) fn last_look(&self, mut ears: MutexGuard<'_, Ears>) {
        let look = self.look(&mut ears);
        drop(ears);
        self.hand_over();
        Told::all(look.foreign);
    }

    /// The collector's loop.
    pub(super) fn collect<'a>(
        &'a self,
        mut ears: MutexGuard<'a, Ears>,
        done: &dyn Fn() -> bool,
        deadline: Option<Instant>,
    ) -> Turn {
        let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        loop {
            let look = self.look(&mut ears);
            if done() {
                drop(ears);
                self.hand_over();
                Told::all(look.foreign);
                return Turn::Done;
            }
            if !look.foreign.is_empty() {
                // A waker may do anything, wait for this very pool too.
                drop(ears);
                self.give_way();
                Told::all(look.foreign);
                match self.ears.try_lock() {
                    Some(again) => ears = again,
                    None => return Turn::Lost,
                }
                if !late() {
                    continue;
                }
            }
            if look.some && !late() {
                continue;
            }
            let next = self.next_look();
            let until = match (deadline, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            self.sleep(&mut ears, until);
            if late() {
                self.last_look(ears);
                return if done() { Turn::Done } else { Turn::Late };
            }
        }
    }

    /// Takes in what has come, sees after deaths and limits, spreads what is queued.
    pub(super) fn look(&self, ears: &mut Ears) -> Look {
        let now = Instant::now();
        let ended = if ears.last_check.is_none_or(|last| now.saturating_duration_since(last) >= CHECK) {
            ears.last_check = Some(now);
            ears.ended()
        } else {
            Vec::new()
        };
        let mut core = self.core.lock();
        core.looks += 1;
        self.tell_forgotten(&mut core);
        for (seat, ring) in std::mem::take(&mut core.new_ears) {
            if let Some(link) = &core.seats[seat].link {
                ears.all.push(Ear::new(seat, ring, link.handle()));
            }
        }
        let mut some = false;
        for ear in &mut ears.all {
            let limit = if ended.iter().any(|(seat, _)| *seat == ear.seat) { usize::MAX } else { SOME };
            some |= ear.drain(&mut core, now, limit);
        }
        for (seat, status) in ended {
            self.bury(&mut core, seat, status);
            ears.all.retain(|ear| ear.seat != seat);
            some = true;
        }
        let idle = self.tick(&mut core, now);
        core.pump();
        some |= idle;
        if some {
            core.active = now;
        }
        let told = if core.has_told() { core.told() } else { Vec::new() };
        drop(core);
        Look { some, foreign: Told::ours(told) }
    }

    /// Sleeps until something comes, a worker ends, the bell rings, or a deadline.
    fn sleep(&self, ears: &mut Ears, deadline: Option<Instant>) {
        let Ears { all, waiter, last_check } = ears;
        let (mut rings, mut extra): (Vec<&mut dyn Readiness>, Vec<BorrowedFd<'_>>) = (Vec::new(), Vec::new());
        extra.push(self.bell.as_fd());
        for ear in all {
            extra.push(ear.process.as_fd());
            if !ear.closed {
                rings.push(&mut ear.ring);
            }
        }
        match waiter.wait(&mut rings, &extra, deadline) {
            Ok(ready) => {
                if ready.extra.contains(&0) {
                    let _ = self.bell.reset();
                }
                if ready.extra.iter().any(|place| *place > 0) {
                    *last_check = None;
                }
            }
            // The system is out of memory: look again a little later.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }

    /// Until when the pool's own thread may sleep with the role, if nothing is under way.
    pub(super) fn sleep_idle(&self, ears: &mut Ears) {
        let still_idle = {
            let mut core = self.core.lock();
            if core.is_busy() {
                core.thread = ThreadIs::Dozing;
                false
            } else {
                core.thread = ThreadIs::Asleep;
                core.spares.clear();
                true
            }
        };
        if still_idle {
            self.sleep(ears, None);
        }
    }
}

impl Ears {
    /// The workers that have ended, with how. Without the core's lock: a zygote's word may take a moment.
    fn ended(&self) -> Vec<(usize, proc_core::ExitStatus)> {
        let ended = self.all.iter().filter(|ear| !ear.process.is_alive());
        ended
            .map(|ear| (ear.seat, ear.process.exit_status().unwrap_or(proc_core::ExitStatus::Lost)))
            .collect()
    }
}

impl Ear {
    fn new(seat: usize, ring: Receiver, process: ProcessHandle) -> Ear {
        Ear { seat, ring, buffer: Vec::new(), coming: None, long: Vec::new(), process, closed: false }
    }

    /// Takes in the record that came.
    #[inline]
    fn take_in(&mut self, core: &mut super::core::Core, fds: Vec<OwnedFd>) -> Result<(), Nonsense> {
        let next = match self.coming.take() {
            None => core.record(self.seat, &mut self.buffer, fds)?,
            Some(coming) => core.coming(self.seat, coming, std::mem::take(&mut self.long), fds)?,
        };
        if let Some(coming) = next {
            self.long = core.spares.lend(coming.len());
            self.coming = Some(coming);
        }
        Ok(())
    }

    /// Takes in what is there. Whether anything was.
    fn drain(&mut self, core: &mut super::core::Core, now: Instant, limit: usize) -> bool {
        if self.closed {
            return false;
        }
        let mut count = 0;
        while count < limit {
            let buffer = if self.coming.is_some() { &mut self.long } else { &mut self.buffer };
            let result = match self.ring.next_into(buffer) {
                Ok(Some(fds)) => self.take_in(core, fds),
                Ok(None) => break,
                Err(RecvError::Disconnected | RecvError::PeerDied) => {
                    self.closed = true;
                    // It ends, or a task of it has closed what was not its own: then it is ended, a little later, so
                    // that its own status is seen if it has one.
                    core.seats[self.seat].expire(now);
                    break;
                }
                Err(_) => Err(Nonsense),
            };
            if let Err(Nonsense) = result {
                // Whatever it says from now on is not listened to. Its end says the rest.
                self.closed = true;
                core.seats[self.seat].spoilt = true;
                core.seats[self.seat].condemn();
                return true;
            }
            count += 1;
        }
        self.ring.release();
        if count > 0 {
            core.seats[self.seat].moved = now;
        }
        count > 0
    }
}
