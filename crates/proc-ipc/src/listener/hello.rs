//! What both sides say of themselves first.

use std::io;

use rustix::rand::GetRandomFlags;

use super::{error::Refusal, key::Key};
use crate::sys::local;

const MAGIC: [u8; 4] = *b"mpl1";

/// Of the handshake, the rings and the encoding: none of them is a stable format, so each release is on its own.
const VERSION: u32 = fnv(b"version ", env!("CARGO_PKG_VERSION")) as u32;

const KEYED: u32 = 1;

/// Length of a hello. Magic and version stay where they are in every version.
pub(super) const LEN: usize = 76;

/// What is to be the same on both sides, or the other way round.
#[derive(Clone, Debug)]
pub(super) struct Types {
    sends: u64,
    receives: u64,
    /// For a message about it.
    pub(super) text: String,
}

impl Types {
    pub(super) fn of<S, R>(protocol: Option<&str>) -> Types {
        if let Some(name) = protocol {
            let hash = fnv(b"protocol ", name);
            return Types { sends: hash, receives: hash, text: format!("speaks {name}") };
        }
        let (sends, receives) = (std::any::type_name::<S>(), std::any::type_name::<R>());
        let text = format!("sends {sends}, receives {receives}");
        Types { sends: fnv(b"type ", sends), receives: fnv(b"type ", receives), text }
    }
}

/// FNV-1a: the same in every program, unlike the standard library's hashers. It tells mistakes, not attacks.
const fn fnv(prefix: &[u8], name: &str) -> u64 {
    let parts = [prefix, name.as_bytes()];
    let (mut hash, mut part): (u64, usize) = (0xcbf2_9ce4_8422_2325, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            hash = (hash ^ parts[part][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        part += 1;
    }
    hash
}

/// The bytes are in native order: both are on one machine.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    version: u32,
    flags: u32,
    sends: u64,
    receives: u64,
    namespace: [u64; 2],
    nonce: [u8; 32],
}

impl Hello {
    pub(super) fn new(types: &Types, key: Option<&Key>) -> io::Result<Hello> {
        let mut nonce = [0; 32];
        if key.is_some() {
            // Up to 256 bytes come whole, and no signal interrupts that.
            let n = rustix::rand::getrandom(&mut nonce, GetRandomFlags::empty())?;
            if n != nonce.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Hello {
            version: VERSION,
            flags: if key.is_some() { KEYED } else { 0 },
            sends: types.sends,
            receives: types.receives,
            namespace: local::pid_namespace(),
            nonce,
        })
    }

    pub(super) fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.version.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        let words = [self.sends, self.receives, self.namespace[0], self.namespace[1]];
        for (at, word) in words.iter().enumerate() {
            bytes[12 + at * 8..20 + at * 8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[44..].copy_from_slice(&self.nonce);
        bytes
    }

    /// # Errors
    ///
    /// `Version`; `None` if it is no hello at all.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Hello, Option<Refusal>> {
        let half = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let word = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
        let version = half(4).filter(|_| bytes.starts_with(&MAGIC)).ok_or(None)?;
        if version != VERSION {
            return Err(Some(Refusal::Version));
        }
        let read = || {
            Some(Hello {
                version,
                flags: half(8)?,
                sends: word(12)?,
                receives: word(20)?,
                namespace: [word(28)?, word(36)?],
                nonce: bytes.get(44..)?.try_into().ok()?,
            })
        };
        read().ok_or(None)
    }

    /// Whether the two can work together.
    pub(super) fn agree(&self, theirs: &Hello) -> Result<(), Refusal> {
        if self.flags != theirs.flags {
            return Err(Refusal::Key);
        }
        let known = self.namespace != [0, 0] && theirs.namespace != [0, 0];
        if known && self.namespace != theirs.namespace {
            return Err(Refusal::Namespace);
        }
        if (self.sends, self.receives) != (theirs.receives, theirs.sends) {
            return Err(Refusal::Types(String::new()));
        }
        Ok(())
    }
}
