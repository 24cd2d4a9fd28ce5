//! Tests for strictness: a type whose two ends disagree is an error at one of them, and never other data.
#![cfg(feature = "functions")]

use std::{collections::BTreeMap, fmt::Debug};

use proc_core::transfer::{pack, pack_into, unpack};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Visitor},
    ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple},
};

/// What crossing made of a value between two others, as those are what a shift would hit.
#[derive(Debug, PartialEq)]
enum Outcome<T> {
    Refused(String),
    Arrived(T),
}

fn cross<T: Serialize + DeserializeOwned + 'static>(value: T) -> Outcome<T> {
    let packed = match pack(&(0x0102_0304_u32, value, [1_u8, 5, 0, 1])) {
        Ok(packed) => packed,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    match unpack::<(u32, T, [u8; 4])>(&packed.bytes, packed.fds) {
        Err(e) => Outcome::Refused(e.to_string()),
        Ok((before, value, after)) => {
            assert_eq!((before, after), (0x0102_0304, [1, 5, 0, 1]), "a shift");
            Outcome::Arrived(value)
        }
    }
}

#[track_caller]
fn refused<T: Serialize + DeserializeOwned + Debug + 'static>(value: T, why: &str) {
    match cross(value) {
        Outcome::Refused(text) => assert!(text.contains(why), "{text:?} does not say {why:?}"),
        Outcome::Arrived(value) => panic!("it arrived as {value:?}"),
    }
}

#[track_caller]
fn arrives<T: Serialize + DeserializeOwned + Debug + PartialEq + Clone + 'static>(value: T) {
    assert_eq!(cross(value.clone()), Outcome::Arrived(value));
}

#[test]
fn smoke() {
    arrives(7_u8);
}

