//! One program: our description handed to the spawner.

use super::streams::Ends;
use super::{Lifeline, wants_group};
use crate::command::{Command, Limits};
use crate::engine::{KillScope, Member};
use crate::error::Cause;
use crate::stdio::Held;
use crate::sys::signals;
use proc_core::spawner::{LifelineScope, Spawner, Step};
use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

/// How far a kill of a call reaches, and what that needs.
pub(super) struct Reach {
    pub(super) scope: KillScope,
    /// A group is made because of a bound, not because a setting asks for it.
    pub(super) makes_group: bool,
    /// The first program leads a group, and those after it belong to that group or lead one.
    leads: bool,
    lifeline: bool,
    pub(super) ends_rest: bool,
}

impl Reach {
    pub(super) fn new(stages: &[&Command], limits: &Limits) -> Self {
        let settings = &stages[0].settings;
        // A pipeline has no terminal.
        let own =
            settings.session || settings.group == Some(0) || stages.len() == 1 && is_on_terminal(stages[0]);
        let bounded = limits.timeout.is_some() && limits.scope.is_none() || wants_group(limits.scope);
        let makes_group = bounded && !own && settings.group.is_none();
        let leads = own || makes_group;
        let scope = match limits.scope {
            // A group that others made is not ours to end.
            Some(KillScope::Group) | None if !leads => KillScope::Child,
            None => KillScope::Group,
            Some(scope) => scope,
        };
        let tied = limits.timeout.is_some() || limits.scope.is_some();
        let lifeline = limits.die_with_parent.unwrap_or(tied);
        Reach { scope, makes_group, leads, lifeline, ends_rest: bounded || lifeline }
    }

    /// The group of the next program: its own, that of an earlier one, or ours.
    fn place(&self, command: &Command, has_terminal: bool, before: &[Member]) -> Place {
        let settings = &command.settings;
        if settings.session || has_terminal || settings.group == Some(0) {
            return Place::Leads;
        }
        if !self.leads || settings.group.is_some() {
            return Place::Joins(None);
        }
        // Another session's groups can't be joined.
        let leader = before.iter().position(|member| member.leads && !member.has_session);
        leader.map_or(Place::Leads, |leader| Place::Joins(Some(leader)))
    }

    /// Whom the tie of a program is armed for, if it has one of its own.
    fn tie(&self, place: Place) -> Option<LifelineScope> {
        match (place, self.scope) {
            _ if !self.lifeline => None,
            (Place::Joins(Some(_)), KillScope::Group | KillScope::Tree | KillScope::Cgroup) => None,
            (Place::Leads, KillScope::Group | KillScope::Tree | KillScope::Cgroup) => {
                Some(LifelineScope::Group)
            }
            // Its group was made by others: it can be tied by itself only.
            _ => Some(LifelineScope::Process),
        }
    }
}

/// Which group a program is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// One that is made for it.
    Leads,
    /// That of an earlier program, or what its settings say, or ours.
    Joins(Option<usize>),
}

fn is_on_terminal(command: &Command) -> bool {
    #[cfg(feature = "pty")]
    return command.pty.is_some();
    #[cfg(not(feature = "pty"))]
    {
        let _ = command;
        false
    }
}

/// Starts one stage. The descriptors in `ends` are closed with the return: only the program has them then. `lifelines`
/// are those of the stages before it, by their index; a new one is given with the stage that it is armed for. A program whose
/// file is still being written is tried again until `deadline` at the latest.
pub(super) fn spawn(
    command: &Command,
    ends: Ends,
    reach: &Reach,
    before: &[Member],
    lifelines: &[(usize, Lifeline)],
    deadline: Option<Instant>,
) -> Result<(Member, Option<Lifeline>), Cause> {
    let fds = take_fds(command)?;
    let cgroup = match &command.settings.cgroup {
        Some(folder) => {
            let procs = folder.join("cgroup.procs");
            let opened = std::fs::OpenOptions::new().write(true).open(&procs);
            Some(
                opened
                    .map_err(|e| Cause::Prepare("its control group could not be opened", Some(procs), e))?,
            )
        }
        None => None,
    };
    let program = program(command);
    let own = OnceCell::new();
    let mut spawner = Spawner::new(&program);
    spawner.arg0(command.arg0.as_ref().unwrap_or(&command.program)).deadline(deadline);
    describe(&mut spawner, command);
    for (held, number) in [(&ends.stdin, 0), (&ends.stdout, 1), (&ends.stderr, 2)] {
        if let Some(held) = held {
            spawner.fd(held.as_fd(), number);
        }
    }
    for (number, held) in &fds {
        spawner.fd(held.as_fd(), *number);
    }
    if let Some(procs) = &cgroup {
        spawner.cgroup(procs.as_fd());
    }
    if let Some(terminal) = &ends.terminal {
        spawner.session().controlling_terminal(terminal.as_fd());
    }
    let has_session = command.settings.session || ends.terminal.is_some();
    let place = reach.place(command, ends.terminal.is_some(), before);
    match place {
        Place::Leads if !has_session => {
            spawner.process_group(0);
        }
        Place::Joins(Some(leader)) => {
            spawner.process_group(before[leader].child.id() as i32);
        }
        _ => {}
    }
    if let Some(scope) = reach.tie(place) {
        tie(&mut spawner, &own, scope, &fds)?;
    } else if let Place::Joins(Some(leader)) = place {
        // Every member of a group keeps the read end open, so that the tie lasts for as long as the group does.
        if let Some((_, shared)) = lifelines.iter().find(|(stage, _)| *stage == leader) {
            spawner.fd(shared.read_end(), number_for(shared, &fds));
        }
    }
    let (child, leads) = match spawner.start() {
        Ok(child) => (child, place == Place::Leads),
        // The leader has ended, and somebody else (an ignored SIGCHLD) has reaped it: there is no group to join.
        Err(error) if error.step() == Step::ProcessGroup && matches!(place, Place::Joins(Some(_))) => {
            if let Some(scope) = reach.tie(Place::Leads) {
                tie(&mut spawner, &own, scope, &fds)?;
            }
            (spawner.process_group(0).start().map_err(Cause::Start)?, true)
        }
        Err(error) => return Err(Cause::Start(error)),
    };
    drop(spawner);
    Ok((Member { child, leads, has_session }, own.into_inner()))
}

