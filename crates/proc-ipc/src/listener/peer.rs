//! Who is at the other end.

use std::{io, os::fd::BorrowedFd};

use crate::sys::local;

/// Who connects, or who listens: what the kernel says, as of when it did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Peer {
    /// `None` if its process has no number in our namespace.
    pub(super) fn of(sock: BorrowedFd<'_>) -> io::Result<Option<Peer>> {
        let (pid, uid, gid) = local::peer(sock)?;
        Ok(u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| Peer { pid, uid, gid }))
    }
}

/// Which users get in: those of the filter, or else our own.
type Filter = dyn Fn(&Peer) -> bool + Send + Sync;

#[derive(Default)]
pub(super) struct Users(pub(super) Option<Box<Filter>>);

impl Users {
    pub(super) fn allow(&self, peer: &Peer) -> bool {
        match &self.0 {
            None => peer.uid == local::user(),
            Some(filter) => filter(peer),
        }
    }
}