#[test]
fn skip_serializing_if_is_refused_when_it_skips() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Fields {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        b: u8,
        c: u8,
    }
    arrives(Fields { a: Some(3), b: 0, c: 1 });
    refused(Fields { a: None, b: 0, c: 1 }, "`Fields` skips its field `a`");

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Tuple(#[serde(skip_serializing_if = "Option::is_none")] Option<u8>, u8, u8);
    arrives(Tuple(Some(1), 2, 3));
    refused(Tuple(None, 0, 1), "2 fields were sent, and 3 are expected");

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    enum Variants {
        Struct {
            #[serde(skip_serializing_if = "Option::is_none")]
            a: Option<u8>,
            b: u8,
        },
        Tuple(#[serde(skip_serializing_if = "Option::is_none")] Option<u8>, u8),
    }
    arrives(Variants::Struct { a: Some(1), b: 2 });
    arrives(Variants::Tuple(Some(1), 2));
    refused(Variants::Struct { a: None, b: 1 }, "`Struct` skips its field `a`");
    refused(Variants::Tuple(None, 1), "1 fields were sent, and 2 are expected");
}

#[test]
fn fields_that_one_side_skips_are_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Sender {
        #[serde(skip_serializing, default)]
        a: u8,
        b: u8,
    }
    refused(Sender { a: 1, b: 2 }, "1 fields were sent, and 2 are expected");

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Receiver {
        #[serde(skip_deserializing)]
        a: u8,
        b: u8,
    }
    refused(Receiver { a: 1, b: 2 }, "2 fields were sent, and 1 are expected");

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Tuple(#[serde(skip_deserializing)] u8, u8);
    refused(Tuple(1, 2), "fields were sent");

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    enum Variant {
        Sender(#[serde(skip_serializing, default)] u8),
        Receiver(#[serde(skip_deserializing)] u8),
        Both(#[serde(skip)] u8),
    }
    refused(Variant::Sender(1), "in another shape");
    refused(Variant::Receiver(1), "in another shape");
    assert_eq!(cross(Variant::Both(1)), Outcome::Arrived(Variant::Both(0)));

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Both {
        #[serde(skip)]
        a: u8,
        b: u8,
    }
    assert_eq!(cross(Both { a: 1, b: 2 }), Outcome::Arrived(Both { a: 0, b: 2 }));
}

/// A newtype has no count of fields that could tell. It needs none: serde's derive sends the field of a newtype whatever
/// its attributes say.
#[test]
fn newtypes_with_a_skipped_field_cross_whole() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Sender(#[serde(skip_serializing, default)] u8);
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Receiver(#[serde(skip_deserializing)] u8);
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Both(#[serde(skip)] u8);
    arrives(Sender(1));
    arrives(Receiver(1));
    arrives(Both(1));
}

#[test]
fn variants_after_a_skipped_one_are_never_other_variants() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    enum Holey {
        A(u8),
        #[serde(skip)]
        #[allow(dead_code)]
        B,
        C(u8),
        D(u8),
        E(u8),
    }
    arrives(Holey::A(1));
    for value in [Holey::C(1), Holey::D(1), Holey::E(1)] {
        refused(value, "is not known here, or by another name");
    }
}

#[test]
fn flatten_is_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Inner {
        x: u8,
        y: u8,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Outer {
        a: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    refused(Outer { a: 1, inner: Inner { x: 2, y: 3 } }, "flatten");
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Rest {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    refused(Rest { a: 1, rest: BTreeMap::new() }, "flatten");
}

#[test]
fn representations_that_need_names_are_refused() {
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Text(String),
        Unit,
    }
    for value in [Untagged::Number(1), Untagged::Text("x".into()), Untagged::Unit] {
        refused(value, "untagged");
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    #[serde(tag = "type")]
    enum Internally {
        A { x: u8 },
        B,
    }
    for value in [Internally::A { x: 1 }, Internally::B] {
        refused(value, "");
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    #[serde(tag = "type", content = "data")]
    enum Adjacently {
        A(u8),
        B,
    }
    for value in [Adjacently::A(1), Adjacently::B] {
        refused(value, "");
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    enum Partly {
        Tagged(u8),
        #[serde(untagged)]
        Untagged(u8),
    }
    for value in [Partly::Tagged(1), Partly::Untagged(1)] {
        refused(value, "untagged");
    }
}

/// Serializes as told, deserializes as a pair of bytes.
struct Told(Tell);

#[derive(Clone, Copy)]
enum Tell {
    TooFew,
    TooMany,
    UnknownLength,
    ValueForKey,
    EndsWithKey,
    SwallowsAnError,
    SwallowsInStruct,
}

struct Fails;

impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // Some bytes, and then no more.
        let mut tuple = s.serialize_tuple(2)?;
        tuple.serialize_element(&7_u8)?;
        Err(serde::ser::Error::custom("this part fails"))
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Tell::TooFew => {
                let mut seq = s.serialize_seq(Some(2))?;
                seq.serialize_element(&1_u8)?;
                seq.end()
            }
            Tell::TooMany => {
                let mut seq = s.serialize_tuple(1)?;
                seq.serialize_element(&1_u8)?;
                let _ = seq.serialize_element(&2_u8);
                seq.end()
            }
            Tell::UnknownLength => s.collect_seq((0..3_u8).filter(|i| *i != 1)),
            Tell::ValueForKey => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_value(&1_u8)?;
                map.end()
            }
            Tell::EndsWithKey => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_key(&1_u8)?;
                map.end()
            }
            Tell::SwallowsAnError => {
                let mut seq = s.serialize_seq(Some(2))?;
                let _ = seq.serialize_element(&Fails);
                seq.serialize_element(&2_u8)?;
                seq.end()
            }
            Tell::SwallowsInStruct => {
                let mut fields = s.serialize_struct("Told", 1)?;
                let _ = fields.serialize_field("a", &Fails);
                fields.end()
            }
        }
    }
}

#[test]
fn serializers_that_miscount_or_go_on_after_an_error_are_refused() {
    for (tell, why) in [
        (Tell::TooFew, "not as many parts as it announced"),
        (Tell::TooMany, "went on after an error"),
        (Tell::UnknownLength, "not known beforehand"),
        (Tell::ValueForKey, "has a value in place of a key"),
        (Tell::EndsWithKey, "not as many parts"),
        (Tell::SwallowsAnError, "went on after an error"),
        (Tell::SwallowsInStruct, "went on after an error"),
    ] {
        let (mut bytes, mut fds) = (vec![9], Vec::new());
        let error = pack_into(&[Told(tell)], &mut bytes, &mut fds).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(bytes, [9]);
    }
}

/// Reads a sequence of numbers as told.
#[derive(Debug, PartialEq)]
struct First(u8);
#[derive(Debug, PartialEq)]
struct Lenient(u8);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = First;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("numbers")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut a: A) -> Result<First, A::Error> {
                Ok(First(a.next_element()?.unwrap_or(0)))
            }
        }
        d.deserialize_seq(V)
    }
}

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Lenient(<(u8, bool, u8)>::deserialize(d).map_or(0, |t| t.0)))
    }
}

