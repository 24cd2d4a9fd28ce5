//! Bytes to text, by a stated rule.

use std::str::Utf8Error;

/// How [`read`](crate::Command::read), [`lines`](crate::Command::lines) and [`Session`](crate::Session) make text of
/// bytes. A character is never torn: text is made of whole lines, or of the whole output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8; anything else is an error that still holds the bytes.
    #[default]
    Utf8,
    /// UTF-8; what is not becomes U+FFFD.
    Utf8Lossy,
    /// ISO 8859-1: each byte is the character of that number. Never an error.
    Latin1,
}

impl Encoding {
    pub(crate) fn decode(self, bytes: Vec<u8>) -> Result<String, (Utf8Error, Vec<u8>)> {
        match self {
            Encoding::Utf8 => String::from_utf8(bytes).map_err(|e| (e.utf8_error(), e.into_bytes())),
            Encoding::Utf8Lossy => Ok(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
            }),
            Encoding::Latin1 => Ok(bytes.into_iter().map(char::from).collect()),
        }
    }
}
