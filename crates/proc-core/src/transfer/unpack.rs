//! From bytes and descriptors to a value.

use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;

use super::{decode, error::UnpackError, frame::Receiving, plain};

/// Decodes what [`pack`](super::pack) made of a `T`, or of its borrowed form (`[N]` for `Vec<N>`, `str` for `String`).
///
/// All the bytes and all the descriptors must be used, each descriptor once. Those that are not handed to the value are
/// closed.
///
/// # Errors
///
/// - the bytes are not those of a `T`, or not all of them are;
/// - a descriptor is missing, was taken twice, is of another kind than the one that was sent, or is left over;
/// - the type can't cross (see [the module](super#strictness)), or its `Deserialize` failed.
pub fn unpack<T: DeserializeOwned + 'static>(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<T, UnpackError> {
    if let Some(plain) = plain::value_of(bytes) {
        return match plain {
            Ok(value) if fds.is_empty() => Ok(value),
            Ok(_) => Err(UnpackError::left_over::<T>(fds.len())),
            Err(fault) => Err(UnpackError::new::<T>(fault, 0)),
        };
    }
    Receiving::run(fds, || decode::decode(bytes))
        .map_err(|(fault, errno)| UnpackError::new::<T>(fault, errno))
}
