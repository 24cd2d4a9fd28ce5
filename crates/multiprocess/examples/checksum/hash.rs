//! The work of one task: a file's SHA-256.

use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};

/// A SHA-256.
pub(crate) type Sum = [u8; 32];

/// Hashes a file; `None` for what this process can't read in its caller's place. The error is the system's number, which
/// crosses as it is.
pub(crate) fn hash_file(file: Option<OsString>) -> Result<Option<Sum>, i32> {
    let Some(file) = file else { return Ok(None) };
    File::open(file).and_then(hash).map(Some).map_err(|e| e.raw_os_error().unwrap_or(5))
}

/// Hashes what only this process can read; `-` is its standard input.
pub(crate) fn hash_here(name: &OsStr) -> io::Result<Sum> {
    if name == "-" { hash(io::stdin().lock()) } else { hash(File::open(name)?) }
}

fn hash(mut input: impl Read) -> io::Result<Sum> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
