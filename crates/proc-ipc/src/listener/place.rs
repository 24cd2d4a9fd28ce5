//! The address of a listener while it is taken.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use proc_core::inherit::{LocalFd, NotInherited};

use super::address::{Address, Kind};
use crate::sys::local::{self, DirLock};

/// How long others may hold the lock of the directory before it is ignored. Ours hold it for some microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// A listening socket, its file, and the epoll instance of its handshakes.
#[derive(Debug)]
pub(super) struct Place {
    address: Address,
    /// The socket file, by a path that stays right when the working directory changes, and which file it is.
    file: Option<(PathBuf, Option<[u64; 2]>)>,
    epoll: Arc<LocalFd>,
}

impl Place {
    pub(super) fn bind(address: Address) -> io::Result<(Place, OwnedFd)> {
        let sock = local::socket()?;
        let epoll = Arc::new(LocalFd::new(local::epoll()?));
        let file = match &address.0 {
            Kind::Abstract(name) if name.is_empty() => return Err(empty()),
            Kind::Abstract(name) => {
                local::bind_abstract(sock.as_fd(), name)?;
                None
            }
            Kind::Path(path) if path.as_os_str().is_empty() => return Err(empty()),
            Kind::Path(path) => {
                let path = std::path::absolute(path)?;
                bind_file(&sock, &path)?;
                let which = local::socket_file(&path);
                Some((path, which))
            }
        };
        Ok((Place { address, file, epoll }, sock))
    }

    pub(super) fn check(&self) -> Result<(), NotInherited> {
        self.epoll.get().map(|_| ())
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| &**path)
    }

    pub(super) fn epoll(&self) -> &Arc<LocalFd> {
        &self.epoll
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((path, Some(which))) = &self.file else { return };
        // Not a forked child's business, nor is the file of somebody who came after us.
        if self.check().is_ok() && local::socket_file(path) == Some(*which) {
            let _ = local::unlink(path);
        }
    }
}

fn empty() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the address is empty")
}

/// Binds, over the file of a listener that is gone if need be.
///
/// Between the look whether somebody listens and the removal, and between bind and listen, two would take each other's
/// file for a stale one; a lock on the directory keeps our listeners apart.
fn bind_file(sock: &OwnedFd, path: &Path) -> io::Result<()> {
    let _lock = path.parent().and_then(lock);
    match local::bind_path(sock.as_fd(), path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_stale(path)? => {
            local::unlink(path)?;
            local::bind_path(sock.as_fd(), path)
        }
        other => other,
    }
}

/// `None` if the directory can't be read or locked: then there is none.
fn lock(dir: &Path) -> Option<DirLock> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match DirLock::try_new(dir) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other.ok(),
        }
    }
}

/// Whether it is a socket that nobody listens on.
fn is_stale(path: &Path) -> io::Result<bool> {
    if local::socket_file(path).is_none() {
        return Ok(false);
    }
    let probe = local::socket()?;
    Ok(local::connect_path(probe.as_fd(), path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused))
}
