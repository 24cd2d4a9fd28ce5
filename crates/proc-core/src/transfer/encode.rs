//! The strict encoder: postcard's format (numbers up to 64 bits are written in its form by [`varint`], the rest by
//! itself), and what holds the parts together is checked here.
//!
//! postcard's own serializer can't be wrapped from outside at its compound types: a part of a struct has to come back to
//! this encoder, whatever depth it is at, and a skipped field is not shown to a [`Flavor`].

use std::convert::identity;
use std::fmt::{self, Display, Write};

use postcard::ser_flavors::Flavor;
use serde::ser::{self, Serialize, Serializer};

use super::{FREE_ELEMENTS, MAX_DEPTH, error::Fault, variant, varint};

/// Appends `value` to `bytes`.
#[inline]
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let start = bytes.len();
    let mut encoder = Encoder { bytes, depth: 0, elements: 0, failed: false };
    value.serialize(&mut encoder)?;
    if encoder.failed {
        return Err(Fault::new("its `Serialize` went on after an error in one of its parts"));
    }
    let len = (encoder.bytes.len() - start) as u64;
    if encoder.elements > len.saturating_add(FREE_ELEMENTS) {
        return Err(Fault::new("it has too many elements of no size"));
    }
    Ok(())
}

/// Where postcard writes: behind what is in a buffer that is used again.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

struct Encoder<'a> {
    bytes: &'a mut Vec<u8>,
    /// Levels of options, sequences, maps and enums around the value at hand.
    depth: u32,
    /// Elements of all sequences and entries of all maps.
    elements: u64,
    /// A part failed. Its half is in the bytes, so the whole has failed, whatever the parent makes of the error.
    failed: bool,
}

impl<'a> Encoder<'a> {
    /// What postcard makes of a value without parts.
    #[inline]
    fn put<T: Serialize>(&mut self, value: T) -> Result<(), Fault> {
        Ok(postcard::serialize_with_flavor(&value, Append(self.bytes))?)
    }

    #[inline]
    fn put_number(&mut self, value: u64) {
        varint::write(self.bytes, value);
    }

    #[inline]
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        let result = value.serialize(&mut *self);
        self.failed |= result.is_err();
        result
    }

    #[inline]
    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Fault::too_deep()) } else { Ok(()) }
    }

    #[inline]
    fn variant(&mut self, index: u32, shape: u16, name: &str) -> Result<(), Fault> {
        self.deeper()?;
        self.put_number(u64::from(index));
        self.bytes.extend_from_slice(&variant::mark(name, shape));
        Ok(())
    }

    /// A sequence or a map, with its length before it.
    #[inline]
    fn counted(&mut self, len: Option<usize>, parts_each: usize) -> Result<Parts<'_, 'a>, Fault> {
        let len = len.ok_or_else(unknown_length)?;
        let left = len.checked_mul(parts_each).ok_or_else(unknown_length)?;
        self.deeper()?;
        self.elements = self.elements.saturating_add(len as u64);
        self.put_number(len as u64);
        Ok(Parts { encoder: self, name: "", left, level: true })
    }

    /// A struct or the like, with the number of its fields before it.
    #[inline]
    fn fields(&mut self, name: &'static str, len: usize, level: bool) -> Result<Parts<'_, 'a>, Fault> {
        self.put_number(len as u64);
        Ok(Parts { encoder: self, name, left: len, level })
    }
}

#[cold]
fn unknown_length() -> Fault {
    Fault::new("the length of a sequence or map is not known beforehand (`flatten` cannot cross)")
}

/// A sequence, map, tuple or struct that is being written.
struct Parts<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    name: &'static str,
    /// Parts that were announced and have not come yet.
    left: usize,
    /// It counts as a level of depth.
    level: bool,
}

impl Parts<'_, '_> {
    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.encoder.part(value)
            }
            None => Err(self.failed("has not as many parts as it announced")),
        }
    }

    #[inline]
    fn finish(mut self) -> Result<(), Fault> {
        if self.left != 0 {
            return Err(self.failed("has not as many parts as it announced"));
        }
        self.encoder.depth -= u32::from(self.level);
        Ok(())
    }

    #[cold]
    fn failed(&mut self, what: impl Display) -> Fault {
        self.encoder.failed = true;
        match self.name {
            "" => Fault::new(format!("a sequence, map or tuple {what}")),
            name => Fault::new(format!("`{name}` {what}")),
        }
    }
}

