//! Tests for what crosses: a value that was packed is unpacked as the same value, and costs no descriptor.
#![cfg(feature = "functions")]

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ffi::OsString,
    fmt::Debug,
    net::IpAddr,
    num::NonZero,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proc_core::transfer::{pack, pack_into, unpack};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

fn crosses<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(value: T) {
    let packed = pack(&value).unwrap();
    assert!(packed.fds.is_empty());
    let back: T = unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(back, value);
    // Nothing shorter and nothing longer is a value.
    if !packed.bytes.is_empty() && size_of::<T>() < 64 {
        let mut longer = packed.bytes.clone();
        longer.push(0);
        if !std::any::type_name::<T>().starts_with("alloc::vec::Vec<") {
            unpack::<T>(&packed.bytes[..packed.bytes.len() - 1], Vec::new()).unwrap_err();
            unpack::<T>(&longer, Vec::new()).unwrap_err();
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Plain {
    a: u8,
    b: String,
    c: Option<Box<Plain>>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Tuple(u8, #[serde(skip)] u8, Vec<u16>);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct OneOfTwo(u32, #[serde(skip)] u8);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Newtype(i64);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct NoFields {}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(transparent)]
struct Transparent {
    inner: u64,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Shapes {
    Unit,
    Newtype(u8),
    Tuple(u8, String),
    Struct {
        a: u8,
        b: Vec<u8>,
    },
    Empty(),
    EmptyStruct {},
    #[serde(rename = "a name that is longer than eight bytes")]
    Renamed(i8),
}

#[test]
fn smoke() {
    crosses(42_u64);
}

#[test]
fn primitives() {
    crosses(());
    crosses(true);
    for i in [0, 1, -1, i128::MIN, i128::MAX] {
        crosses(i as i8);
        crosses(i as i16);
        crosses(i as i32);
        crosses(i as i64);
        crosses(i);
        crosses(i as u8);
        crosses(i as u16);
        crosses(i as u32);
        crosses(i as u64);
        crosses(i as u128);
        crosses(i as usize);
        crosses(i as isize);
    }
    crosses(1.5_f32);
    crosses(f64::MIN_POSITIVE);
    crosses('ß');
    crosses(String::from("Größe"));
    crosses(NonZero::new(7_u32));
}

#[test]
fn structures() {
    let plain = Plain { a: 1, b: "two".into(), c: Some(Box::new(Plain { a: 3, b: String::new(), c: None })) };
    crosses((plain.clone(), vec![plain.clone(); 3], [plain]));
    crosses((
        Tuple(1, 0, vec![2, 300]),
        OneOfTwo(7, 0),
        Newtype(-1),
        Unit,
        NoFields {},
        Transparent { inner: 5 },
    ));
    crosses(vec![
        Shapes::Unit,
        Shapes::Newtype(1),
        Shapes::Tuple(2, "3".into()),
        Shapes::Struct { a: 4, b: vec![5, 6] },
        Shapes::Empty(),
        Shapes::EmptyStruct {},
        Shapes::Renamed(-3),
    ]);
    crosses(BTreeMap::from([(1, "a".to_string()), (2, "b".to_string())]));
    crosses(HashMap::from([("x".to_string(), vec![1_u8]), ("y".to_string(), vec![])]));
    crosses(VecDeque::from([1_u8, 2]));
    crosses([[1_u8; 3]; 2]);
    crosses([0_u8; 0]);
    crosses(Result::<u8, String>::Err("no".into()));
    crosses(Some(Some(None::<u8>)));
    crosses(vec![(); 1000]);
}

#[test]
fn types_of_std() {
    crosses(Duration::new(3, 4));
    crosses(SystemTime::UNIX_EPOCH + Duration::from_nanos(17));
    crosses(PathBuf::from("/tmp/ä"));
    crosses(OsString::from("os"));
    crosses("127.0.0.1:80".parse::<std::net::SocketAddr>().unwrap());
    crosses("::1".parse::<IpAddr>().unwrap());
    crosses(1..5_u8);
    crosses(std::ops::Bound::Included(3));
    crosses(std::cmp::Reverse(3));
    crosses(Box::<str>::from("boxed"));
    crosses(std::ffi::CString::new("c").unwrap());
}

#[test]
fn borrowed_forms_cross_as_owned_ones() {
    let text: &str = "text";
    let packed = pack(text).unwrap();
    assert_eq!(unpack::<String>(&packed.bytes, packed.fds).unwrap(), text);
    let numbers: &[u32] = &[1, 2, 1 << 30];
    let packed = pack(numbers).unwrap();
    assert_eq!(unpack::<Vec<u32>>(&packed.bytes, packed.fds).unwrap(), numbers);
    let words: &[String] = &["a".into(), "b".into()];
    let packed = pack(words).unwrap();
    assert_eq!(unpack::<Vec<String>>(&packed.bytes, packed.fds).unwrap(), words);
    let path = std::path::Path::new("/a/b");
    let packed = pack(path).unwrap();
    assert_eq!(unpack::<PathBuf>(&packed.bytes, packed.fds).unwrap(), path);
}

#[test]
fn vectors_of_plain_numbers_cross_as_memory() {
    macro_rules! memory {
        ($($number:ty)*) => {$(
            let numbers: Vec<$number> = (0..100_u8).map(|i| i as $number).collect();
            let packed = pack(&numbers).unwrap();
            assert_eq!(packed.bytes.len(), size_of_val(&numbers[..]), stringify!($number));
            assert_eq!(unpack::<Vec<$number>>(&packed.bytes, Vec::new()).unwrap(), numbers);
            crosses(Vec::<$number>::new());
            if size_of::<$number>() > 1 {
                unpack::<Vec<$number>>(&packed.bytes[1..], Vec::new()).unwrap_err();
            }
        )*};
    }
    memory! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    // The same numbers inside of something else cross through serde.
    crosses((vec![1_u32, 2], vec![3_u8]));
    crosses(Some(vec![1.5_f64]));
}

#[test]
fn appends_to_the_buffers() {
    let (mut bytes, mut fds) = (b"before".to_vec(), Vec::new());
    pack_into(&7_u8, &mut bytes, &mut fds).unwrap();
    pack_into(&vec![1_u8, 2], &mut bytes, &mut fds).unwrap();
    assert_eq!(bytes, b"before\x07\x01\x02");
}

#[test]
fn text_that_is_formatted_on_the_way_has_its_own_length() {
    struct Formatted(Arc<std::sync::atomic::AtomicUsize>);
    impl std::fmt::Display for Formatted {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // Another text each time.
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            f.write_str(&"x".repeat(10 + n * 200))
        }
    }
    impl Serialize for Formatted {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_str(self)
        }
    }
    let value = Formatted(Arc::default());
    for n in 0..3 {
        let packed = pack(&(1_u8, [&value.0].map(|n| Formatted(n.clone())), 2_u8)).unwrap();
        let (a, [text], b): (u8, [String; 1], u8) = unpack(&packed.bytes, Vec::new()).unwrap();
        assert_eq!((a, text.len(), b), (1, 10 + n * 200, 2));
    }
}
