//! Objects that are parsed by their `type`, which may be any of their members.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::any_value::{AnyShape, ValueSummary};
use super::reader::{PathSegment, Reader};
use super::shape::{JsonShape, Nullable, Scalar, ShapeSeed, StringShape};

/// An object whose `type` is known, and whose other members have not been parsed.
pub(super) struct TypedObject<'de> {
    /// The `type`, if the object has one.
    pub(super) kind: Option<Cow<'de, str>>,
    /// The `id`, if it is a string.
    pub(super) id: Option<Cow<'de, str>>,
    /// Whether the object has a `role`.
    pub(super) has_role: bool,
    /// Whether it has members besides `type` and `id`.
    has_others: bool,
    pub(super) raw: &'de RawValue,
}

impl<'de> TypedObject<'de> {
    /// Finds the type of a value. `expected` is the shape for the error of a value that is no object.
    pub(super) fn of<E: de::Error>(
        reader: &mut Reader<'_>,
        raw: &'de RawValue,
        expected: &'static str,
    ) -> Result<Self, E> {
        let head = parse(reader, raw, ObjectHeadShape(expected))?;
        Ok(Self {
            kind: head.kind,
            id: head.id,
            has_role: head.has_role,
            has_others: head.has_others,
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

    /// Whether the object refers to a stored item. The type may be left out.
    pub(super) fn is_reference(&self) -> bool {
        match self.kind.as_deref() {
            Some(kind) => kind == "item_reference",
            None => self.id.is_some() && !self.has_others,
        }
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

/// The members of an object that are read before its shape is known.
#[derive(Default)]
struct ObjectHead<'de> {
    kind: Option<Cow<'de, str>>,
    id: Option<Cow<'de, str>>,
    has_role: bool,
    has_others: bool,
}

/// An object of which only these members are read.
struct ObjectHeadShape(&'static str);

impl<'de> JsonShape<'de> for ObjectHeadShape {
    type Value = ObjectHead<'de>;
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
        let mut head = ObjectHead::default();
        while let Some(key) = reader.key(&mut fields)? {
            match key.as_ref() {
                "type" => head.kind = reader.field(&mut fields, "type", Nullable(StringShape))?,
                "id" => {
                    head.id = match reader.field(&mut fields, "id", AnyShape)? {
                        ValueSummary::Text(id) => Some(id),
                        _ => None,
                    };
                }
                other => {
                    head.has_others = true;
                    head.has_role |= other == "role";
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(head)
    }
}
