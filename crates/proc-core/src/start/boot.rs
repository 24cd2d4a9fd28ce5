//! The first message to a new process, sent before the process exists: who it is, and what it is to do.
//!
//! It waits in the socket that the process inherits. So nobody waits for a handshake, and a process that dies before it
//! has read it is seen to have ended, like any other.

use super::work::{self, Order, Work};
use super::{detach, lifeline, panics};
use crate::family;
use crate::fd::Fd;
use crate::inherit::LocalFd;
use crate::process::{self, Description, Link, Reply, SpawnError};
use crate::sys::signals;
use crate::transfer::{self, Packed, packet};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Changes whenever the message does. Only equal images talk to each other, so it guards against nothing but us.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Boot {
    version: u32,
    name: String,
    /// Whether `name` was chosen, and is shown by `ps`.
    named: bool,
    /// Whether it forks once more before anything else.
    detached: bool,
    /// Whether it leads a process group of its own. (One that is detached has to begin it anew.)
    leads: bool,
    parent: u32,
    /// `None` where a sandbox gives no pidfd.
    parent_pidfd: Option<Fd<OwnedFd>>,
    family: family::Key,
    lifeline: Option<Fd<OwnedFd>>,
    /// The signals whose disposition the process does not have from its parent already.
    foreign: u64,
    /// Those of them that the parent ignored.
    ignored: u64,
    /// The signals that the starting thread blocked.
    mask: u64,
    order: Order,
}

/// What is sent of the process itself, beside its work.
pub(super) struct Passport<'a> {
    name: &'a str,
    named: bool,
    detached: bool,
    leads: bool,
    /// Signals whose disposition here must be told: for an image that is executed here the system passes on what is
    /// ignored, but for the one that Rust's runtime ignores before `main`.
    foreign: u64,
    lifeline: Option<BorrowedFd<'a>>,
}

impl<'a> Passport<'a> {
    /// That of a process which is `description`, and is called `name`.
    pub(super) fn of(
        description: &Description,
        name: &'a str,
        foreign: u64,
        lifeline: Option<BorrowedFd<'a>>,
    ) -> Self {
        Passport {
            name,
            named: description.name.is_some(),
            detached: description.detached,
            leads: description.settings.group.is_some(),
            foreign,
            lifeline,
        }
    }
}

