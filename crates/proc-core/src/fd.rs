//! Files, sockets and other owners of descriptors as values that cross.

use std::{
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that owns a descriptor, so that it crosses: `Fd<File>`, `Fd<TcpStream>`, `Fd<OwnedFd>`.
///
/// The receiver gets a duplicate of the descriptor (the same open file: its offset and its flags are shared), and the
/// sender's stays open until the sender drops it. Only the descriptor crosses: what else is in the value, such as the
/// buffer of a reader, does not.
///
/// It can be serialized only on its way to another process (see [`transfer`](crate::transfer)); in other formats it is
/// an error. In a struct of your own, `#[serde(with = "proc_core::fd")]` on a field does the same without the wrapper.
///
/// # Examples
///
/// ```
/// use std::{io::{Read, Write}, os::unix::net::UnixStream};
/// use proc_core::{Fd, transfer::{pack, unpack}};
///
/// let (mut ours, theirs) = UnixStream::pair()?;
/// let packed = pack(&Fd(theirs))?;
/// let mut crossed: Fd<UnixStream> = unpack(&packed.bytes, packed.fds)?;
///
/// crossed.write_all(b"hello")?;
/// let mut text = [0; 5];
/// ours.read_exact(&mut text)?;
/// assert_eq!(&text, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fd<T>(pub T);

impl<T> Fd<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Fd<T> {
    fn from(value: T) -> Fd<T> {
        Fd(value)
    }
}

impl<T: AsFd> AsFd for Fd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Fd)
    }
}

/// Serializes the descriptor of `value`, for `#[serde(with = "proc_core::fd")]`.
///
/// # Errors
///
/// As [`transfer::give`](crate::transfer::give).
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use proc_core::transfer::{pack, unpack};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Log {
///     level: u8,
///     #[serde(with = "proc_core::fd")]
///     file: File,
/// }
///
/// let packed = pack(&Log { level: 3, file: File::open("/dev/null")? })?;
/// let log: Log = unpack(&packed.bytes, packed.fds)?;
/// assert_eq!(log.level, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn serialize<T: AsFd, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let ticket = crate::transfer::give(value.as_fd()).map_err(serde::ser::Error::custom)?;
    serializer.serialize_u32(ticket)
}

/// Deserializes what [`serialize`] made, for `#[serde(with = "proc_core::fd")]`.
///
/// # Errors
///
/// As [`transfer::take`](crate::transfer::take).
pub fn deserialize<'de, T: From<OwnedFd>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let ticket = u32::deserialize(deserializer)?;
    crate::transfer::take(ticket).map(T::from).map_err(serde::de::Error::custom)
}
