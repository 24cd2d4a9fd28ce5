//! The strict decoder: postcard's format (numbers of 64 bits are read by [`varint`], all else by postcard), and what the
//! encoder promised about how the parts hold together is held against it here.
//!
//! The bytes may come from a broken or hostile process. Nothing is allocated from a stated length but what the bytes
//! that are there can back; the depth and the number of elements are bounded.

use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor,
    value::U32Deserializer,
};

use super::{FREE_ELEMENTS, MAX_DEPTH, error::Fault, variant, varint};

/// The value that all of `bytes` encode.
#[inline]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let elements = (bytes.len() as u64).saturating_add(FREE_ELEMENTS);
    let mut decoder = Decoder { rest: bytes, depth: 0, elements, failed: false };
    // The result is handed on as it is, here and below: taken apart and made anew, each level copies the value, and a wide
    // load of what was just stored in narrow pieces waits for them (a quarter of the time of `[u64; 8]`).
    let result = T::deserialize(&mut decoder);
    if result.is_ok() && !decoder.failed && decoder.rest.is_empty() {
        return result;
    }
    Err(decoder.fault(result.err(), bytes.len()))
}

struct Decoder<'de> {
    rest: &'de [u8],
    /// Levels of options, sequences, maps and enums around the value at hand.
    depth: u32,
    /// Elements that may still come. Each one that has bytes begins at a byte of its own, so that the number of bytes
    /// bounds those.
    elements: u64,
    /// A step failed, and the position is somewhere within it, whatever its caller makes of the error.
    failed: bool,
}

impl<'de> Decoder<'de> {
    /// Why a message of `len` bytes is refused whose value failed so, or is there.
    #[cold]
    fn fault(&self, fault: Option<Fault>, len: usize) -> Fault {
        let left = self.rest.len();
        match fault {
            Some(fault) => Fault::new(format!("{fault} (at byte {} of {len})", len - left)),
            None if self.failed => Fault::new("its `Deserialize` went on after an error in one of its parts"),
            None => Fault::new(format!("{left} bytes of {len} are left over")),
        }
    }

    /// What postcard reads as a value without parts. Within a [`step`](Self::step).
    #[inline]
    fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        let (value, rest) = postcard::take_from_bytes(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// A number of 64 bits. What is cut off or too long is left to postcard, which knows the error. (Numbers of up to 32
    /// bits are postcard's altogether: 100 pairs of them take 220 to 330 ns byte by byte, 270 to 490 by the word.)
    #[inline]
    fn number(&mut self) -> Result<u64, Fault> {
        match varint::read(&mut self.rest) {
            Some(value) => Ok(value),
            None => self.refused(),
        }
    }

    #[cold]
    #[inline(never)]
    fn refused(&mut self) -> Result<u64, Fault> {
        self.read()
    }

    /// Runs what must not fail unnoticed: every call from outside is one.
    #[inline]
    fn step<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = work(self);
        self.failed |= result.is_err();
        result
    }

    /// A step that is a level of depth.
    #[inline]
    fn level<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        let result = self.step(|d| if d.depth > MAX_DEPTH { Err(Fault::too_deep()) } else { work(d) });
        self.depth -= 1;
        result
    }

    /// The length of a sequence or a map.
    #[inline]
    fn length(&mut self) -> Result<usize, Fault> {
        let len: usize = self.read()?;
        match self.elements.checked_sub(len as u64) {
            Some(left) => self.elements = left,
            None => return Err(Fault::new(format!("a length of {len} is more than the bytes can hold"))),
        }
        Ok(len)
    }

    /// Fails unless the fields of a struct or variant are as many as were sent.
    #[inline]
    fn fields(&mut self, expected: usize) -> Result<usize, Fault> {
        let sent: usize = self.read()?;
        if sent == expected {
            return Ok(expected);
        }
        Err(Fault::new(format!(
            "{sent} fields were sent, and {expected} are expected (a field that is skipped on one side only cannot cross)"
        )))
    }

    /// Lets `visit` read `len` parts; it must read them all.
    #[inline]
    fn parts<T>(
        &mut self,
        len: usize,
        visit: impl FnOnce(&mut Parts<'_, 'de>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut parts = Parts { decoder: self, left: len };
        let mut result = visit(&mut parts);
        if parts.left != 0 && result.is_ok() {
            result = Err(unread(parts.left));
        }
        result
    }
}

#[cold]
fn unread(parts: usize) -> Fault {
    Fault::new(format!("{parts} parts of a sequence, map or struct were not read"))
}

/// The parts of a sequence, map or struct that is being read. Of a map an even number is left before a key, an odd one
/// before its value.
struct Parts<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
}