macro_rules! by_postcard {
    ($($method:ident: $type:ty)*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<(), Fault> {
                self.put(value)
            }
        )*
    };
}

macro_rules! in_place {
    ($($method:ident: $type:ty, $as_bits:path;)*) => {
        $(
            #[inline]
            fn $method(self, value: $type) -> Result<(), Fault> {
                self.put_number($as_bits(value.into()));
                Ok(())
            }
        )*
    };
}

impl<'e, 'a> Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Parts<'e, 'a>;
    type SerializeTuple = Parts<'e, 'a>;
    type SerializeTupleStruct = Parts<'e, 'a>;
    type SerializeTupleVariant = Parts<'e, 'a>;
    type SerializeMap = Parts<'e, 'a>;
    type SerializeStruct = Parts<'e, 'a>;
    type SerializeStructVariant = Parts<'e, 'a>;

    by_postcard! {
        serialize_bool: bool
        serialize_u8: u8 serialize_u128: u128
        serialize_i8: i8 serialize_i128: i128
        serialize_f32: f32 serialize_f64: f64
    }

    in_place! {
        serialize_u16: u16, identity;
        serialize_u32: u32, identity;
        serialize_u64: u64, identity;
        serialize_i16: i16, varint::zigzag;
        serialize_i32: i32, varint::zigzag;
        serialize_i64: i64, varint::zigzag;
    }

    /// A number, as postcard's decoder takes the first of several characters for the whole.
    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.put_number(u64::from(u32::from(value)));
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.put_bytes(value.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        self.put_bytes(value);
        Ok(())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Fault> {
        self.bytes.push(0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        self.deeper()?;
        self.bytes.push(1);
        self.part(value)?;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.part(value)
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, name: &'static str) -> Result<(), Fault> {
        self.variant(index, variant::UNIT, name)?;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.variant(index, variant::NEWTYPE, name)?;
        self.part(value)?;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Parts<'e, 'a>, Fault> {
        self.variant(index, variant::TUPLE, name)?;
        self.fields(name, len, true)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Parts<'e, 'a>, Fault> {
        self.variant(index, variant::STRUCT, name)?;
        self.fields(name, len, true)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Parts<'e, 'a>, Fault> {
        self.counted(len, 1)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Parts<'e, 'a>, Fault> {
        self.counted(len, 2)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Parts<'e, 'a>, Fault> {
        Ok(Parts { encoder: self, name: "", left: len, level: false })
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Parts<'e, 'a>, Fault> {
        self.fields(name, len, false)
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Parts<'e, 'a>, Fault> {
        self.fields(name, len, false)
    }

    /// Formats once, into place, and moves the text by the width of its length. (postcard formats twice, the first time
    /// to count, and is misread when the two differ.)
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Fault> {
        struct Text<'a>(&'a mut Vec<u8>);
        impl Write for Text<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        let start = self.bytes.len();
        write!(Text(&mut *self.bytes), "{value}").map_err(|_| Fault::new("its `Display` failed"))?;
        let end = self.bytes.len();
        self.put_number((end - start) as u64);
        let width = self.bytes.len() - end;
        self.bytes[start..].rotate_right(width);
        Ok(())
    }
}

macro_rules! compound {
    ($($trait:ident $method:ident($($key:ident)?) $($skip:ident)?;)*) => {
        $(
            impl ser::$trait for Parts<'_, '_> {
                type Ok = ();
                type Error = Fault;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Result<(), Fault> {
                    $(let _ = $key;)?
                    self.part(value)
                }

                $(fn $skip(&mut self, field: &'static str) -> Result<(), Fault> {
                    Err(self.failed(format_args!(
                        "skips its field `{field}`, and a receiver would read what follows in its place \
                         (`skip_serializing_if` cannot cross)",
                    )))
                })?

                #[inline]
                fn end(self) -> Result<(), Fault> {
                    self.finish()
                }
            }
        )*
    };
}

compound! {
    SerializeSeq serialize_element();
    SerializeTuple serialize_element();
    SerializeTupleStruct serialize_field();
    SerializeTupleVariant serialize_field();
    SerializeStruct serialize_field(key) skip_field;
    SerializeStructVariant serialize_field(key) skip_field;
}

impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        // An even number is left before a key, an odd one before its value.
        if self.left % 2 == 0 { self.part(key) } else { Err(self.failed("has a key in place of a value")) }
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        if self.left % 2 != 0 { self.part(value) } else { Err(self.failed("has a value in place of a key")) }
    }

    #[inline]
    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}
