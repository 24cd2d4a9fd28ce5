//! A line as `sha256sum` writes it.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// `SUM  NAME` and a newline. A name with a backslash, a newline or a carriage return is escaped, and a backslash at the
/// line's start says so.
pub(crate) fn format(name: &OsStr, sum: &[u8]) -> Vec<u8> {
    let name = name.as_bytes();
    let escaped = escape(name);
    let mut line = Vec::with_capacity(sum.len() * 2 + escaped.len() + 4);
    if escaped.len() != name.len() {
        line.push(b'\\');
    }
    let mut digits = String::with_capacity(sum.len() * 2);
    for byte in sum {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    line.extend_from_slice(digits.as_bytes());
    line.extend_from_slice(b"  ");
    line.extend_from_slice(&escaped);
    line.push(b'\n');
    line
}

fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            other => escaped.push(*other),
        }
    }
    escaped
}

/// A name for a message on one line.
pub(crate) fn shown(name: &OsStr) -> String {
    String::from_utf8_lossy(&escape(name.as_bytes())).into_owned()
}

/// The system's words, without Rust's number behind them.
pub(crate) fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
