//! Tests for numbers as they cross: the bytes are postcard's, whoever of the two writes or reads them.
#![cfg(feature = "functions")]

use std::fmt::Debug;

use proc_core::transfer::{pack, unpack};
use serde::{Serialize, de::DeserializeOwned};

#[test]
fn smoke() {
    same(300_u64);
}

/// The same bytes as postcard's, alone and between others (the readers look at whole words, and nothing may be lost at
/// the end of a message), and back.
#[track_caller]
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug + Copy + 'static>(value: T) {
    let mut room = [0; 64];
    let bytes = postcard::to_slice(&value, &mut room).unwrap();
    assert_eq!(pack(&value).unwrap().bytes, bytes, "{value:?}");
    assert_eq!(unpack::<T>(bytes, Vec::new()).unwrap(), value);
    before::<T, 1>(value);
    before::<T, 2>(value);
    before::<T, 3>(value);
    before::<T, 4>(value);
    before::<T, 5>(value);
    before::<T, 6>(value);
    let around = (value, 7_u8, value, value);
    let packed = pack(&around).unwrap();
    assert_eq!(unpack::<(T, u8, T, T)>(&packed.bytes, packed.fds).unwrap(), around);
}

/// With so few small bytes behind it that no whole word is left.
#[track_caller]
fn before<T, const N: usize>(value: T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Copy + 'static,
    [u8; N]: Serialize + DeserializeOwned,
{
    let packed = pack(&(value, [1_u8; N])).unwrap();
    assert_eq!(unpack::<(T, [u8; N])>(&packed.bytes, packed.fds).unwrap(), (value, [1; N]));
}

macro_rules! every_width {
    ($($type:ident)*) => {
        $(
            for bits in 0..$type::BITS {
                let power = (1 as $type) << bits;
                for value in [power, power.wrapping_sub(1), power.wrapping_add(1), !power, power.wrapping_neg()] {
                    same(value);
                    // No two groups of seven bits alike.
                    same(value ^ 0x9e37_79b9_7f4a_7c15_u64 as $type);
                }
            }
            same($type::MIN);
            same($type::MAX);
        )*
    };
}

#[test]
fn every_width_is_as_postcard_writes_it() {
    every_width! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }
}

/// Whether postcard and the strict decoder say the same to these bytes; whether they are a `T`.
fn agree<T: DeserializeOwned + PartialEq + Debug + 'static>(bytes: &[u8]) -> bool {
    let ours = unpack::<T>(bytes, Vec::new()).ok();
    let theirs =
        postcard::take_from_bytes::<T>(bytes).ok().and_then(|(v, rest)| rest.is_empty().then_some(v));
    assert_eq!(ours, theirs, "{bytes:x?}");
    ours.is_some()
}

#[test]
fn malformed_numbers_are_judged_as_by_postcard() {
    let (mut good, mut bad) = (0, 0);
    for len in 0..=12 {
        for ends in [0x00, 0x01, 0x02, 0x03, 0x04, 0x0f, 0x10, 0x7f, 0x80, 0xff] {
            for body in [0x00_u8, 0x80, 0x81, 0xd5, 0xff] {
                let mut bytes = vec![body; len];
                bytes.push(ends);
                let results = [
                    agree::<u16>(&bytes),
                    agree::<u32>(&bytes),
                    agree::<u64>(&bytes),
                    agree::<usize>(&bytes),
                    agree::<i16>(&bytes),
                    agree::<i32>(&bytes),
                    agree::<i64>(&bytes),
                    agree::<(u64, u64)>(&bytes),
                ];
                let fine = results.iter().filter(|fine| **fine).count();
                good += fine;
                bad += results.len() - fine;
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}
