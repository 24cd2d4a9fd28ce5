//! The transfers under way in this thread, and their descriptors.
//!
//! serde passes no context to `Serialize` and `Deserialize`, so it comes from thread-local storage. A frame lives on the
//! stack of the [`pack`](super::pack) or [`unpack`](super::unpack) that made it and is left by a guard, so that frames
//! nest as calls do, whatever panics.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
};

use super::error::Fault;

thread_local! {
    /// The innermost transfer of this thread; null without one. It has no destructor and is set at compile time, so an
    /// access is one instruction: with a `RefCell<Vec<_>>` in its place a transfer of eight bytes took twice as long.
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// A ticket is `index << KIND_BITS | kind`.
const KIND_BITS: u32 = 4;

struct Frame {
    outer: *const Frame,
    fds: Fds,
    /// The last error that [`give`] or [`take`] reported, for the `source` of what serde makes of it; 0 for none.
    errno: Cell<i32>,
}

enum Fds {
    /// The list of the caller of [`Sending::run`], behind a pointer: moving it here and back took a third of the time
    /// of a small transfer.
    Giving {
        all: NonNull<Vec<OwnedFd>>,
        start: usize,
    },
    Taking {
        all: RefCell<Vec<Option<OwnedFd>>>,
    },
}

/// Hands a duplicate of `fd` to the transfer under way in this thread, for use in an implementation of `Serialize`.
/// The result is a ticket to be serialized in its place, from which [`take`] gets the descriptor at the other end.
///
/// A ticket states the place of the descriptor in the message and its kind (file, socket, pipe, ...).
///
/// # Errors
///
/// - `Unsupported`: nothing is being packed in this thread;
/// - `EMFILE`: the process is out of descriptors.
///
/// # Examples
///
/// A type of one's own that owns a descriptor, and something beside it:
///
/// ```
/// use proc_core::transfer::{give, pack, take, unpack};
/// use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
/// use std::{fs::File, os::fd::AsFd};
///
/// struct Log {
///     file: File,
///     lines: u64,
/// }
///
/// impl Serialize for Log {
///     fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
///         let ticket = give(self.file.as_fd()).map_err(ser::Error::custom)?;
///         (ticket, self.lines).serialize(serializer)
///     }
/// }
///
/// impl<'de> Deserialize<'de> for Log {
///     fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
///         let (ticket, lines) = <(u32, u64)>::deserialize(deserializer)?;
///         Ok(Log { file: take(ticket).map_err(de::Error::custom)?.into(), lines })
///     }
/// }
///
/// let packed = pack(&Log { file: File::open("/dev/null")?, lines: 7 })?;
/// let log: Log = unpack(&packed.bytes, packed.fds)?;
/// assert_eq!((log.lines, log.file.metadata()?.len()), (7, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn give(fd: BorrowedFd<'_>) -> io::Result<u32> {
    with_innermost(|frame| match frame.map(|f| &f.fds) {
        Some(Fds::Giving { all, start }) => {
            // SAFETY: the list lives as long as the frame, whose owner does not touch it meanwhile. This is the only
            // place that does, in this thread alone, and nothing called from here comes back.
            let all = unsafe { &mut *all.as_ptr() };
            let index = u32::try_from(all.len() - start).ok().filter(|i| *i < 1 << (32 - KIND_BITS));
            let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ETOOMANYREFS))?;
            let ticket = index << KIND_BITS | kind(fd)?;
            all.push(fd.try_clone_to_owned()?);
            Ok(ticket)
        }
        _ => Err(inactive(
            "a descriptor can only be serialized while it is packed to cross to another process",
        )),
    })
}

