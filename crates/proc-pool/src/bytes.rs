//! Encoded values: short ones in place, without an allocation.

use std::fmt;
use std::ops::Deref;

/// Bytes of an argument or a value. Up to [`SHORT`] lie in the value itself: most arguments and values of small tasks
/// do, and two allocations a task are a fifth of what it costs to hand it over.
pub(crate) enum Bytes {
    Short(u8, [u8; SHORT]),
    Long(Vec<u8>),
}

pub(crate) const SHORT: usize = 30;

/// From here on a value is sent from where it is and received in memory of its own: a copy costs more than an allocation.
pub(crate) const LARGE: usize = 16 * 1024;

impl Bytes {
    /// A copy of `bytes`.
    #[inline]
    pub(crate) fn copy(bytes: &[u8]) -> Bytes {
        if bytes.len() > SHORT {
            return Bytes::Long(bytes.to_vec());
        }
        let mut short = [0; SHORT];
        short[..bytes.len()].copy_from_slice(bytes);
        Bytes::Short(bytes.len() as u8, short)
    }

    /// As a vector, which is the same memory if they are long.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Bytes::Long(bytes) => bytes,
            Bytes::Short(len, bytes) => bytes[..usize::from(len)].to_vec(),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Short(len, bytes) => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Short(0, [0; SHORT])
    }
}

impl From<Vec<u8>> for Bytes {
    /// The vector itself if it is long.
    #[inline]
    fn from(bytes: Vec<u8>) -> Bytes {
        if bytes.len() > SHORT { Bytes::Long(bytes) } else { Bytes::copy(&bytes) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
