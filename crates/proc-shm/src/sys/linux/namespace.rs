//! Which process ids and which clock this process sees.

use std::{io, sync::Mutex};

use proc_core::inherit::Lineage;

/// A PID namespace, in which thread ids mean what they mean, and a time namespace, in which the start of a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) pid: u64,
    pub(crate) time: u64,
}

/// That of this process. It is looked up once: a process can't leave its PID namespace, only its children can.
///
/// # Errors
///
/// There is no `/proc`.
pub(crate) fn own() -> io::Result<Namespace> {
    static OWN: Mutex<Option<(Lineage, Namespace)>> = Mutex::new(None);
    // A fork of another thread, in the middle of this, leaves the child a lock that nobody opens: it looks again each
    // time.
    let Ok(mut own) = OWN.try_lock() else { return look() };
    match *own {
        Some((lineage, namespace)) if lineage.is_current() => Ok(namespace),
        _ => {
            let namespace = look()?;
            *own = Some((Lineage::current(), namespace));
            Ok(namespace)
        }
    }
}

fn look() -> io::Result<Namespace> {
    // All namespaces are files of one file system, so that the inode says which.
    let pid = rustix::fs::stat("/proc/self/ns/pid")?.st_ino;
    // Kernels built without time namespaces have one clock.
    let time = rustix::fs::stat("/proc/self/ns/time").map_or(0, |stat| stat.st_ino);
    Ok(Namespace { pid, time })
}
