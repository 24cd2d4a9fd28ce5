//! The process that is stepped and killed.

use super::is_asleep;
use crate::stage::Stage;
use crate::sys::{self, Change, Pid};
use std::fmt;
use std::time::{Duration, Instant};

/// How often waiting looks whether the victim sleeps.
const TICK_MICROS: i64 = 500;

/// How long a victim may take to get to its operation, or for one instruction in which it does not sleep.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One instruction was executed, system calls included.
    Done,
    /// The instruction is a system call that sleeps. Another [`Victim::step`] waits for its end.
    Sleeps,
    /// The operation ended.
    Ended,
}

/// A traced child, stopped at the beginning of its operation. It is killed when dropped.
pub(crate) struct Victim {
    pid: Pid,
    /// In a system call that has not come back.
    sleeps: bool,
    dead: bool,
}

/// Why a victim can't be driven.
#[derive(Debug)]
pub(crate) enum Lost {
    System(std::io::Error),
    /// It ended by itself: it said why on the board.
    Ended(Change),
    Slow,
}

impl From<std::io::Error> for Lost {
    fn from(e: std::io::Error) -> Lost {
        Lost::System(e)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::System(e) => write!(f, "tracing failed: {e}"),
            Lost::Ended(Change::Stopped(signal)) => write!(f, "the victim got signal {signal}"),
            Lost::Ended(Change::Exited(code)) => {
                write!(f, "the victim ended with code {code} before its time")
            }
            Lost::Ended(Change::Killed(signal)) => write!(f, "the victim died of signal {signal}"),
            Lost::Slow => {
                f.write_str("the victim did not come to its operation, or neither ran nor slept in it")
            }
        }
    }
}

impl Victim {
    /// Starts the stage's victim and lets it run to its operation.
    pub(crate) fn start(stage: &mut Stage) -> Result<Victim, Lost> {
        let victim = Victim { pid: stage.start_victim()?, sleeps: false, dead: false };
        let _ticking = Ticking::start();
        let until = Instant::now() + PATIENCE;
        loop {
            match sys::wait(victim.pid)? {
                Some(Change::Stopped(libc::SIGSTOP)) => break,
                Some(other) => return Err(victim.lost(other)),
                None if Instant::now() > until => return Err(Lost::Slow),
                None => {}
            }
        }
        sys::die_with_tracer(victim.pid)?;
        Ok(victim)
    }

    fn lost(mut self, change: Change) -> Lost {
        self.dead = !matches!(change, Change::Stopped(_));
        Lost::Ended(change)
    }

    /// Executes steps until `limit` are done, or something else than [`Step::Done`] comes of one. Says how many were done.
    pub(crate) fn steps(&mut self, limit: u64) -> Result<(u64, Step), Lost> {
        let _ticking = Ticking::start();
        for done in 0..limit {
            match self.step()? {
                Step::Done => {}
                other => return Ok((done, other)),
            }
        }
        Ok((limit, Step::Done))
    }

    fn step(&mut self) -> Result<Step, Lost> {
        if !self.sleeps {
            sys::step(self.pid)?;
        }
        let mut until = None;
        loop {
            match sys::wait(self.pid)? {
                Some(Change::Stopped(signal)) => {
                    self.sleeps = false;
                    return match signal {
                        libc::SIGTRAP => Ok(Step::Done),
                        libc::SIGSTOP => Ok(Step::Ended),
                        _ => Err(Lost::Ended(Change::Stopped(signal))),
                    };
                }
                Some(other) => {
                    self.dead = true;
                    return Err(Lost::Ended(other));
                }
                None if !self.sleeps && is_asleep(self.pid) => {
                    self.sleeps = true;
                    return Ok(Step::Sleeps);
                }
                None if Instant::now() > *until.get_or_insert_with(|| Instant::now() + PATIENCE) => {
                    return Err(Lost::Slow);
                }
                None => {}
            }
        }
    }

    /// The instruction that would be next; nothing for a victim that sleeps.
    pub(crate) fn place(&self) -> Option<u64> {
        if self.sleeps { None } else { sys::instruction(self.pid).ok() }
    }

    /// Kills it, and comes back when it is gone: the kernel has walked its robust lists and closed its descriptors.
    pub(crate) fn kill(self) {}
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.dead {
            sys::kill(self.pid);
        }
    }
}

/// The timer that ends waits, so that sleeping victims are noticed.
struct Ticking;

impl Ticking {
    fn start() -> Ticking {
        sys::tick(TICK_MICROS);
        Ticking
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        sys::tick(0);
    }
}
