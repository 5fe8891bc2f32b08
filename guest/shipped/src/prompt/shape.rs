//! Shapes: the JSON values that a field accepts. One serde visitor reads them all.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::reader::{PathSegment, Reader};

/// A null, boolean, number or string.
pub(super) enum Scalar<'de> {
    Null,
    Boolean(bool),
    Integer(i128),
    Number(f64),
    Text(Cow<'de, str>),
}

impl Scalar<'_> {
    /// The JSON type, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
        }
    }
}

/// The JSON values that a field accepts. Any other type is an error that names the field.
pub(super) trait JsonShape<'de>: Sized {
    /// The parsed value.
    type Value;
    /// The expected value, for the error of another one: `a string`.
    const EXPECTED: &'static str;
    /// Whether neither an array nor an object fits. Such shapes share the code that parses a value.
    const IS_SCALAR: bool = false;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        Err(reader.wrong(Self::EXPECTED, scalar.kind()))
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _members: A,
    ) -> Result<Self::Value, A::Error> {
        Err(reader.wrong(Self::EXPECTED, "an array"))
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _fields: A,
    ) -> Result<Self::Value, A::Error> {
        Err(reader.wrong(Self::EXPECTED, "an object"))
    }
}

/// Deserializes a shape.
pub(super) struct ShapeSeed<'a, 'r, S> {
    pub(super) reader: &'a mut Reader<'r>,
    pub(super) shape: S,
}

impl<'de, S: JsonShape<'de>> DeserializeSeed<'de> for ShapeSeed<'_, '_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        if S::IS_SCALAR {
            let scalar = source.deserialize_any(ScalarVisitor {
                reader: &mut *self.reader,
                expected: S::EXPECTED,
            })?;
            return self.shape.scalar(self.reader, scalar);
        }
        source.deserialize_any(self)
    }
}

/// Reads any scalar.
struct ScalarVisitor<'a, 'r> {
    reader: &'a mut Reader<'r>,
    expected: &'static str,
}

impl<'de> Visitor<'de> for ScalarVisitor<'_, '_> {
    type Value = Scalar<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expected)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(self.reader.wrong(self.expected, "an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(self.reader.wrong(self.expected, "an object"))
    }
}

impl<'de, S: JsonShape<'de>> Visitor<'de> for ShapeSeed<'_, '_, S> {
    type Value = S::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(S::EXPECTED)
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Value, E> {
        self.shape.scalar(self.reader, Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<S::Value, E> {
        self.shape.scalar(self.reader, Scalar::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<S::Value, E> {
        self.shape
            .scalar(self.reader, Scalar::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<S::Value, E> {
        self.shape
            .scalar(self.reader, Scalar::Integer(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Value, E> {
        self.shape.scalar(self.reader, Scalar::Number(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<S::Value, E> {
        self.shape
            .scalar(self.reader, Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<S::Value, E> {
        self.shape
            .scalar(self.reader, Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, members: A) -> Result<S::Value, A::Error> {
        self.shape.array(self.reader, members)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<S::Value, A::Error> {
        self.shape.object(self.reader, fields)
    }
}

impl Reader<'_> {
    /// The next key of an object.
    pub(super) fn key<'de, A: MapAccess<'de>>(
        &mut self,
        fields: &mut A,
    ) -> Result<Option<Cow<'de, str>>, A::Error> {
        fields.next_key_seed(ShapeSeed {
            reader: self,
            shape: StringShape,
        })
    }

    /// Reads the value of the key `name`, which was just read.
    pub(super) fn field<'de, A: MapAccess<'de>, S: JsonShape<'de>>(
        &mut self,
        fields: &mut A,
        name: &'static str,
        shape: S,
    ) -> Result<S::Value, A::Error> {
        self.at(PathSegment::Key(name), |reader| {
            fields.next_value_seed(ShapeSeed { reader, shape })
        })
    }

    /// As `field`, where null is None.
    pub(super) fn nullable<'de, A: MapAccess<'de>, S: JsonShape<'de>>(
        &mut self,
        fields: &mut A,
        name: &'static str,
        shape: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.field(fields, name, Nullable(shape))
    }

    /// As `field`, where null is the default.
    pub(super) fn or_default<'de, A: MapAccess<'de>, S: JsonShape<'de, Value: Default>>(
        &mut self,
        fields: &mut A,
        name: &'static str,
        shape: S,
    ) -> Result<S::Value, A::Error> {
        let value = self.nullable(fields, name, shape)?;
        Ok(value.unwrap_or_default())
    }

    /// Reads the next element of an array, whose index is `index`.
    pub(super) fn member<'de, A: SeqAccess<'de>, S: JsonShape<'de>>(
        &mut self,
        members: &mut A,
        index: usize,
        shape: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.at(PathSegment::Index(index), |reader| {
            members.next_element_seed(ShapeSeed { reader, shape })
        })
    }
}

/// A string.
pub(super) struct StringShape;

impl<'de> JsonShape<'de> for StringShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Text(text) => Ok(text),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }
}

/// True or false.
pub(super) struct BooleanShape;

impl<'de> JsonShape<'de> for BooleanShape {
    type Value = bool;
    const EXPECTED: &'static str = "a boolean";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<bool, E> {
        match scalar {
            Scalar::Boolean(value) => Ok(value),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }
}

/// An integer within these bounds, both included.
pub(super) struct IntegerShape(pub(super) u32, pub(super) u32);

impl IntegerShape {
    fn expected(&self) -> String {
        format!("an integer from {} to {}", self.0, self.1)
    }
}

impl<'de> JsonShape<'de> for IntegerShape {
    type Value = u32;
    const EXPECTED: &'static str = "an integer";

    fn scalar<E: de::Error>(self, reader: &mut Reader<'_>, scalar: Scalar<'de>) -> Result<u32, E> {
        let Scalar::Integer(number) = scalar else {
            return Err(reader.wrong(&self.expected(), scalar.kind()));
        };
        match u32::try_from(number) {
            Ok(value) if (self.0..=self.1).contains(&value) => Ok(value),
            _ => Err(reader.wrong(&self.expected(), &number.to_string())),
        }
    }

    fn array<A: SeqAccess<'de>>(self, reader: &mut Reader<'_>, _: A) -> Result<u32, A::Error> {
        Err(reader.wrong(&self.expected(), "an array"))
    }

    fn object<A: MapAccess<'de>>(self, reader: &mut Reader<'_>, _: A) -> Result<u32, A::Error> {
        Err(reader.wrong(&self.expected(), "an object"))
    }
}

/// A shape, or null for None.
pub(super) struct Nullable<S>(pub(super) S);

impl<'de, S: JsonShape<'de>> JsonShape<'de> for Nullable<S> {
    type Value = Option<S::Value>;
    const EXPECTED: &'static str = S::EXPECTED;
    const IS_SCALAR: bool = S::IS_SCALAR;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Null => Ok(None),
            other => self.0.scalar(reader, other).map(Some),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        members: A,
    ) -> Result<Self::Value, A::Error> {
        self.0.array(reader, members).map(Some)
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        fields: A,
    ) -> Result<Self::Value, A::Error> {
        self.0.object(reader, fields).map(Some)
    }
}
