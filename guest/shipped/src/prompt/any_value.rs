//! The shape of values that are inspected, but not used.

use std::borrow::Cow;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::reader::Reader;
use super::shape::{JsonShape, Scalar, ShapeSeed};

impl Reader<'_> {
    /// Skips the value of an unknown key. Null counts as absent; anything else is noted as ignored.
    pub(super) fn unknown<'de, A: MapAccess<'de>>(
        &mut self,
        fields: &mut A,
        key: &str,
    ) -> Result<(), A::Error> {
        match fields.next_value_seed(ShapeSeed {
            reader: &mut *self,
            shape: AnyShape,
        })? {
            ValueSummary::Null => Ok(()),
            _ => self.ignore(key),
        }
    }
}

/// Any value, of which only the outermost level is read. Deeper levels are checked for syntax and skipped, at any
/// depth.
pub(super) struct AnyShape;

/// The outermost level of a value.
pub(super) enum ValueSummary<'de> {
    Null,
    Boolean(bool),
    Integer(i128),
    Number(f64),
    Text(Cow<'de, str>),
    Array {
        members: usize,
        /// How many of the members are the string `text`.
        text_members: usize,
    },
    Object {
        fields: usize,
    },
}

impl ValueSummary<'_> {
    /// The JSON type, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array { .. } => "an array",
            Self::Object { .. } => "an object",
        }
    }

    /// Whether the value is null, or an empty string, array or object.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Array { members: size, .. } | Self::Object { fields: size } => *size == 0,
            Self::Boolean(_) | Self::Integer(_) | Self::Number(_) => false,
        }
    }
}

impl<'de> JsonShape<'de> for AnyShape {
    type Value = ValueSummary<'de>;
    const EXPECTED: &'static str = "any value";

    fn scalar<E: de::Error>(
        self,
        _reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        Ok(match scalar {
            Scalar::Null => ValueSummary::Null,
            Scalar::Boolean(value) => ValueSummary::Boolean(value),
            Scalar::Integer(value) => ValueSummary::Integer(value),
            Scalar::Number(value) => ValueSummary::Number(value),
            Scalar::Text(text) => ValueSummary::Text(text),
        })
    }

    fn array<A: SeqAccess<'de>>(
        self,
        _reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut count, mut text_members) = (0, 0);
        while let Some(IsText(is_text)) = members.next_element()? {
            count += 1;
            text_members += usize::from(is_text);
        }
        Ok(ValueSummary::Array {
            members: count,
            text_members,
        })
    }

    fn object<A: MapAccess<'de>>(
        self,
        _reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let mut count = 0;
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(ValueSummary::Object { fields: count })
    }
}

/// Whether a value is the string `text`.
struct IsText(bool);

impl<'de> de::Deserialize<'de> for IsText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        // serde_json skips raw JSON without recursion.
        let raw = <&serde_json::value::RawValue>::deserialize(source)?;
        Ok(Self(raw.get() == "\"text\""))
    }
}
