//! An encoded argument or value.

use crate::bytes::Bytes;
use crate::error::TaskError;
use proc_core::Message;
use proc_core::transfer::{self, Packed};
use serde::Serialize;
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::os::fd::OwnedFd;

/// Bytes, and the descriptors that go with them. As small as can be: a queued task has one.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) bytes: Bytes,
    /// Boxed, as nearly none has any.
    #[expect(clippy::box_collection, reason = "a third of the size")]
    pub(crate) fds: Option<Box<Vec<OwnedFd>>>,
}

thread_local! {
    /// Small arguments are encoded here first, so that they need no allocation.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Parcel {
    pub(crate) const EMPTY: Parcel = Parcel { bytes: Bytes::Short(0, [0; crate::bytes::SHORT]), fds: None };

    /// Encodes a value that is lent, in the thread that has it.
    ///
    /// # Errors
    /// It could not be encoded.
    pub(crate) fn pack<T: Serialize + ?Sized + 'static>(value: &T) -> Result<Parcel, TaskError> {
        // Taken out: the value's `Serialize` is foreign code, which may submit a task itself.
        let mut bytes = SCRATCH.take();
        bytes.clear();
        let mut fds = Vec::new();
        let packed = transfer::pack_into(value, &mut bytes, &mut fds);
        let parcel = packed.map(|()| {
            let short = bytes.len() <= crate::bytes::SHORT;
            let bytes = if short { Bytes::copy(&bytes) } else { Bytes::Long(std::mem::take(&mut bytes)) };
            Parcel::new(bytes, fds)
        });
        SCRATCH.set(bytes);
        parcel.map_err(|e| TaskError::Encode(e.to_string()))
    }

    /// Encodes a value that is given away: a `Vec<u8>` is its own encoding.
    ///
    /// # Errors
    /// It could not be encoded.
    #[inline]
    pub(crate) fn pack_owned<T: Serialize + 'static>(value: T) -> Result<Parcel, TaskError> {
        if TypeId::of::<T>() == TypeId::of::<Vec<u8>>() {
            if let Ok(bytes) = same::<T, Vec<u8>>(value) {
                return Ok(Parcel::new(bytes.into(), Vec::new()));
            }
            return Err(TaskError::Encode("a vector of bytes is none".into()));
        }
        Parcel::pack(&value)
    }

    pub(crate) fn new(bytes: Bytes, fds: Vec<OwnedFd>) -> Parcel {
        Parcel { bytes, fds: (!fds.is_empty()).then(|| Box::new(fds)) }
    }

    /// Decodes in the thread that wants the value: nobody else waits for a `Deserialize` that is slow or panics.
    ///
    /// # Errors
    /// The bytes are not those of an `R`.
    #[inline]
    pub(crate) fn unpack<R: Message>(self) -> Result<R, TaskError> {
        if TypeId::of::<R>() == TypeId::of::<Vec<u8>>() && self.fds.is_none() {
            if let Ok(value) = same::<Vec<u8>, R>(self.bytes.into_vec()) {
                return Ok(value);
            }
            return Err(TaskError::Decode("a vector of bytes is none".into()));
        }
        let fds = self.fds.map_or_else(Vec::new, |fds| *fds);
        transfer::unpack(&self.bytes, fds).map_err(|e| TaskError::Decode(e.to_string()))
    }
}

impl From<Packed> for Parcel {
    fn from(packed: Packed) -> Parcel {
        Parcel::new(packed.bytes.into(), packed.fds)
    }
}

/// `value` as a `B`, if that is its type.
pub(crate) fn same<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut value = Some(value);
    match (&mut value as &mut dyn Any).downcast_mut::<Option<B>>().and_then(Option::take) {
        Some(same) => Ok(same),
        None => Err(value.take().expect("what is of another type was not taken")),
    }
}
