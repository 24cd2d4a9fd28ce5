//! One call's state machine: bytes in, bytes out, the ends of processes, and the clock.
//!
//! Whoever waits drives it: [`Engine::pump`] is a loop around `ppoll`, and the parts of the loop are open for those who
//! wait on several engines or by another descriptor. Only the clock decides a time-out; any readiness, be it by an
//! error, is followed by the call that tells what it is.
//!
//! | phase | meaning | leaves it by |
//! |---|---|---|
//! | Running | the programs have all the time of the limit | all is done; a reason to stop: the clock, a limit, a cancellation, an error |
//! | Asked | the scope was asked to end (SIGTERM) | the programs and their output have ended; the grace is over |
//! | Killed | the scope was killed (SIGKILL) | likewise; the wait for a process that the kernel can't kill is over |
//!
//! In each phase, once the programs have ended, the output is drained for a bounded time: something that they started
//! may hold it open. Only then are the programs reaped, so that until then their group can be signalled safely.

mod bell;
mod bounded_line;
mod feed;
mod finish;
mod kept;
mod processes;
mod stream;

pub(crate) use bell::Bell;
pub use bounded_line::Overflow;
pub(crate) use bounded_line::{Bound, append};
pub(crate) use feed::Feed;
pub(crate) use finish::{Check, Expect};
pub(crate) use processes::{Member, Processes};
pub(crate) use stream::Outlet;

use crate::cancel::CancelToken;
use crate::error::RunError;
use crate::start::Lifeline;
use crate::stdio::Stream;
use crate::sys::poll::{self, PollFd, PollFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom a time limit, a cancellation or a drop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KillScope {
    /// The started programs alone.
    Child,
    /// Their process group, which is made for them: all that they start, unless it makes a group or session of its own.
    /// Where [`process_group`](crate::Command::process_group) puts the program into a group that others made, that group
    /// is not ours to end, and this is [`Child`](KillScope::Child).
    Group,
    /// Their group and all descendants, found through `/proc` when they are to be ended; those too that made a session
    /// of their own, as long as their parents lived until then.
    Tree,
    /// Their control group, given by [`Command::cgroup`](crate::Command::cgroup): nothing gets out of it.
    Cgroup,
}

/// Why the programs were told to end.
#[derive(Debug)]
pub(crate) enum Stop {
    TimedOut,
    Cancelled,
    OutputLimit(Stream),
    Io(&'static str, io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Asked { kill_at: Instant },
    Killed { give_up_at: Instant },
}

/// A kill can't end a process that waits in the kernel for a dead disk or server; then we go without its status.
const REAP_BOUND: Duration = Duration::from_millis(500);
/// After a kill the output of the killed is in the pipes, and their ends are closed as fast as the kernel gets to it.
const DRAIN_AFTER_KILL: Duration = Duration::from_millis(10);

/// The times and marks that a call keeps to.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) grace: Duration,
    pub(crate) drain_grace: Duration,
    pub(crate) stop_signal: i32,
    pub(crate) cancel: Option<CancelToken>,
}

pub(crate) struct Engine {
    pub(crate) processes: Arc<Processes>,
    ended: Vec<bool>,
    pub(crate) feed: Option<Feed>,
    /// Standard output of the last stage first, then standard error of each stage.
    pub(crate) outlets: Vec<Outlet>,
    bounds: Bounds,
    expect: Expect,
    /// One for each group.
    lifelines: Vec<Lifeline>,
    /// By it another thread gets the engine from the one that waits with it.
    bell: Option<Arc<Bell>>,
    rung: bool,
    phase: Phase,
    drain_until: Option<Instant>,
    stop: Option<Stop>,
    /// The error that the call has ended with: whoever asks again gets it again.
    failure: Option<RunError>,
    settled: bool,
    duration: Duration,
}

/// What a descriptor of the poll set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Feed,
    Outlet(usize),
    /// An outlet that nobody will write any more, and that is most likely empty.
    Closed(usize),
    Stage(usize),
    Cancel,
    Bell,
}

impl Engine {
    pub(crate) fn new(
        processes: Processes,
        feed: Option<Feed>,
        outlets: Vec<Outlet>,
        bounds: Bounds,
        expect: Expect,
        lifelines: Vec<Lifeline>,
    ) -> Self {
        Engine {
            ended: vec![false; processes.stages.len()],
            processes: Arc::new(processes),
            feed,
            outlets,
            bounds,
            expect,
            lifelines,
            bell: None,
            rung: false,
            phase: Phase::Running,
            drain_until: None,
            stop: None,
            failure: None,
            settled: false,
            duration: Duration::ZERO,
        }
    }

