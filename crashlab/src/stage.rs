//! Who takes part in a trial, and when each comes on.

use crate::board::{ACTORS, Board};
use crate::sys::{self, Forked, Pid};
use proc_core::Message;
use proc_core::transfer::{Packed, pack, unpack};
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Nothing, or what an actor found wrong.
pub(crate) type Outcome = Result<(), String>;

/// Nothing, or why a scenario could not be set up.
pub(crate) type Setup = Result<(), Box<dyn Error>>;

/// When an actor comes on. All but [`After`](When::After) and [`Last`](When::Last) are given time until they sleep or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the victim exists.
    First,
    /// When the victim is about to begin its operation.
    Ready,
    /// When the victim has gone to sleep within its operation: this actor wakes it, so that the rest can be stepped
    /// through. The n-th sleep brings on the n-th of these; a sleep that none is there for ends the operation.
    Wake,
    /// When the victim has made its last step and is not yet killed.
    Pause,
    /// When the victim is dead.
    After,
    /// When all others have ended.
    Last,
}

/// What a process of a trial does.
type Body = Box<dyn FnOnce(&Board) -> Outcome>;

struct Actor {
    when: When,
    name: &'static str,
    body: Option<Body>,
}

/// The cast of one trial. The lab forks a process for each actor when its time has come.
pub(crate) struct Stage {
    /// The shared page. It outlives the lab's trials, so closures may hold it.
    pub(crate) board: &'static Board,
    cpus: libc::cpu_set_t,
    victim: Option<Body>,
    actors: Vec<Actor>,
}

/// Marks the operation within the victim's code.
#[derive(Debug)]
pub(crate) struct Mark<'a>(&'a Board);

impl Mark<'_> {
    /// The operation that is stepped through. What comes before it in the victim runs at full speed.
    #[inline(always)]
    pub(crate) fn operation<R>(&self, f: impl FnOnce() -> R) -> R {
        self.begin();
        let result = f();
        self.end();
        result
    }

    /// Where the operation begins, if it is not a closure. Once.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        sys::stop_here();
    }

    /// Where it ends. Once.
    #[inline(always)]
    pub(crate) fn end(&self) {
        self.0.tell_finished();
        sys::stop_here();
    }
}

impl Stage {
    pub(crate) fn new(board: &'static Board, cpus: libc::cpu_set_t) -> Stage {
        Stage { board, cpus, victim: None, actors: Vec::new() }
    }

    /// The victim: `f` prepares, then calls [`Mark::operation`] once.
    ///
    /// `handles` cross to its process as they would in a user's program.
    pub(crate) fn victim<H: Message>(
        &mut self,
        handles: &H,
        f: impl FnOnce(H, &Board, &Mark<'_>) -> Outcome + 'static,
    ) -> Setup {
        let packed = pack(handles)?;
        self.victim = Some(Box::new(move |board| f(open(packed)?, board, &Mark(board))));
        Ok(())
    }

    /// Another process of the trial.
    pub(crate) fn actor<H: Message>(
        &mut self,
        when: When,
        name: &'static str,
        handles: &H,
        f: impl FnOnce(H, &Board) -> Outcome + 'static,
    ) -> Setup {
        if self.actors.len() + 1 == ACTORS {
            return Err("too many actors".into());
        }
        let packed = pack(handles)?;
        self.actors.push(Actor { when, name, body: Some(Box::new(move |board| f(open(packed)?, board))) });
        Ok(())
    }

    /// The numbers of the actors that come on at `when`.
    pub(crate) fn cues(&self, when: When) -> Vec<usize> {
        (0..self.actors.len()).filter(|&n| self.actors[n].when == when).collect()
    }

    /// Drops the handles of those whose time has passed: nobody may wait for their ends to close.
    pub(crate) fn dismiss_before_death(&mut self) {
        let late = |actor: &Actor| matches!(actor.when, When::After | When::Last);
        self.actors.iter_mut().filter(|actor| !late(actor)).for_each(|actor| actor.body = None);
    }

    pub(crate) fn name(&self, n: usize) -> &'static str {
        self.actors.get(n).map_or("the victim", |actor| actor.name)
    }

    /// Starts actor `n` in a process of its own.
    pub(crate) fn start(&mut self, n: usize) -> io::Result<Pid> {
        let body = self.actors[n].body.take();
        self.fork(n, body, false)
    }

    /// Starts the victim, which will stop where its operation begins.
    pub(crate) fn start_victim(&mut self) -> io::Result<Pid> {
        let body = self.victim.take();
        self.fork(ACTORS - 1, body, true)
    }

    fn fork(&mut self, n: usize, body: Option<Body>, traced: bool) -> io::Result<Pid> {
        match sys::fork()? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => {
                // The ends that are meant for others must not stay open here: nobody would see their owners' deaths.
                self.victim = None;
                self.actors.clear();
                sys::exit_now(self.play(n, body, traced));
            }
        }
    }

    fn play(&self, n: usize, body: Option<Body>, traced: bool) -> i32 {
        if traced {
            if let Err(e) = sys::trace_me() {
                self.board.write(n, &format!("it can't be traced: {e}"));
                return 1;
            }
        }
        sys::become_actor(&self.cpus, traced);
        let outcome = catch_unwind(AssertUnwindSafe(|| match body {
            Some(body) => body(self.board),
            None => Err("has nothing to do".into()),
        }));
        let why = match outcome {
            Ok(Ok(())) => return 0,
            Ok(Err(why)) => why,
            Err(payload) => match payload.downcast_ref::<String>() {
                Some(text) => format!("panicked: {text}"),
                None => format!("panicked: {}", payload.downcast_ref::<&str>().unwrap_or(&"")),
            },
        };
        self.board.write(n, &why);
        1
    }
}

fn open<H: Message>(packed: Packed) -> Result<H, String> {
    unpack(&packed.bytes, packed.fds).map_err(|e| format!("its handles did not arrive: {e}"))
}

/// An error with this text if something is not so.
pub(crate) fn ensure(so: bool, why: impl FnOnce() -> String) -> Outcome {
    if so { Ok(()) } else { Err(why()) }
}
