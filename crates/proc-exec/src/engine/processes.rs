//! The processes of one call, and how far a kill reaches.

use super::KillScope;
use crate::sys::{signals, tree};
use proc_core::Child;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The processes that a call has started. Signals go by descriptor, or to a group whose leader is not reaped.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) stages: Vec<Member>,
    pub(crate) scope: KillScope,
    pub(crate) cgroup: Option<PathBuf>,
    /// A call that ends well ends what is left in its scope too: it is bounded, or tied to us.
    pub(crate) ends_rest: bool,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) child: Child,
    /// It leads a group that was made for it.
    pub(crate) leads: bool,
    /// It leads a session, which nobody can join.
    pub(crate) has_session: bool,
}

/// What stops a process unless it is handled: the kernel forgets it when the process is told to go on.
const TERMINAL_STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

impl Processes {
    /// Whether a kill reaches what the programs have started too.
    pub(crate) fn reaches_group(&self) -> bool {
        self.scope != KillScope::Child
    }

    /// Sends `signal` to all that the scope reaches. A process that has ended is no error; the first refusal is told
    /// after all were tried.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        match self.scope {
            KillScope::Child => self.signal_stages(signal, false),
            KillScope::Group => self.signal_stages(signal, true),
            KillScope::Tree => self.signal_tree(signal),
            KillScope::Cgroup => self.signal_cgroup(signal),
        }
    }

    /// Each process hears of it once, by its group or by itself: a program may count its signals, or take the second one
    /// for impatience. Only of a kill there can't be too many.
    fn signal_stages(&self, signal: i32, groups: bool) -> io::Result<()> {
        let mut result = Ok(());
        let mut reached = BTreeSet::new();
        for stage in self.stages.iter().filter(|stage| groups && stage.leads) {
            match stage.child.signal_group(signal) {
                Ok(true) => {
                    reached.insert(stage.child.id());
                }
                Ok(false) => {}
                Err(error) => result = result.and(Err(error)),
            }
        }
        for stage in &self.stages {
            // Even a leader may have moved to another group.
            let by_group = || tree::group_of(stage.child.id()).is_some_and(|group| reached.contains(&group));
            if stage.child.ended_as().is_none() && (signal == libc::SIGKILL || !by_group()) {
                result = result.and(stage.child.signal(signal));
            }
        }
        result
    }

    /// Stops what is found before it looks again, so that nothing is born behind its back; then signals all of it.
    fn signal_tree(&self, signal: i32) -> io::Result<()> {
        const ROUNDS: usize = 16;
        let unreaped = || self.stages.iter().filter(|stage| stage.child.ended_as().is_none());
        let roots: Vec<u32> = unreaped().map(|stage| stage.child.id()).collect();
        let stopped: Vec<bool> = roots.iter().map(|pid| tree::is_stopped(*pid)).collect();
        let _ = self.signal_stages(libc::SIGSTOP, false);
        let mut known = BTreeSet::new();
        let mut found = Vec::new();
        for _ in 0..ROUNDS {
            let before = found.len();
            for process in tree::descendants(&roots) {
                if known.insert(process.pid) {
                    let _ = signals::send(process.pidfd.as_fd(), libc::SIGSTOP);
                    found.push(process);
                }
            }
            if found.len() == before {
                break;
            }
        }
        // Those that were stopped before stay so, as they would without our look around.
        let go_on = || {
            for process in found.iter().filter(|process| !process.was_stopped) {
                let _ = signals::send(process.pidfd.as_fd(), libc::SIGCONT);
            }
            for (stage, _) in unreaped().zip(&stopped).filter(|(_, stopped)| !**stopped) {
                let _ = stage.child.signal(libc::SIGCONT);
            }
        };
        let stops_by_terminal = TERMINAL_STOPS.contains(&signal);
        if stops_by_terminal {
            go_on();
        }
        let leaders: BTreeSet<u32> =
            unreaped().filter(|stage| stage.leads).map(|stage| stage.child.id()).collect();
        let mut result = self.signal_stages(signal, true);
        for process in &found {
            let by_group = || tree::group_of(process.pid).is_some_and(|group| leaders.contains(&group));
            if signal == libc::SIGKILL || !by_group() {
                result = result.and(signals::send(process.pidfd.as_fd(), signal));
            }
        }
        if !stops_by_terminal && signal != libc::SIGSTOP {
            go_on();
        }
        result
    }

    fn signal_cgroup(&self, signal: i32) -> io::Result<()> {
        const ROUNDS: usize = 16;
        let Some(folder) = &self.cgroup else { return self.signal_stages(signal, true) };
        if signal == libc::SIGKILL {
            let result = self.signal_stages(signal, true);
            if tree::cgroup_kill(folder).is_ok() {
                return result;
            }
        }
        // Kernels before 5.14, and gentler signals: one by one, until nobody new is there.
        let mut known = BTreeSet::new();
        let mut result = Ok(());
        for _ in 0..ROUNDS {
            let members = match tree::cgroup_members(folder) {
                Ok(members) => members,
                Err(error) => {
                    result = result.and(Err(error));
                    break;
                }
            };
            let fresh: Vec<_> = members.into_iter().filter(|member| known.insert(member.pid)).collect();
            for member in &fresh {
                result = result.and(signals::send(member.pidfd.as_fd(), signal));
            }
            if fresh.is_empty() {
                break;
            }
        }
        // Who is not in it was moved out of it by others.
        for stage in self.stages.iter().filter(|stage| !known.contains(&stage.child.id())) {
            if stage.child.ended_as().is_none() {
                result = result.and(stage.child.signal(signal));
            }
        }
        result
    }

    /// Waits until the groups are empty after a kill, for so long at most: their members are not our children, so there
    /// is nothing to wait on but their number. To be called when the leaders are reaped.
    pub(crate) fn await_groups(&self, most: Duration) {
        let until = Instant::now() + most;
        let mut pause = Duration::from_micros(100);
        for stage in self.stages.iter().filter(|stage| stage.leads) {
            while signals::group_exists(stage.child.id()) && Instant::now() < until {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(1));
            }
        }
    }

    /// Reaps all that have ended until then. `false`: one still runs.
    pub(crate) fn reap(&self, until: Option<Instant>) -> bool {
        // An error is said in a forked child, to whom they don't belong: nothing is left to do there.
        let mut all = true;
        for stage in &self.stages {
            all &= !matches!(stage.child.wait_deadline(until), Ok(None));
        }
        all
    }
}
