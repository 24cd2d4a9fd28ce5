//! What a new process is to do: an entry, a function and an argument, as data; and the reply as a value.

use crate::image::{self, Code, ImageId};
use crate::message::Message;
use crate::process::{JoinError, Link, Reply, SpawnError, SpawnErrorKind};
use crate::start::panics;
use crate::status::ExitStatus;
use crate::transfer::{self, Packed};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};

/// Runs a function on packed data. Its address crosses, monomorphised for the function's types.
/// Its second argument is the hash of the types that the function was sent with.
pub(crate) type Entry = unsafe fn(*const (), u64, Packed) -> Reply;

/// How a process's end and reply become a value.
pub(crate) type Decode<R> = fn(Option<Reply>, ExitStatus) -> Result<R, JoinError>;

/// Work as its sender holds it: it can be sent more than once.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) order: Order,
    packed: Packed,
}

/// The part of the work that is checked before anything is run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    image: ImageId,
    entry: Code,
    target: Code,
    types: u64,
}

impl Work {
    /// `f(arg)` in the other process.
    pub(crate) fn new<A: Message, R: Message>(f: fn(A) -> R, arg: &A) -> Result<Work, SpawnError> {
        Work::with_entry::<A, R>(run::<A, R>, f as *const (), arg)
    }

    /// Work through another entry, which takes `target` for what it knows it to be.
    pub(crate) fn with_entry<A: Message, R: 'static>(
        entry: Entry,
        target: *const (),
        arg: &A,
    ) -> Result<Work, SpawnError> {
        let foreign = |e: image::ImageError| SpawnError::new(SpawnErrorKind::Function, e.to_string());
        let order = Order {
            image: image::id().map_err(foreign)?.clone(),
            entry: Code::of(entry as *const ()).map_err(foreign)?,
            target: Code::of(target).map_err(foreign)?,
            types: image::types_hash::<A, R>(),
        };
        let packed = transfer::pack(arg).map_err(|e| {
            SpawnError::new(SpawnErrorKind::Argument, "the argument does not cross").with_source(e)
        })?;
        Ok(Work { order, packed })
    }

    /// The packed argument's bytes and descriptors.
    pub(crate) fn packed(&self) -> &Packed {
        &self.packed
    }
}

impl Order {
    /// Runs the work here.
    ///
    /// The order must have come from a process of ours: the check against the image catches another build, not a
    /// malicious sender.
    pub(crate) fn run(&self, packed: Packed) -> Reply {
        match self.resolve() {
            // SAFETY: the entry is a function of this image at an offset that the same image took from an `Entry`;
            // the target is the one that this entry was sent with.
            Ok((entry, target)) => unsafe { entry(target, self.types, packed) },
            Err(e) => Reply::Refused(e.to_string()),
        }
    }

    fn resolve(&self) -> Result<(Entry, *const ()), image::ImageError> {
        if image::own_id()? != &self.image {
            return Err(image::ImageError::Other);
        }
        let (entry, target) = (self.entry.address()?, self.target.address()?);
        // SAFETY: the address is in this image's code, at the offset of an `Entry` of the same image.
        Ok((unsafe { std::mem::transmute::<*const (), Entry>(entry) }, target))
    }
}

/// The entry for plain functions.
///
/// # Safety
/// `target` is a `fn(A) -> R`.
unsafe fn run<A: Message, R: Message>(target: *const (), types: u64, packed: Packed) -> Reply {
    if let Some(refused) = refuse_types::<A, R>(types) {
        return refused;
    }
    // SAFETY: the caller's promise.
    let f = unsafe { std::mem::transmute::<*const (), fn(A) -> R>(target) };
    call(packed, f)
}

/// A refusal, unless `types` is the hash of these.
pub(super) fn refuse_types<A: 'static, R: 'static>(types: u64) -> Option<Reply> {
    (types != image::types_hash::<A, R>())
        .then(|| Reply::Refused("the function has other types than the ones it was sent with".into()))
}

/// Unpacks the argument, calls `f`, packs the value; a panic in any of the three is the reply.
pub(crate) fn call<A: Message, R: Message>(packed: Packed, f: impl FnOnce(A) -> R) -> Reply {
    let run = || match transfer::unpack::<A>(&packed.bytes, packed.fds) {
        Ok(arg) => pack_value(&f(arg)),
        Err(e) => Reply::Refused(format!("its argument could not be decoded: {e}")),
    };
    panics::catch(run).unwrap_or_else(Reply::Panicked)
}

/// A value as a reply.
pub(crate) fn pack_value<R: Message>(value: &R) -> Reply {
    match transfer::pack(value) {
        Ok(packed) => Reply::Value(packed),
        Err(e) => Reply::Encode(e.to_string()),
    }
}

/// The value that a reply holds. A value that arrived counts, however the process ended after it.
pub(crate) fn decode<R: Message>(reply: Option<Reply>, status: ExitStatus) -> Result<R, JoinError> {
    match reply {
        Some(Reply::Value(packed)) => {
            let value = transfer::unpack(&packed.bytes, packed.fds);
            value.map_err(|e| JoinError::Decode(e.to_string()))
        }
        Some(Reply::Panicked(panic)) => Err(JoinError::Panicked(panic)),
        Some(Reply::Encode(why)) => Err(JoinError::Encode(why)),
        Some(Reply::Refused(why)) => Err(JoinError::Refused(why)),
        _ => Err(JoinError::from_status(status)),
    }
}

/// The two ends of a new link, or why there is none.
pub(crate) fn new_link() -> Result<(Link, OwnedFd), SpawnError> {
    Link::new().map_err(|e| SpawnError::io("no socket to the new process could be made", e))
}

/// Duplicates descriptors that are sent once more.
pub(crate) fn borrow(fds: &[OwnedFd]) -> Vec<std::os::fd::BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}
