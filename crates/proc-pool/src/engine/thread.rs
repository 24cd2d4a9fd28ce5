//! The pool's own thread: it collects when nobody waits, and does nothing else.

use super::Engine;
use super::core::{Phase, ThreadIs};
use crate::error::PoolError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the thread lets others do its work before it looks whether they do.
const DOZE: Duration = Duration::from_millis(1);

/// Dozes without anything to do before it sleeps. A program that submits and waits, again and again, then never has to
/// wake it.
const DOZES: u32 = 30;

/// The longest doze while another thread sleeps with the role. Whoever gives the thread something to do calls it.
const REST: Duration = Duration::from_millis(128);

enum Next {
    Doze,
    /// To collect, unless another thread does.
    Collect {
        waits: u64,
    },
    Sleep,
    End,
}

impl Engine {
    pub(super) fn start_thread(self: &Arc<Self>) -> Result<(), PoolError> {
        let engine = self.clone();
        let thread = std::thread::Builder::new().name(format!("{}-pool", self.config.name));
        if let Err(e) = thread.spawn(move || engine.serve()) {
            self.terminate();
            return Err(PoolError::new("the pool's thread could not be started").with_source(e));
        }
        Ok(())
    }

    fn serve(&self) {
        let (mut looks, mut idle, mut rest) = (0, 0, DOZE);
        loop {
            match self.next(&mut looks, &mut idle) {
                Next::Doze => {
                    rest = DOZE;
                    self.nudge.wait(Instant::now().checked_add(DOZE));
                }
                Next::Sleep => {
                    if let Some(mut ears) = self.ears.try_lock() {
                        self.sleep_idle(&mut ears);
                        self.last_look(ears);
                    } else {
                        self.nudge.wait(Instant::now().checked_add(DOZE));
                    }
                    idle = DOZES / 2;
                }
                Next::Collect { waits } => {
                    let Some(ears) = self.ears.try_lock() else {
                        self.rest(&mut rest);
                        continue;
                    };
                    rest = DOZE;
                    // Until somebody comes who waits, or nothing is left to be done.
                    let done = || {
                        let core = self.core.lock();
                        core.waits != waits
                            || (core.phase == Phase::Open && !core.is_busy())
                            || core.has_ended()
                    };
                    self.collect(ears, &done, None);
                }
                Next::End => return,
            }
        }
    }

    /// Another thread has the role, and sleeps with it: dozes twice as long as the last time, up to a limit.
    fn rest(&self, rest: &mut Duration) {
        if *rest > DOZE {
            self.core.lock().thread = ThreadIs::Resting;
            // Whoever gave the role back before could not know that it had to call.
            if !self.ears.is_locked() {
                return;
            }
        }
        let called = self.nudge.wait(Instant::now().checked_add(*rest));
        *rest = if called { DOZE } else { (*rest * 2).min(REST) };
    }

    fn next(&self, looks: &mut u64, idle: &mut u32) -> Next {
        let mut core = self.core.lock();
        let (alone, waits) = (core.looks == *looks, core.waits);
        *looks = core.looks;
        if core.has_ended() {
            core.thread = ThreadIs::Gone;
            core.tell_end();
            let told = core.told();
            drop(core);
            super::core::Told::all(told);
            return Next::End;
        }
        self.start_missing(&mut core);
        let ending = core.phase != Phase::Open;
        if core.is_busy() || ending {
            *idle = 0;
            // While others look there is nothing to do here.
            if core.listening > 0 || alone {
                core.thread = ThreadIs::Collecting;
                return Next::Collect { waits };
            }
        } else {
            *idle += 1;
            if *idle > DOZES {
                return Next::Sleep;
            }
        }
        core.thread = ThreadIs::Dozing;
        Next::Doze
    }
}