    /// Works until all is done (`true`), until `enough` says so, until the bell is rung, or until the moment is over.
    pub(crate) fn pump(
        &mut self,
        until: Option<Instant>,
        enough: impl Fn(&Self) -> bool,
    ) -> io::Result<bool> {
        while !self.settled {
            if enough(self) || self.rung {
                return Ok(false);
            }
            // What is ready is served before the clock is asked: a program that ended in time is no time-out, even if
            // we were not running then.
            for (_, token) in wait(&[&*self], earlier(self.timer(), until))? {
                self.serve(token);
            }
            let now = Instant::now();
            if !self.tick(now) && until.is_some_and(|until| until <= now) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What it waits for.
    pub(crate) fn interests(&self) -> Vec<(Token, PollFlags)> {
        let mut list = Vec::with_capacity(6);
        if self.feed.as_ref().is_some_and(|feed| !feed.is_idle()) {
            list.push((Token::Feed, PollFlags::OUT));
        }
        for (i, outlet) in self.outlets.iter().enumerate() {
            if outlet.is_open() && !outlet.is_full() {
                list.push((Token::Outlet(i), PollFlags::IN));
            }
        }
        let running = (0..self.ended.len()).filter(|i| !self.ended[*i]);
        list.extend(running.map(|i| (Token::Stage(i), PollFlags::IN)));
        if self.bounds.cancel.is_some() && self.stop.is_none() {
            list.push((Token::Cancel, PollFlags::IN));
        }
        if self.bell.is_some() {
            list.push((Token::Bell, PollFlags::IN));
        }
        list
    }

    /// The descriptor of something that it waits for.
    pub(crate) fn descriptor(&self, token: Token) -> io::Result<BorrowedFd<'_>> {
        let local = match token {
            Token::Feed => self.feed.as_ref().and_then(Feed::fd),
            Token::Outlet(i) | Token::Closed(i) => self.outlets[i].fd(),
            Token::Stage(i) => {
                let child = &self.processes.stages[i].child;
                // In a forked child the descriptor is closed, and asking for it is a panic: this is an error first.
                self.expect.lineage.check()?;
                return Ok(child.as_fd());
            }
            Token::Cancel => {
                let token = self.bounds.cancel.as_ref().ok_or(io::ErrorKind::NotFound)?;
                return Ok(token.get()?);
            }
            Token::Bell => return self.bell.as_ref().ok_or(io::ErrorKind::NotFound)?.get(),
        };
        Ok(local.ok_or(io::ErrorKind::NotFound)?.get()?)
    }

    /// When it must look at the clock next, whatever is ready.
    pub(crate) fn timer(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Running => self.bounds.deadline,
            Phase::Asked { kill_at } => Some(kill_at),
            Phase::Killed { give_up_at } => Some(give_up_at),
        };
        earlier(phase, self.drain_until)
    }

    /// Does what one ready descriptor asks for.
    pub(crate) fn serve(&mut self, token: Token) {
        match token {
            Token::Feed => self.serve_feed(),
            Token::Outlet(i) => self.serve_outlet(i, false),
            Token::Closed(i) => self.serve_outlet(i, true),
            Token::Stage(i) => self.ended[i] = true,
            Token::Cancel => self.stop(Stop::Cancelled),
            Token::Bell => self.rung = true,
        }
    }

    /// Has the bell, from now on, that gets the engine from whoever waits with it.
    pub(crate) fn listen_to(&mut self, bell: Option<Arc<Bell>>) {
        self.bell = bell;
    }

    /// Whether the bell was rung, and quiet again.
    pub(crate) fn take_ring(&mut self) -> bool {
        if self.rung {
            if let Some(bell) = &self.bell {
                bell.quieten();
            }
        }
        std::mem::take(&mut self.rung)
    }

    fn serve_feed(&mut self) {
        let Some(feed) = &mut self.feed else { return };
        if let Err(error) = feed.write() {
            feed.close();
            self.stop(Stop::Io("its input could not be written", error));
        }
    }

