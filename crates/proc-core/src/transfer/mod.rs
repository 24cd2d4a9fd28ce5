//! Values that cross to another process, with the descriptors they own.
//!
//! [`pack`] turns a value into bytes and descriptors, [`unpack`] turns them back. Whatever is `Serialize` crosses; types
//! that own descriptors (see [`Fd`](crate::Fd)) hand a duplicate to the transfer that is under way in their thread.
//!
//! ```
//! use proc_core::transfer::{pack, unpack};
//!
//! let packed = pack(&("seven", 7_u32)).unwrap();
//! let (word, number): (String, u32) = unpack(&packed.bytes, packed.fds).unwrap();
//! assert_eq!((word.as_str(), number), ("seven", 7));
//! ```
//!
//! # Strictness
//!
//! What crosses has neither names nor types in it. That makes it small and fast, and it means that a sender and a
//! receiver who disagree would read each other's fields: with a `skip_serializing_if` on `a`, the usual encoders of this
//! family silently turn `(S { a: None, b: 0, c: 1 }, [1, 5])` into `(S { a: None, b: 1, c: 2 }, [5])`. So whatever could
//! make the two disagree is an error here, at one end or the other, and never other data:
//!
//! - a skipped field (`skip_serializing_if`, or `skip_serializing` alone), a number of fields, elements or entries that
//!   differs from the announced one, a sequence or map of unknown length (`flatten`): an error of the sender, or of the
//!   receiver where only it can see it;
//! - representations that need names (`untagged`, `tag = "..."`, `flatten`): an error of the receiver at the latest;
//! - bytes that are left over, elements that the receiver does not read, descriptors that it does not take: an error;
//! - an implementation of `Serialize` or `Deserialize` that goes on after an error of a part: an error of the whole.
//!
//! What is not told apart is another type altogether: whoever sends must see to it that the receiver decodes the same.
//!
//! # Format
//!
//! Both ends are the same program on the same machine, so the format is not a stable one. It is
//! [postcard](https://docs.rs/postcard)'s, with what strictness adds:
//!
//! - a struct, tuple struct, tuple variant or struct variant starts with its number of fields as a varint;
//! - the index of a variant is followed by a mark of 16 bits over its name and its shape (unit, newtype, tuple, struct),
//!   because serde counts variants differently on the two sides when some are skipped;
//! - a `char` is its number as a varint.
//!
//! A top-level `Vec<N>` or `[N]` of plain numbers (`u8` to `u128`, `i8` to `i128`, `usize`, `isize`, `f32`, `f64`) has
//! no length and no varints: it is the memory of the elements, in native order, and crosses at the speed of a copy.
//! Inside of other types serde shows us bytes one at a time; `#[serde(with = "serde_bytes")]` mends that.
//!
//! # Limits
//!
//! Values nest at most 128 levels deep (options, sequences, maps, enums: what a recursive type consists of), so that
//! bytes from a broken peer can't exhaust the stack. Elements without any bytes, as in `Vec<()>`, may outnumber the
//! bytes of the message by 2^16, so that ten bytes can't keep a receiver busy for ever.
//!
//! # Hidden state
//!
//! The transfers under way in a thread are a stack in thread-local storage: nested calls of [`pack`] and [`unpack`]
//! push, each level sees its own descriptors only, and another thread has none of them. No descriptor outlives a failed
//! or panicking call.

mod decode;
mod encode;
mod error;
mod frame;
mod pack;
pub mod packet;
mod plain;
mod unpack;
mod variant;
mod varint;

pub use self::{
    error::{PackError, UnpackError},
    frame::{give, is_active, take},
    pack::{Packed, pack, pack_into},
    plain::bytes_of as plain_bytes,
    unpack::unpack,
};

/// Levels of options, sequences, maps and enums in one value. serde_json has the same; in a debug build a level costs
/// about a kilobyte of stack or two, and a thread has two megabytes.
const MAX_DEPTH: u32 = 128;

/// Elements of no size that a message may have beyond its number of bytes.
const FREE_ELEMENTS: u64 = 1 << 16;