/// Takes the descriptor behind a ticket of [`give`] out of the message that is being unpacked in this thread, for use in
/// an implementation of `Deserialize`.
///
/// # Errors
///
/// - `Unsupported`: nothing is being unpacked in this thread;
/// - `InvalidData`: the message has no such descriptor, it was taken before, or it is of another kind.
pub fn take(ticket: u32) -> io::Result<OwnedFd> {
    with_innermost(|frame| match frame.map(|f| &f.fds) {
        Some(Fds::Taking { all }) => {
            let mut all = all.borrow_mut();
            let index = (ticket >> KIND_BITS) as usize;
            let Some(slot) = all.get_mut(index) else {
                return Err(invalid(format!(
                    "descriptor {index} is not among the {} of the message",
                    all.len()
                )));
            };
            let Some(fd) = slot else {
                return Err(invalid(format!("descriptor {index} of the message was taken before")));
            };
            if kind(fd.as_fd())? != ticket & ((1 << KIND_BITS) - 1) {
                return Err(invalid(format!(
                    "descriptor {index} of the message is not of the kind that was sent"
                )));
            }
            slot.take().ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        _ => Err(inactive(
            "a descriptor can only be deserialized while it is unpacked from another process's message",
        )),
    })
}

/// Whether a transfer is under way in this thread: whether this code runs inside of a [`pack`](super::pack) or
/// [`unpack`](super::unpack).
pub fn is_active() -> bool {
    !INNERMOST.get().is_null()
}

/// The sending end of a transfer.
pub(super) struct Sending<'a> {
    frame: &'a Frame,
    bytes: &'a mut Vec<u8>,
    /// Length of `bytes` before.
    start: usize,
    done: bool,
}

impl Sending<'_> {
    /// Runs `work` on `bytes` with a frame into which descriptors are given. If it fails or panics, `bytes` and `fds`
    /// are as before. The error has the errno of the last descriptor that failed.
    #[inline]
    pub(super) fn run(
        bytes: &mut Vec<u8>,
        fds: &mut Vec<OwnedFd>,
        work: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), (Fault, i32)> {
        let frame = Frame {
            outer: INNERMOST.get(),
            fds: Fds::Giving { start: fds.len(), all: NonNull::from(fds) },
            errno: Cell::new(0),
        };
        let start = bytes.len();
        INNERMOST.set(&raw const frame);
        let mut this = Sending { frame: &frame, bytes, start, done: false };
        work(this.bytes).map_err(|fault| (fault, frame.errno.get()))?;
        this.done = true;
        Ok(())
    }

    #[cold]
    fn undo(&mut self) {
        self.bytes.truncate(self.start);
        if let Fds::Giving { all, start } = self.frame.fds {
            // SAFETY: the list outlives `self`, and without the frame in `INNERMOST` nobody else reaches it.
            unsafe { &mut *all.as_ptr() }.truncate(start);
        }
    }
}

impl Drop for Sending<'_> {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.frame.outer);
        if !self.done {
            self.undo();
        }
    }
}

/// The receiving end of a transfer.
pub(super) struct Receiving<'a> {
    frame: &'a Frame,
}

impl Receiving<'_> {
    /// Runs `work` with a frame from which `fds` can be taken, and sees to it that all were. The rest is closed.
    #[inline]
    pub(super) fn run<T>(
        fds: Vec<OwnedFd>,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, (Fault, i32)> {
        let all = if fds.is_empty() { Vec::new() } else { fds.into_iter().map(Some).collect() };
        let frame = Frame {
            outer: INNERMOST.get(),
            fds: Fds::Taking { all: RefCell::new(all) },
            errno: Cell::new(0),
        };
        INNERMOST.set(&raw const frame);
        let this = Receiving { frame: &frame };
        let value = work().map_err(|fault| (fault, frame.errno.get()))?;
        drop(this);
        match &frame.fds {
            Fds::Taking { all } => match all.borrow().iter().flatten().count() {
                0 => Ok(value),
                left => Err((Fault::left_over(left), 0)),
            },
            Fds::Giving { .. } => Ok(value),
        }
    }
}

impl Drop for Receiving<'_> {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.frame.outer);
    }
}

/// Runs `work` on the innermost frame, and keeps its errno there.
fn with_innermost<T>(work: impl FnOnce(Option<&Frame>) -> io::Result<T>) -> io::Result<T> {
    let innermost = INNERMOST.get();
    // SAFETY: a non-null pointer is to a frame on the stack of a `run` further up in this thread, whose guard resets
    // the pointer before the frame is gone; nobody has a mutable reference to a frame.
    let frame = unsafe { innermost.as_ref() };
    let result = work(frame);
    if let (Some(frame), Err(e)) = (frame, &result) {
        frame.errno.set(e.raw_os_error().unwrap_or(0));
    }
    result
}

/// The file type of a descriptor, in four bits. Both ends run on one kernel, so it need not mean more than "the same".
fn kind(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(stat.st_mode >> 12 & ((1 << KIND_BITS) - 1))
}

#[cold]
fn inactive(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

#[cold]
fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