impl<'de> Parts<'_, 'de> {
    #[inline]
    fn next<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.decoder.step(|d| seed.deserialize(d)).map(Some)
    }

    /// A part of at least one byte is the rule, so more parts than bytes are no promise to allocate for.
    #[inline]
    fn hint(&self) -> usize {
        self.left.min(self.decoder.rest.len())
    }
}

impl<'de> de::SeqAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if self.left % 2 != 0 {
            return self.decoder.step(|_| Err(Fault::new("a key was read in place of a value")));
        }
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        if self.left % 2 == 0 {
            return self.decoder.step(|_| Err(Fault::new("a value was read in place of a key")));
        }
        self.left -= 1;
        self.decoder.step(|d| seed.deserialize(d))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.hint() / 2)
    }
}

macro_rules! by_postcard {
    ($($method:ident $visit:ident: $type:ty;)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                self.step(|d| visitor.$visit(d.read::<$type>()?))
            }
        )*
    };
}

macro_rules! nameless {
    ($($method:ident)*) => {
        $(
            #[cold]
            fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
                self.step(|_| Err(Fault::new(
                    "it needs names and types, which do not cross (`untagged`, `tag` and `flatten` cannot cross)",
                )))
            }
        )*
    };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Fault;

    by_postcard! {
        deserialize_bool visit_bool: bool;
        deserialize_u8 visit_u8: u8;
        deserialize_u16 visit_u16: u16;
        deserialize_u32 visit_u32: u32;
        deserialize_u128 visit_u128: u128;
        deserialize_i8 visit_i8: i8;
        deserialize_i16 visit_i16: i16;
        deserialize_i32 visit_i32: i32;
        deserialize_i128 visit_i128: i128;
        deserialize_f32 visit_f32: f32;
        deserialize_f64 visit_f64: f64;
        deserialize_str visit_borrowed_str: &'de str;
        deserialize_string visit_borrowed_str: &'de str;
        deserialize_bytes visit_borrowed_bytes: &'de [u8];
        deserialize_byte_buf visit_borrowed_bytes: &'de [u8];
    }

    #[inline]
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.step(|d| visitor.visit_u64(d.number()?))
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.step(|d| visitor.visit_i64(varint::unzigzag(d.number()?)))
    }

    nameless! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.step(|d| match char::from_u32(d.read()?) {
            Some(char) => visitor.visit_char(char),
            None => Err(Fault::new("a char is none of Unicode")),
        })
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.step(|d| if d.read()? { d.level(|d| visitor.visit_some(d)) } else { visitor.visit_none() })
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.step(|d| visitor.visit_newtype_struct(d))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.level(|d| {
            let len = d.length()?;
            d.parts(len, |parts| visitor.visit_seq(parts))
        })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.level(|d| {
            // A map's parts are its keys and its values. A length is bounded by far less than half of all numbers.
            let parts = d.length()?.saturating_mul(2);
            d.parts(parts, |parts| visitor.visit_map(parts))
        })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.step(|d| d.parts(len, |parts| visitor.visit_seq(parts)))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.step(|d| {
            let len = d.fields(len)?;
            d.parts(len, |parts| visitor.visit_seq(parts))
        })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple_struct(name, fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.level(|d| {
            let (index, mark): (u32, [u8; 2]) = (d.read()?, d.read()?);
            let Some(shape) = variants.get(index as usize).and_then(|name| variant::shape(name, mark)) else {
                return Err(Fault::new(format!(
                    "variant {index} is not known here, or by another name (a variant that is skipped cannot cross)"
                )));
            };
            let mut read = false;
            let value = visitor.visit_enum(Variant { decoder: d, index, shape, read: &mut read })?;
            if read { Ok(value) } else { Err(Fault::new(format!("the content of variant {index} was not read"))) }
        })
    }
}

/// A variant whose index and mark were read.
struct Variant<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    index: u32,
    shape: u16,
    /// Set when its content was.
    read: &'d mut bool,
}

impl<'de> Variant<'_, 'de> {
    /// Reads the content, which must be of this shape.
    #[inline]
    fn content<T>(
        self,
        shape: u16,
        work: impl FnOnce(&mut Decoder<'de>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        *self.read = true;
        let (sent, index) = (self.shape, self.index);
        self.decoder.step(|d| {
            if sent == shape {
                return work(d);
            }
            Err(Fault::new(format!(
                "variant {index} was sent in another shape than is expected (a field that is skipped cannot cross)",
            )))
        })
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        let index: U32Deserializer<Fault> = self.index.into_deserializer();
        Ok((self.decoder.step(|_| seed.deserialize(index))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn unit_variant(self) -> Result<(), Fault> {
        self.content(variant::UNIT, |_| Ok(()))
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.content(variant::NEWTYPE, |d| seed.deserialize(d))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content(variant::TUPLE, |d| d.deserialize_tuple_struct("", len, visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content(variant::STRUCT, |d| d.deserialize_tuple_struct("", fields.len(), visitor))
    }
}
