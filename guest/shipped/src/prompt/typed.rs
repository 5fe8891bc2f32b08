//! Objects that are parsed by their `type`, which may be any of their members.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::reader::{PathSegment, Reader};
use super::shape::{JsonShape, Nullable, Scalar, ShapeSeed, StringShape};

/// An object whose `type` is known, and whose other members have not been parsed.
pub(super) struct TypedObject<'de> {
    /// The `type`, if the object has one.
    pub(super) kind: Option<Cow<'de, str>>,
    /// Whether the object has a `role`.
    pub(super) has_role: bool,
    pub(super) raw: &'de RawValue,
}

impl<'de> TypedObject<'de> {
    /// Finds the type of a value. `expected` is the shape for the error of a value that is no object.
    fn of<E: de::Error>(
        reader: &mut Reader<'_>,
        raw: &'de RawValue,
        expected: &'static str,
    ) -> Result<Self, E> {
        let (kind, has_role) = parse(reader, raw, ObjectHead(expected))?;
        Ok(Self {
            kind,
            has_role,
            raw,
        })
    }

    /// Reads the next element of an array by its type. `expected` as in `of`.
    pub(super) fn next<A: SeqAccess<'de>, T>(
        reader: &mut Reader<'_>,
        members: &mut A,
        index: usize,
        expected: &'static str,
        read: impl FnOnce(&mut Reader<'_>, &Self) -> Result<T, A::Error>,
    ) -> Result<Option<T>, A::Error> {
        let Some(raw) = members.next_element::<&'de RawValue>()? else {
            return Ok(None);
        };
        reader.at(PathSegment::Index(index), |reader| {
            let object = Self::of(reader, raw, expected)?;
            read(reader, &object).map(Some)
        })
    }

    /// Parses the object. The reader's path must be the object's.
    pub(super) fn read<S: JsonShape<'de>, E: de::Error>(
        &self,
        reader: &mut Reader<'_>,
        shape: S,
    ) -> Result<S::Value, E> {
        parse(reader, self.raw, shape)
    }
}

/// Parses a value. The reader's path must be the value's.
pub(super) fn parse<'de, S: JsonShape<'de>, E: de::Error>(
    reader: &mut Reader<'_>,
    raw: &'de RawValue,
    shape: S,
) -> Result<S::Value, E> {
    let mut source = serde_json::Deserializer::from_str(raw.get());
    ShapeSeed { reader, shape }
        .deserialize(&mut source)
        .map_err(|error| {
            // The position within the object would mislead: the error that is reported has that within the body.
            let text = error.to_string();
            E::custom(text.split(" at line ").next().unwrap_or_default())
        })
}

/// An object of which only the `type` is read, and whether it has a `role`.
struct ObjectHead(&'static str);

impl<'de> JsonShape<'de> for ObjectHead {
    type Value = (Option<Cow<'de, str>>, bool);
    const EXPECTED: &'static str = "an object";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        Err(reader.wrong(self.0, scalar.kind()))
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _members: A,
    ) -> Result<Self::Value, A::Error> {
        Err(reader.wrong(self.0, "an array"))
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut kind, mut has_role) = (None, false);
        while let Some(key) = reader.key(&mut fields)? {
            match key.as_ref() {
                "type" => kind = reader.field(&mut fields, "type", Nullable(StringShape))?,
                other => {
                    has_role |= other == "role";
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((kind, has_role))
    }
}
