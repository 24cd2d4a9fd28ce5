//! Numbers in postcard's form, seven bits a byte with the lowest first, written and read a word at a time.
//!
//! postcard writes byte by byte into a buffer of its own, and copies that with a call of `memmove`: `[u64; 8]` took 33 to
//! 82 ns to write where this takes 8 to 25, and 100 pairs of `u32` 720 to 990 where this takes 150 to 395. Byte by byte,
//! `[u64; 8]` took 48 to 82 ns to read and takes 27 to 40.

/// The longest form of 64 bits.
const MAX: usize = 10;
/// The bits that say that another byte follows.
const MORE: u64 = 0x8080_8080_8080_8080;

/// Appends `value`.
#[inline]
pub(super) fn write(bytes: &mut Vec<u8>, value: u64) {
    bytes.reserve(MAX);
    let len = bytes.len();
    // SAFETY: there is room for `MAX` bytes behind `len`, and every byte up to the new length is written.
    unsafe {
        let at = bytes.as_mut_ptr().add(len);
        let written = if value < 1 << 7 {
            at.write(value as u8);
            1
        } else if value < 1 << 56 {
            let width = (value.ilog2() as usize + 7) / 7;
            let more = MORE & ((1 << (8 * (width - 1))) - 1);
            at.cast::<u64>().write_unaligned((spread(value) | more).to_le());
            width
        } else {
            at.cast::<u64>().write_unaligned((spread(value) | MORE).to_le());
            let top = value >> 63;
            at.add(8).write((value >> 56) as u8 & 0x7f | (top as u8) << 7);
            at.add(9).write(top as u8);
            9 + top as usize
        };
        bytes.set_len(len + written);
    }
}

/// Takes a number off the front of `bytes`. `None`, and nothing is taken, if it does not end within them or has more than
/// 64 bits.
#[inline]
pub(super) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if *first < 1 << 7 {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    let (value, width) = read_long(bytes);
    *bytes = bytes.get(width..)?;
    Some(value)
}

/// The number at the front and its width, which is `usize::MAX` if there is none. Not inlined: a visitor has one for
/// each field, and the compiler then inlined none of its steps (40 to 60 ns for `[u64; 8]`).
#[inline(never)]
fn read_long(bytes: &[u8]) -> (u64, usize) {
    let word = match bytes.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => short_word(bytes),
    };
    let ends = !word & MORE;
    if ends != 0 {
        // All bits up to the one that ends the number.
        return (gather(word & (ends ^ (ends - 1))), ends.trailing_zeros() as usize / 8 + 1);
    }
    let low = gather(word);
    match (bytes.get(8), bytes.get(9)) {
        (Some(ninth @ ..=0x7f), _) => (low | u64::from(*ninth) << 56, 9),
        (Some(ninth), Some(tenth @ ..=1)) => {
            (low | u64::from(ninth & 0x7f) << 56 | u64::from(*tenth) << 63, 10)
        }
        _ => (0, usize::MAX),
    }
}

/// Less than eight bytes, as a number, with zeros behind: two loads that may overlap.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<2>(), bytes.last()) {
        u64::from(u16::from_le_bytes(*first)) | u64::from(*last) << (8 * (len - 1))
    } else {
        bytes.first().map_or(0, |byte| u64::from(*byte))
    }
}

/// Signed numbers of few bits, whatever their sign, as unsigned ones of few bits.
#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The low 56 bits, seven to a byte.
#[inline]
fn spread(value: u64) -> u64 {
    let value = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x0fff_c000_0fff_c000) << 2;
    value & 0x007f_007f_007f_007f | (value & 0x3f80_3f80_3f80_3f80) << 1
}

/// The reverse of [`spread`]; the eighth bit of each byte does not count.
#[inline]
fn gather(word: u64) -> u64 {
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4
}
