//! How a variant of an enum is written beside its index: a mark of 16 bits over its name and its shape.
//!
//! serde numbers the variants that it serializes among all, and those that it deserializes among the ones that are not
//! skipped. So `enum E { A(u8), #[serde(skip)] B, C(u8), D(u8) }` sends a `C` as 2, which a reader of numbers takes for a
//! `D`. The names tell. The shape tells apart a variant whose only field is skipped on one side.

pub(super) const UNIT: u16 = 0;
pub(super) const NEWTYPE: u16 = 1;
pub(super) const TUPLE: u16 = 2;
pub(super) const STRUCT: u16 = 3;

/// The mark of a variant with this name and shape.
#[inline]
pub(super) fn mark(name: &str, shape: u16) -> [u8; 2] {
    check(name).wrapping_add(shape).to_ne_bytes()
}

/// The shape of the variant with this mark; `None` if the mark is that of another name.
#[inline]
pub(super) fn shape(name: &str, mark: [u8; 2]) -> Option<u16> {
    Some(u16::from_ne_bytes(mark).wrapping_sub(check(name))).filter(|shape| *shape <= STRUCT)
}

/// 16 bits over every byte of a name: it need not resist anybody, only tell two names of one enum apart. Up to sixteen
/// bytes are two loads that may overlap, as byte by byte it was a third of the cost of a small enum.
#[inline]
fn check(name: &str) -> u16 {
    let bytes = name.as_bytes();
    let len = bytes.len();
    let mut hash = len as u64;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        for chunk in bytes[8..].chunks_exact(8) {
            hash = mix(hash ^ word(chunk));
        }
        hash = mix(mix(hash ^ u64::from_le_bytes(*first)) ^ u64::from_le_bytes(*last));
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        hash = mix(hash ^ u64::from(u32::from_le_bytes(*first)) << 32 ^ u64::from(u32::from_le_bytes(*last)));
    } else {
        hash = mix(hash ^ bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)) << 8);
    }
    (hash >> 48) as u16
}

#[inline]
fn word(chunk: &[u8]) -> u64 {
    chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[inline]
fn mix(word: u64) -> u64 {
    (word ^ word >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
