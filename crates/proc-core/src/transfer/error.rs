//! What can go wrong in a transfer.

use std::{any::type_name, borrow::Cow, error::Error, fmt, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MAX_DEPTH;

/// A value could not be encoded.
pub struct PackError(Box<Cause>);

/// A value could not be decoded.
pub struct UnpackError(Box<Cause>);

#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<io::Error>,
}

/// What the encoder and the decoder say; a thin pointer, so that the result of each small step stays in registers.
#[derive(Debug)]
pub(super) struct Fault(Box<Cow<'static, str>>);

impl PackError {
    #[cold]
    pub(super) fn new<T: ?Sized>(fault: Fault, errno: i32) -> PackError {
        PackError(Cause::new(format!("cannot encode `{}`: {fault}", type_name::<T>()), errno))
    }
}

impl UnpackError {
    #[cold]
    pub(super) fn new<T>(fault: Fault, errno: i32) -> UnpackError {
        UnpackError(Cause::new(format!("cannot decode `{}`: {fault}", type_name::<T>()), errno))
    }

    #[cold]
    pub(super) fn left_over<T>(fds: usize) -> UnpackError {
        UnpackError::new::<T>(Fault::left_over(fds), 0)
    }
}

impl Cause {
    fn new(text: String, errno: i32) -> Box<Cause> {
        let source = (errno != 0).then(|| io::Error::from_raw_os_error(errno));
        Box::new(Cause { text, source })
    }
}

impl Fault {
    #[cold]
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault(Box::new(text.into()))
    }

    #[cold]
    pub(super) fn too_deep() -> Fault {
        Fault::new(format!("it nests more than {MAX_DEPTH} levels deep"))
    }

    #[cold]
    pub(super) fn left_over(fds: usize) -> Fault {
        Fault::new(format!("{fds} of the descriptors of the message were not taken"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Fault {}

impl From<postcard::Error> for Fault {
    #[cold]
    fn from(error: postcard::Error) -> Fault {
        Fault::new(match error {
            postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early",
            postcard::Error::DeserializeBadVarint => "a number is malformed or too large",
            postcard::Error::DeserializeBadBool => "a bool or option is neither 0 nor 1",
            postcard::Error::DeserializeBadUtf8 => "a string is not UTF-8",
            other => return Fault::new(other.to_string()),
        })
    }
}

impl serde::ser::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Fault {
        Fault::new(text.to_string())
    }
}

impl serde::de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Fault {
        Fault::new(text.to_string())
    }
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for PackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}

impl From<PackError> for io::Error {
    fn from(error: PackError) -> io::Error {
        let kind = error.0.source.as_ref().map_or(io::ErrorKind::InvalidInput, io::Error::kind);
        io::Error::new(kind, error)
    }
}

impl Serialize for PackError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cause::deserialize(deserializer).map(|cause| PackError(Box::new(cause)))
    }
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for UnpackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}

impl From<UnpackError> for io::Error {
    fn from(error: UnpackError) -> io::Error {
        let kind = error.0.source.as_ref().map_or(io::ErrorKind::InvalidData, io::Error::kind);
        io::Error::new(kind, error)
    }
}

impl Serialize for UnpackError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UnpackError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cause::deserialize(deserializer).map(|cause| UnpackError(Box::new(cause)))
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.text, self.source.as_ref().and_then(io::Error::raw_os_error)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (text, errno) = <(String, Option<i32>)>::deserialize(deserializer)?;
        Ok(Cause { text, source: errno.map(io::Error::from_raw_os_error) })
    }
}