/// Sends the message. It never waits: nothing else is in the socket yet.
pub(super) fn send(link: &Link, passport: &Passport<'_>, work: &Work) -> Result<(), SpawnError> {
    let fail = |e: io::Error| SpawnError::io("the work could not be sent to the new process", e);
    let duplicate = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(Fd);
    let boot = Boot {
        version: VERSION,
        name: passport.name.to_owned(),
        named: passport.named,
        detached: passport.detached,
        leads: passport.leads,
        parent: std::process::id(),
        parent_pidfd: process::pidfd_of_self().map_err(fail)?.map(Fd),
        family: family::key(),
        lifeline: passport.lifeline.map(duplicate).transpose().map_err(fail)?,
        foreign: passport.foreign,
        ignored: signals::ignored(passport.foreign),
        mask: signals::mask(),
        order: work.order.clone(),
    };
    let head = transfer::pack(&boot).map_err(|e| fail(io::Error::other(e)))?;
    let packed = work.packed();
    let mut bytes = Vec::with_capacity(packed.bytes.len() + head.bytes.len() + TRAILER);
    bytes.extend_from_slice(&packed.bytes);
    bytes.extend_from_slice(&head.bytes);
    bytes.extend_from_slice(&(head.bytes.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(&(head.fds.len() as u32).to_ne_bytes());
    let mut fds = work::borrow(&head.fds);
    fds.extend(work::borrow(&packed.fds));
    // A deadline that has passed: one try.
    packet::send(link.socket(), &bytes, &fds, Some(Instant::now())).map_err(fail)
}

/// The lengths of the head in bytes and in descriptors.
const TRAILER: usize = 8;

fn parse(mut bytes: Vec<u8>, mut fds: Vec<OwnedFd>) -> Result<(Boot, Packed), String> {
    let short = || "the first message is cut off".to_owned();
    let number = |at: usize| {
        let word = bytes.get(bytes.len().checked_sub(at)?..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*word) as usize)
    };
    let (head_len, head_fds) = (number(8).ok_or_else(short)?, number(4).ok_or_else(short)?);
    let end = bytes.len() - TRAILER;
    let start = end.checked_sub(head_len).ok_or_else(short)?;
    if head_fds > fds.len() {
        return Err(short());
    }
    let payload_fds = fds.split_off(head_fds);
    let boot: Boot = transfer::unpack(&bytes[start..end], fds).map_err(|e| e.to_string())?;
    if boot.version != VERSION {
        return Err(format!("the first message has version {}, not {VERSION}", boot.version));
    }
    bytes.truncate(start);
    Ok((boot, Packed { bytes, fds: payload_fds }))
}

/// How long a new process waits for its first message, which was sent before it existed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The life of a new process: takes the message from `link`, does the work, replies. Gives the exit code.
///
/// With `parent`, the message must say that this process sent it. `ignored` are the signals that are ignored here, if that
/// is known.
pub(super) fn serve(link: OwnedFd, parent: Option<u32>, ignored: Option<signals::Set>) -> i32 {
    let message = receive(link.as_fd(), parent);
    // What the function forks must not hold the link open.
    let link = LocalFd::new(link);
    let seal = Seal::of(link.as_fd());
    let reply = match message.and_then(|message| message.map(|message| settle(message, ignored)).transpose())
    {
        Ok(Some((boot, packed))) => {
            panics::watch(link.as_fd().as_raw_fd(), seal);
            boot.order.run(packed)
        }
        // The parent ended before it sent anything: nobody is there to be told.
        Ok(None) => return EXIT_NO_PARENT,
        Err(why) => Reply::Refused(why),
    };
    deliver(link, seal, reply)
}

/// The first message; returns in the process that is to do the work.
fn receive(link: BorrowedFd<'_>, parent: Option<u32>) -> Result<Option<(Boot, Packed)>, String> {
    let message = packet::recv(link, Some(Instant::now() + PATIENCE));
    let Some((bytes, fds)) = message.map_err(|e| format!("its first message did not arrive: {e}"))? else {
        return Ok(None);
    };
    let (boot, packed) = parse(bytes, fds)?;
    if parent.is_some_and(|parent| parent != boot.parent) {
        return Err("its first message is not from the process that made the socket".into());
    }
    if boot.detached {
        detach::detach(link)?;
        if boot.leads {
            let group = rustix::process::setpgid(None, None);
            group.map_err(|e| format!("it can't lead a process group: {e}"))?;
        }
    }
    Ok(Some((boot, packed)))
}

/// Becomes what the message says.
fn settle(
    (mut boot, packed): (Boot, Packed),
    ignored: Option<signals::Set>,
) -> Result<(Boot, Packed), String> {
    family::join(boot.family);
    if let Some(read) = boot.lifeline.take() {
        lifeline::hold(read.0).map_err(|e| format!("it could not be tied to its parent: {e}"))?;
    }
    signals::match_ignored(boot.foreign, boot.ignored, ignored);
    // Only now: a zygote's child has held back what was sent to it so far.
    signals::set_mask(boot.mask);
    let shown = if boot.named { boot.name.clone() } else { program_name() };
    set_comm(&shown);
    process::become_child(boot.name.clone(), boot.parent, boot.parent_pidfd.take().map(|fd| fd.0));
    Ok((boot, packed))
}

/// The name that the shell gave the program: after an exec of `/proc/self/exe` the kernel says `exe`.
fn program_name() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Sets the name that `ps` shows; the kernel keeps 15 bytes.
pub(super) fn set_comm(name: &str) {
    let bytes: Vec<u8> = name.bytes().take_while(|b| *b != 0).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(bytes) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// The parent ended before the process had its work.
pub(super) const EXIT_NO_PARENT: i32 = 70;
/// The value could not be delivered: the program closed descriptors that it was not given.
pub(super) const EXIT_UNDELIVERED: i32 = 71;
/// As Rust's runtime has it for a panic in `main`.
pub(super) const EXIT_PANICKED: i32 = 101;

/// What tells our socket from another descriptor that got its number after the program had closed it.
#[derive(Clone, Copy)]
pub(super) struct Seal {
    device: u64,
    inode: u64,
}

impl Seal {
    /// A descriptor that can't be looked at is sealed as none is.
    pub(super) fn of(link: BorrowedFd<'_>) -> Seal {
        match rustix::fs::fstat(link) {
            Ok(stat) => Seal { device: stat.st_dev, inode: stat.st_ino },
            Err(_) => Seal::from_parts((0, 0)),
        }
    }

    pub(super) fn from_parts((device, inode): (u64, u64)) -> Seal {
        Seal { device, inode }
    }

    pub(super) fn parts(self) -> (u64, u64) {
        (self.device, self.inode)
    }

    pub(super) fn holds(self, link: BorrowedFd<'_>) -> bool {
        self.inode != 0 && Seal::of(link).parts() == self.parts()
    }
}

/// Sends the reply and gives the exit code. The process ends with it.
pub(super) fn deliver(link: LocalFd, seal: Seal, reply: Reply) -> i32 {
    // The function may have closed it, and its number may name something else by now: it is not ours to close.
    let link = std::mem::ManuallyDrop::new(link);
    let code = match &reply {
        Reply::Panicked(_) => EXIT_PANICKED,
        Reply::Refused(_) | Reply::Encode(_) => EXIT_UNDELIVERED,
        _ => 0,
    };
    let Ok(socket) = link.get() else {
        return undelivered("the function that it returned from is another process's, which forked this one");
    };
    if !seal.holds(socket) {
        return undelivered("its function closed the descriptor that leads to its parent");
    }
    let gone = |e: &io::Error| matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
    match process::reply(socket, reply) {
        Ok(()) => code,
        // The parent has gone, or has dropped its handle: nobody wants the value.
        Err(e) if gone(&e) => code,
        Err(e) => {
            let why = format!("it could not be sent to the parent: {e}");
            // Which is smaller, and owns no descriptor.
            match process::reply(socket, Reply::Encode(why.clone())) {
                Ok(()) => EXIT_UNDELIVERED,
                Err(_) => undelivered(&why),
            }
        }
    }
}

/// Says on standard error, if anybody reads it, what can't be said to the parent.
fn undelivered(why: &str) -> i32 {
    // Not `eprintln`, which panics if nobody does.
    let _ = writeln!(io::stderr(), "the value of process {} is lost: {why}", std::process::id());
    EXIT_UNDELIVERED
}