#[test]
fn deserializers_that_read_less_or_go_on_after_an_error_are_refused() {
    let packed = pack(&[vec![1_u8], vec![2]]).unwrap();
    assert_eq!(unpack::<[First; 2]>(&packed.bytes, Vec::new()).unwrap(), [First(1), First(2)]);
    let packed = pack(&[vec![1_u8, 7], vec![2]]).unwrap();
    let error = unpack::<[First; 2]>(&packed.bytes, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("1 parts of a sequence, map or struct were not read"), "{error}");

    let packed = pack(&((1_u8, true, 2_u8), 9_u8)).unwrap();
    assert_eq!(unpack::<(Lenient, u8)>(&packed.bytes, Vec::new()).unwrap(), (Lenient(1), 9));
    // Two bytes are read before the error, and then the next value.
    let packed = pack(&((1_u8, 2_u8), 9_u8)).unwrap();
    let error = unpack::<(Lenient, u8)>(&packed.bytes, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("went on after an error"), "{error}");
}

#[test]
fn all_bytes_must_be_used() {
    let error = unpack::<u8>(&[1, 2], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode `u8`: 1 bytes of 2 are left over");
    let error = unpack::<(u8, u32)>(&[1], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode `(u8, u32)`: the bytes end too early (at byte 1 of 1)");
    assert_eq!(format!("{error:?}"), error.to_string());
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidData);
    unpack::<Vec<u8>>(&[], vec![std::fs::File::open("/dev/null").unwrap().into()]).unwrap_err();
}

#[test]
fn depth_is_bounded_at_both_ends() {
    #[derive(Serialize, Deserialize, Debug, Default, PartialEq, Clone)]
    struct List(Option<Box<List>>);
    let list = |n| (0..n).fold(List::default(), |list, _| List(Some(Box::new(list))));
    arrives(list(128));
    refused(list(129), "nests more than 128 levels deep");

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    enum Tree {
        Node(Vec<Tree>, Box<Tree>),
        Leaf,
    }
    // A megabyte of levels, on a thread with the usual stack.
    let bytes = vec![1; 1 << 20];
    let error = unpack::<List>(&bytes, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("nests more than 128"), "{error}");
    unpack::<Tree>(&bytes, Vec::new()).unwrap_err();

    // The limit is one of depth, not of size.
    arrives(vec![Some(vec![Some(1_u8); 3]); 1000]);
    arrives(vec![list(100); 50]);
}

#[test]
fn elements_without_bytes_are_bounded_at_both_ends() {
    arrives(vec![(); 1 << 16]);
    refused(vec![(); (1 << 16) + 50], "too many elements of no size");
    let mut bytes = Vec::new();
    pack_into(&u64::MAX, &mut bytes, &mut Vec::new()).unwrap();
    let error = unpack::<Vec<()>>(&bytes, Vec::new()).unwrap_err();
    assert!(error.to_string().contains("more than the bytes can hold"), "{error}");
    // One length inside another does not multiply.
    let mut bytes = Vec::new();
    pack_into(&1000_u64, &mut bytes, &mut Vec::new()).unwrap();
    for _ in 0..1000 {
        pack_into(&1_000_000_u64, &mut bytes, &mut Vec::new()).unwrap();
    }
    unpack::<Vec<Vec<()>>>(&bytes, Vec::new()).unwrap_err();
}

#[test]
fn malformed_primitives_are_refused() {
    unpack::<bool>(&[2], Vec::new()).unwrap_err();
    unpack::<Option<()>>(&[2], Vec::new()).unwrap_err();
    unpack::<char>(&[0x80, 0xb0, 0x03], Vec::new()).unwrap_err(); // A surrogate.
    unpack::<u16>(&[0x80, 0x80, 0x04], Vec::new()).unwrap_err();
    unpack::<i16>(&[0x80, 0x80, 0x04], Vec::new()).unwrap_err();
    unpack::<u64>(&[0xff; 10], Vec::new()).unwrap_err();
    unpack::<u64>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], Vec::new()).unwrap_err();
    unpack::<u128>(&[0xff; 19], Vec::new()).unwrap_err();
    unpack::<String>(&[1, 0xff], Vec::new()).unwrap_err();
    unpack::<String>(&[5, b'a'], Vec::new()).unwrap_err();
    unpack::<u8>(&[], Vec::new()).unwrap_err();
}

#[test]
fn errors_cross() {
    let error = pack(&[Told(Tell::TooFew)]).unwrap_err();
    let packed = pack(&error).unwrap();
    let there: proc_core::transfer::PackError = unpack(&packed.bytes, packed.fds).unwrap();
    assert_eq!(there.to_string(), error.to_string());
    assert!(there.to_string().starts_with("cannot encode `[transfer_strict::Told; 1]`: "), "{there}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
}