    fn serve_outlet(&mut self, i: usize, closed: bool) {
        let outlet = &mut self.outlets[i];
        let served = if closed { outlet.read_ended() } else { outlet.read() };
        let stop = match served {
            Ok(stream::Read::Fine) => None,
            Ok(stream::Read::OverLimit) => Some(Stop::OutputLimit(outlet.stream)),
            Err(error) => Some(Stop::Io("its output could not be taken", error)),
        };
        if stop.is_some() {
            let _ = outlet.close();
        }
        // A terminal that nobody has open takes no input either.
        if outlet.is_terminal && !outlet.is_open() {
            if let Some(feed) = &mut self.feed {
                feed.close();
            }
        }
        if let Some(stop) = stop {
            self.stop(stop);
        }
    }

    /// Does what the clock asks for. `true`: all has ended, or we have waited for it long enough.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.settled {
            return true;
        }
        let ended = self.ended.iter().all(|ended| *ended);
        if ended && self.streams_done() {
            return self.settle();
        }
        if ended && self.drain_until.is_none() {
            self.drain_until = Some(self.end_of_drain(now));
        }
        if self.drain_until.is_some_and(|until| until <= now) && !matches!(self.phase, Phase::Asked { .. }) {
            return self.settle();
        }
        match self.phase {
            Phase::Running if self.bounds.deadline.is_some_and(|at| at <= now) => self.stop(Stop::TimedOut),
            Phase::Asked { kill_at } if kill_at <= now => self.kill(now),
            Phase::Killed { give_up_at } if give_up_at <= now => return self.settle(),
            _ => {}
        }
        false
    }

    /// How long the output is waited for after the programs have ended.
    fn end_of_drain(&self, now: Instant) -> Instant {
        match self.phase {
            // What they had started was asked to end with them, and has the grace for it.
            Phase::Asked { kill_at } => kill_at,
            Phase::Killed { .. } => now + DRAIN_AFTER_KILL.min(self.bounds.drain_grace),
            Phase::Running => {
                let drained = now + self.bounds.drain_grace;
                self.bounds.deadline.map_or(drained, |deadline| deadline.min(drained))
            }
        }
    }

    /// No more output can come. Input is of no interest once the programs have ended: who could take it still may, while
    /// the output is drained.
    fn streams_done(&self) -> bool {
        self.outlets.iter().all(|outlet| !outlet.is_open())
    }

    /// Tells all in the scope to end, for the first reason that there is.
    pub(crate) fn stop(&mut self, why: Stop) {
        if self.stop.is_some() || self.settled {
            return;
        }
        self.stop = Some(why);
        let now = Instant::now();
        if self.bounds.grace.is_zero() {
            return self.kill(now);
        }
        let _ = self.processes.signal(self.bounds.stop_signal);
        // Who is stopped would not hear of it.
        let _ = self.processes.signal(libc::SIGCONT);
        let kill_at = now + self.bounds.grace;
        self.phase = Phase::Asked { kill_at };
        if self.drain_until.is_some() {
            self.drain_until = Some(kill_at);
        }
    }

    fn kill(&mut self, now: Instant) {
        let _ = self.processes.signal(libc::SIGKILL);
        self.phase = Phase::Killed { give_up_at: now + REAP_BOUND };
        if self.drain_until.is_some() {
            self.drain_until = Some(self.end_of_drain(now));
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some() || self.failure.is_some()
    }

    /// The programs are left alone from now on: dropping the engine ends nothing.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        let disarmed = self.lifelines.drain(..).map(Lifeline::disarm).fold(Ok(()), io::Result::and);
        self.settled = true;
        crate::start::leave(&self.processes);
        disarmed
    }
}

/// Waits until an engine has something to serve: which one, and what. Empty: the moment is over.
pub(crate) fn wait(engines: &[&Engine], until: Option<Instant>) -> io::Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::with_capacity(8);
    let mut fds = Vec::with_capacity(8);
    for (i, engine) in engines.iter().enumerate() {
        for (token, events) in engine.interests() {
            tokens.push((i, token));
            fds.push(PollFd::from_borrowed_fd(engine.descriptor(token)?, events));
        }
    }
    poll::wait(&mut fds, until)?;
    let ready = tokens.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    let told = ready.map(|((i, token), fd)| match token {
        Token::Outlet(outlet) if fd.revents() == PollFlags::HUP => (i, Token::Closed(outlet)),
        token => (i, token),
    });
    Ok(told.collect())
}

/// The earlier of two moments, where `None` never comes.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
