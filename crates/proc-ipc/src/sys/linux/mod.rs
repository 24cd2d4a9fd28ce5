//! Linux: sockets, `ppoll`, futexes, advice about memory.

pub(crate) mod cpus;
pub(crate) mod futex;
pub(crate) mod local;
pub(crate) mod memory;
pub(crate) mod poll;
pub(crate) mod socket;

use rustix::io::Errno;

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