/// Gives the program a tie of its own.
fn tie<'a>(
    spawner: &mut Spawner<'a>,
    own: &'a OnceCell<Lifeline>,
    scope: LifelineScope,
    fds: &[(RawFd, Held)],
) -> Result<(), Cause> {
    let made = Lifeline::new().map_err(|e| Cause::Prepare("no pipe could be made", None, e))?;
    let made = own.get_or_init(|| made);
    spawner.fd(made.read_end(), number_for(made, fds));
    spawner.lifeline(made.read_end(), scope);
    Ok(())
}

/// The descriptors that are given away, with their numbers.
fn take_fds(command: &Command) -> Result<Vec<(RawFd, Held)>, Cause> {
    let take = |(number, once): &(RawFd, crate::stdio::Once<_>)| {
        let gone = || Cause::InvalidInput(format!("its descriptor {number} was given to an earlier start"));
        Ok((*number, once.held().ok_or_else(gone)?))
    };
    command.fds.iter().map(take).collect()
}

/// A number for the lifeline in the program that nothing else has: the one that it has here, which is within the limit
/// of descriptors.
fn number_for(lifeline: &Lifeline, fds: &[(RawFd, Held)]) -> RawFd {
    let own = lifeline.read_end().as_raw_fd();
    let taken = |number: RawFd| number < 3 || fds.iter().any(|(other, _)| *other == number);
    (own..RawFd::MAX).find(|number| !taken(*number)).unwrap_or(own)
}

/// A path with a slash is found from our directory, not from the program's.
fn program(command: &Command) -> OsString {
    let program = Path::new(&command.program);
    let has_slash = command.program.as_bytes().contains(&b'/');
    if program.is_absolute() || !(has_slash || command.is_file) {
        return command.program.clone();
    }
    if command.dir.is_some() {
        if let Ok(here) = std::env::current_dir() {
            return here.join(program).into_os_string();
        }
    }
    if has_slash { command.program.clone() } else { Path::new(".").join(program).into_os_string() }
}

fn describe(spawner: &mut Spawner<'_>, command: &Command) {
    let settings = &command.settings;
    spawner.args(command.args.iter().map(|arg| OsStr::new(&arg.value)));
    if command.clear_env {
        spawner.env_clear();
    }
    for (name, value) in &command.env {
        match value {
            Some(value) => spawner.env(name, value),
            None => spawner.env_remove(name),
        };
    }
    if let Some(dir) = &command.dir {
        spawner.current_dir(dir);
    }
    spawner.inherit_others(command.inherit_others).keep_sigpipe(settings.keep_sigpipe);
    if settings.session {
        spawner.session();
    }
    if let Some(group) = settings.group {
        spawner.process_group(group);
    }
    if let Some(mask) = settings.umask {
        spawner.umask(mask);
    }
    if let Some(nice) = settings.nice {
        spawner.nice(nice);
    }
    if let Some(cpus) = &settings.cpus {
        spawner.affinity(cpus.iter().copied());
    }
    for (resource, soft, hard) in &settings.limits {
        spawner.resource_limit(resource.number(), *soft, *hard);
    }
    if settings.no_new_privs {
        spawner.no_new_privs();
    }
    if let Some(signal) = settings.parent_death_signal {
        spawner.parent_death_signal(signal);
    }
    if let Some(mask) = settings.signal_mask {
        spawner.signal_mask(mask);
    }
    credentials(spawner, command);
}

fn credentials(spawner: &mut Spawner<'_>, command: &Command) {
    let settings = &command.settings;
    match &settings.groups {
        Some(groups) => {
            spawner.groups(groups.iter().copied());
        }
        // Whoever gives up a user gives up its groups: but only the superuser may, and a change to oneself is none.
        None if settings.user.is_some() && signals::is_superuser() => {
            spawner.groups([]);
        }
        None => {}
    }
    if let Some(gid) = settings.gid {
        spawner.gid(gid);
    }
    if let Some(uid) = settings.user {
        spawner.uid(uid);
    }
}
