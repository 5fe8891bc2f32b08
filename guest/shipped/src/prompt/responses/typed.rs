//! Objects that are parsed by their `type`, which may be any of their members.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Nullable, ShapeSeed, StringShape};

/// An object whose `type` is known, and whose other members have not been parsed.
pub(super) struct TypedObject<'de> {
    /// The `type`, if the object has one.
    pub(super) kind: Option<Cow<'de, str>>,
    /// Whether the object has a `role`.
    pub(super) has_role: bool,
    raw: &'de RawValue,
}

impl<'de> TypedObject<'de> {
    /// Finds the type of a value. `expected` is the shape for the error of a value that is no object.
    pub(super) fn of<S: JsonShape<'de, Value = ObjectHead<'de>>, E: de::Error>(
        reader: &mut Reader<'_>,
        raw: &'de RawValue,
        shape: S,
    ) -> Result<Self, E> {
        let ObjectHead { kind, has_role } = parse(reader, raw, shape)?;
        Ok(Self {
            kind,
            has_role,
            raw,
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

/// The members by which an object's shape is chosen.
pub(super) struct ObjectHead<'de> {
    kind: Option<Cow<'de, str>>,
    has_role: bool,
}

impl<'de> ObjectHead<'de> {
    pub(super) fn read<A: MapAccess<'de>>(
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self, A::Error> {
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
        Ok(Self { kind, has_role })
    }
}

/// An item of `input`, of which only the head is read.
pub(super) struct InputItemHead;

impl<'de> JsonShape<'de> for InputItemHead {
    type Value = ObjectHead<'de>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        fields: A,
    ) -> Result<Self::Value, A::Error> {
        ObjectHead::read(reader, fields)
    }
}

/// A tool, of which only the head is read.
pub(super) struct ToolHead;

impl<'de> JsonShape<'de> for ToolHead {
    type Value = ObjectHead<'de>;
    const EXPECTED: &'static str = "a tool object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        fields: A,
    ) -> Result<Self::Value, A::Error> {
        ObjectHead::read(reader, fields)
    }
}
