//! Whose turn it is: one thread at a time has the engine, and gives it to those who have a word with it.

use crate::engine::{Bell, Engine, Processes};
use crate::error::{Cause, RunError};
use crate::output::Output;
use crate::stdio::lock;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

pub(super) struct Shared {
    pub(super) processes: Arc<Processes>,
    pub(super) desk: Mutex<Desk>,
    /// Told when the engine is free again, or its result is there.
    turn: Condvar,
    /// Made by the first wait. Without it (at the limit of descriptors) waiters are not called.
    bell: OnceLock<Option<Arc<Bell>>>,
}

pub(super) struct Desk {
    pub(super) state: State,
    /// Those who have rung for the engine: waiters let them go first.
    callers: usize,
    /// Somebody has said that nobody is to wait any more, and could not have the engine then: a callback, for one.
    is_left: bool,
}

/// | state | meaning | leaves it by |
/// |---|---|---|
/// | Free | nobody waits | a waiter takes the engine |
/// | Taken | one waiter works it, others wait for their turn | the waiter: back to Free, or Done |
/// | Done | the result | [`Child::into_output`](super::Child::into_output) may take its bytes |
/// | Detached | nobody is to wait | never |
pub(super) enum State {
    Free(Box<Engine>),
    Taken(ThreadId),
    Done(Result<Output, RunError>),
    Detached,
}

/// The engine, for whoever works it; a panic in a callback ends the program and the waiting of all.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    engine: Option<Box<Engine>>,
    /// Callbacks may run.
    at_work: bool,
}

impl Turn<'_> {
    pub(super) fn engine(&mut self) -> &mut Engine {
        match &mut self.engine {
            Some(engine) => engine,
            None => unreachable!("the engine is given back by `give` and by drop only"),
        }
    }

    /// Has the engine do what may call callbacks.
    pub(super) fn work<R>(&mut self, f: impl FnOnce(&mut Engine) -> R) -> R {
        self.at_work = true;
        let result = f(self.engine());
        self.at_work = false;
        result
    }

    /// Gives the engine back, or its result if it has ended.
    pub(super) fn give(mut self, done: io::Result<bool>) -> Option<Result<Output, RunError>> {
        let mut engine = self.engine.take()?;
        let result = match done {
            Ok(false) => {
                self.put(State::Free(engine));
                return None;
            }
            Ok(true) => engine.result(),
            Err(e) => Err(engine.error_so_far(Cause::Io("it could not be waited for", e))),
        };
        self.put(State::Done(result.clone()));
        Some(result)
    }

    fn put(&self, state: State) {
        let mut desk = lock(&self.shared.desk);
        desk.state = match state {
            State::Free(mut engine) if desk.is_left => {
                let _ = engine.release();
                State::Detached
            }
            state => state,
        };
        drop(desk);
        self.shared.turn.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        if !self.at_work {
            // The panic was in another program's callback.
            return self.put(State::Free(engine));
        }
        let error = io::Error::other("a callback panicked");
        let error = engine.error(Cause::Io("its output could not be taken", error), None, None);
        drop(engine);
        self.put(State::Done(Err(error)));
    }
}

/// What a look at the state gave.
pub(super) enum Look<'a> {
    Turn(Turn<'a>),
    Busy,
    Done(Result<Output, RunError>),
}

impl Shared {
    pub(super) fn new(engine: Engine) -> Self {
        let processes = engine.processes.clone();
        let desk = Desk { state: State::Free(Box::new(engine)), callers: 0, is_left: false };
        Shared { processes, desk: Mutex::new(desk), turn: Condvar::new(), bell: OnceLock::new() }
    }

    pub(super) fn look(&self) -> Look<'_> {
        self.take(&mut lock(&self.desk))
    }

    pub(super) fn take<'a>(&'a self, desk: &mut Desk) -> Look<'a> {
        match &mut desk.state {
            State::Free(_) if desk.callers > 0 => return Look::Busy,
            State::Free(_) => {}
            State::Taken(_) => return Look::Busy,
            State::Done(result) => return Look::Done(result.clone()),
            State::Detached => {
                let what = "it was detached, and nobody waits for it".to_owned();
                return Look::Done(Err(RunError::new(Cause::InvalidInput(what), &[], None, None, None)));
            }
        }
        let taken = State::Taken(std::thread::current().id());
        let State::Free(mut engine) = std::mem::replace(&mut desk.state, taken) else { return Look::Busy };
        engine.listen_to(self.bell.get_or_init(|| Bell::new().ok().map(Arc::new)).clone());
        Look::Turn(Turn { shared: self, engine: Some(engine), at_work: false })
    }

    /// Waits until the engine may be free, for so long at most.
    pub(super) fn wait<'a>(
        &self,
        desk: MutexGuard<'a, Desk>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, Desk> {
        match left {
            None => self.turn.wait(desk).unwrap_or_else(PoisonError::into_inner),
            Some(left) => match self.turn.wait_timeout(desk, left) {
                Ok((desk, _)) => desk,
                Err(poisoned) => poisoned.into_inner().0,
            },
        }
    }

    /// Does something with the engine, be it that another thread waits with it: that one is woken, and waits on when
    /// this is done. `None`: the program has ended, or this is a callback of the one that waits.
    pub(super) fn call<R>(&self, f: impl FnOnce(&mut Engine) -> R) -> Option<R> {
        let mut desk = self.engine_for_caller()?;
        match &mut desk.state {
            State::Free(engine) => Some(f(engine)),
            _ => None,
        }
    }

    /// As [`call`](Self::call), and nobody is to wait any more. Where the engine can't be had now, whoever has it does this
    /// when it gives it back.
    pub(super) fn detach(&self) {
        if let Some(mut desk) = self.engine_for_caller() {
            if let State::Free(mut engine) = std::mem::replace(&mut desk.state, State::Detached) {
                let _ = engine.release();
            }
        } else {
            lock(&self.desk).is_left = true;
            if let Some(Some(bell)) = self.bell.get() {
                bell.ring();
            }
        }
        self.turn.notify_all();
    }

    /// The desk with the engine on it.
    fn engine_for_caller(&self) -> Option<MutexGuard<'_, Desk>> {
        let mut desk = lock(&self.desk);
        loop {
            match &desk.state {
                State::Free(_) => return Some(desk),
                State::Taken(by) if *by != std::thread::current().id() => {}
                _ => return None,
            }
            let Some(Some(bell)) = self.bell.get() else { return None };
            bell.ring();
            desk.callers += 1;
            desk = self.wait(desk, None);
            desk.callers -= 1;
            if desk.callers == 0 {
                self.turn.notify_all();
            }
        }
    }
}
