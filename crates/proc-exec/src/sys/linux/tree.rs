//! The descendants of a process, and the members of a control group, as descriptors.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What `/proc/PID/stat` says of one process.
#[derive(Clone, Copy)]
struct Entry {
    is_stopped: bool,
    parent: u32,
    group: u32,
    session: u32,
    /// Of the process itself: a number that was given to another since has another start.
    start: u64,
}

/// A process that was found, by a descriptor that is surely its own.
pub(crate) struct Found {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    /// Somebody had stopped it when it was found.
    pub(crate) was_stopped: bool,
}

/// The process group of a process, by number: of one that nobody has reaped.
pub(crate) fn group_of(pid: u32) -> Option<u32> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    Some(rustix::process::getpgid(Some(pid)).ok()?.as_raw_nonzero().get() as u32)
}

/// Whether a process is stopped, by a signal and not by a tracer.
pub(crate) fn is_stopped(pid: u32) -> bool {
    entry(pid).is_some_and(|entry| entry.is_stopped)
}

/// All descendants of `roots` by parent, and the members of groups and sessions that a root leads, whoever their parent
/// is by now; without the roots themselves.
pub(crate) fn descendants(roots: &[u32]) -> Vec<Found> {
    let all = entries();
    let mut inside: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let before = inside.len();
        for (pid, entry) in &all {
            let leads = |id: &u32| roots.contains(id);
            if inside.contains(&entry.parent) || leads(&entry.group) || leads(&entry.session) {
                inside.insert(*pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    let others = inside.into_iter().filter(|pid| !roots.contains(pid));
    others.filter_map(|pid| open(pid, all.get(&pid)?.start)).collect()
}

/// The members of the control group at `folder`.
pub(crate) fn cgroup_members(folder: &Path) -> io::Result<Vec<Found>> {
    let list = fs::read_to_string(folder.join("cgroup.procs"))?;
    let pids = list.lines().filter_map(|line| line.trim().parse().ok());
    Ok(pids.filter_map(|pid| open(pid, entry(pid)?.start)).collect())
}

/// Has the kernel kill all members of a control group (5.14 and newer).
pub(crate) fn cgroup_kill(folder: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(folder.join("cgroup.kill"))
        .and_then(|mut file| io::Write::write_all(&mut file, b"1"))
}

/// A descriptor of `pid`, if it still is the process that started at `start`.
fn open(pid: u32, start: u64) -> Option<Found> {
    let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let pidfd = pidfd_open(raw, PidfdFlags::empty()).ok()?;
    let now = entry(pid).filter(|now| now.start == start)?;
    Some(Found { pid, pidfd, was_stopped: now.is_stopped })
}

fn entries() -> BTreeMap<u32, Entry> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, entry(pid)?))).collect()
}

fn entry(pid: u32) -> Option<Entry> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything, parentheses too.
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    let text = std::str::from_utf8(&stat[after..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    // State, parent, group, session ...; the start is the 22nd field of the line.
    let is_stopped = fields.next()? == "T";
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Entry { is_stopped, parent, group, session, start })
}
