//! What all processes of one family have: a random key, by which a function that crosses is known to come from one of
//! them.
//!
//! A family is a process that no other of its program started, and all that it started, directly or not. Bytes can be
//! made up in safe code, and an address that they name would be called; with the mark they have to come from a real
//! function of the same types that some process of the family packed.

use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// The key. It crosses in the first message to a new process and in nothing else; forked children have it in memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Key([u64; 2]);

static KEY: OnceLock<Key> = OnceLock::new();

/// This family's key, made now if no process of it needed one before. Whoever forks calls it first: a child that made
/// one of its own would be of another family.
pub(crate) fn key() -> Key {
    *KEY.get_or_init(|| {
        // The one source of random numbers in std: its keys are the system's.
        let state = RandomState::new();
        Key([state.hash_one(0_u8), state.hash_one(1_u8)])
    })
}

/// Makes this new process one of the family of `key`. It has its own if code before `init` needed one already; functions
/// then cross in neither direction.
pub(crate) fn join(key: Key) {
    let _ = KEY.set(key);
}

/// The mark of a function at `code` with types that hash to `types`.
///
/// It is SipHash-1-3 (std's default hasher, which takes no key but zero) over the key and the two numbers. That keeps
/// safe code from making one up, which is all that is asked of it: 64 bits to guess, and every guess is a message.
pub(crate) fn mark(code: u64, types: u64) -> u64 {
    let Key([first, second]) = key();
    let mut hasher = DefaultHasher::new();
    for word in [first, second, code, types] {
        hasher.write_u64(word);
    }
    hasher.finish()
}
