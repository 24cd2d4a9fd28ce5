//! From a value to bytes and descriptors.

use std::os::fd::OwnedFd;

use serde::Serialize;

use super::{encode, error::PackError, frame::Sending, plain};

/// The most that a buffer is made for before anything is written to it.
const GUESS: usize = 1024;

/// A value on its way: its bytes, and the descriptors that it owns over there. Dropping it closes them.
#[derive(Debug, Default)]
pub struct Packed {
    /// The encoded value.
    pub bytes: Vec<u8>,
    /// Duplicates of the descriptors in the value, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// Encodes `value`, with duplicates of the descriptors that it owns.
///
/// # Errors
///
/// - the type can't cross (see [the module](super#strictness)), or its `Serialize` failed;
/// - a descriptor could not be duplicated (`EMFILE`).
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use proc_core::{Fd, transfer::{pack, unpack}};
///
/// let packed = pack(&("null", Fd(File::open("/dev/null")?)))?;
/// assert_eq!(packed.fds.len(), 1);
/// let (name, file): (String, Fd<File>) = unpack(&packed.bytes, packed.fds)?;
/// assert_eq!(name, "null");
/// assert_eq!(file.metadata()?.len(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn pack<T: Serialize + ?Sized + 'static>(value: &T) -> Result<Packed, PackError> {
    let mut packed = Packed::default();
    // What it has in itself is about what it has as bytes: without a guess `[u64; 8]` grew its buffer four times.
    packed.bytes.reserve(size_of_val(value).min(GUESS));
    pack_into(value, &mut packed.bytes, &mut packed.fds)?;
    Ok(packed)
}

/// [`pack`] into buffers that are used again: appends to both, and allocates only when they are too small.
///
/// After an error, or a panic of the value's `Serialize`, both are as they were.
///
/// # Errors
///
/// As [`pack`].
///
/// # Examples
///
/// ```
/// use proc_core::transfer::{pack_into, unpack};
///
/// let (mut bytes, mut fds) = (Vec::new(), Vec::new());
/// for word in ["one", "two"] {
///     bytes.clear();
///     pack_into(word, &mut bytes, &mut fds)?;
///     assert_eq!(unpack::<String>(&bytes, vec![])?, word);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pack_into<T: Serialize + ?Sized + 'static>(
    value: &T,
    bytes: &mut Vec<u8>,
    fds: &mut Vec<OwnedFd>,
) -> Result<(), PackError> {
    if let Some(plain) = plain::bytes_of(value) {
        bytes.extend_from_slice(plain);
        return Ok(());
    }
    Sending::run(bytes, fds, |bytes| encode::encode(value, bytes))
        .map_err(|(fault, errno)| PackError::new::<T>(fault, errno))
}
