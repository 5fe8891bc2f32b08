//! Checks that Codex can parse a client's JSON Schema, and writes it on one line. The order of keys is preserved:
//! models write the members of an object in the order of its schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::reader::Reader;

/// The most levels of a schema, in objects and arrays. OpenAI allows ten levels of objects, about three of these
/// each.
const DEPTH_AT_MOST: usize = 64;
/// The most bytes of a schema.
const BYTES_AT_MOST: usize = 512 * 1024;

/// The schema of a function without parameters.
pub(super) const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// The prefix of names that serde_json (1.0, also in Codex) reserves: it reads an object whose first member has such
/// a name as a number or as raw JSON. If that fails, Codex cannot parse the whole message.
const RESERVED_PREFIX: &str = "$serde_json::private::";

/// The reason why a schema is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaError {
    NotAnObject,
    /// The schema describes a type other than an object.
    OtherType,
    TooLong,
    TooDeep,
    /// The schema has a member whose name serde_json reserves.
    ReservedName,
    /// The schema has a number beyond 64-bit floats, or a lone surrogate.
    Unreadable,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => out.write_str("expected a JSON Schema object"),
            Self::OtherType => out.write_str(
                "expected a JSON Schema of `\"type\": \"object\"`: a function's arguments are an object",
            ),
            Self::TooLong => write!(out, "the schema is longer than {BYTES_AT_MOST} bytes"),
            Self::TooDeep => write!(out, "the schema nests deeper than {DEPTH_AT_MOST} levels"),
            Self::ReservedName => write!(
                out,
                "the schema has a member whose name begins with `{RESERVED_PREFIX}`, which Codex does not read"
            ),
            Self::Unreadable => out.write_str(
                "the schema contains a number beyond a 64-bit float, which JSON parsers do not accept",
            ),
        }
    }
}

/// The schema of an answer, on one line. The reader's path must be the schema's.
pub(super) fn of_answer<E: de::Error>(
    reader: &mut Reader<'_>,
    raw: &RawValue,
) -> Result<String, E> {
    compact(raw.get()).map_err(|error| reader.invalid(&error.to_string()))
}

/// Writes the schema without whitespace between tokens, and with whole numbers in a form that Codex reads. `raw` must
/// be syntactically valid JSON.
pub(super) fn compact(raw: &str) -> Result<String, SchemaError> {
    if !raw.starts_with('{') {
        return Err(SchemaError::NotAnObject);
    }
    if raw.len() > BYTES_AT_MOST {
        return Err(SchemaError::TooLong);
    }
    // Codex does not respond at all to a message that it cannot parse.
    let mut error = SchemaError::Unreadable;
    let mut source = serde_json::Deserializer::from_str(raw);
    let walk = Walk {
        depth: 0,
        error: &mut error,
    }
    .deserialize(&mut source);
    match walk {
        Ok(()) => Ok(rewritten(raw)),
        Err(_) => Err(error),
    }
}

/// As `compact`, for a schema that describes an object, or has no type.
pub(super) fn compact_of_object(raw: &str) -> Result<String, SchemaError> {
    let schema = compact(raw)?;
    // Of a duplicate member the last one counts, as in other JSON parsers.
    let members = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(&schema)
        .map_err(|_| SchemaError::Unreadable)?;
    let described = members.get("type").map(|kind| kind.get());
    match described.map(serde_json::from_str::<Cow<'_, str>>) {
        // OpenAI requires the type.
        None if members.is_empty() => Ok(NO_ARGUMENTS.to_owned()),
        None => Ok([r#"{"type":"object","#, &schema[1..]].concat()),
        Some(Ok(kind)) if kind == "object" => Ok(schema),
        Some(_) => Err(SchemaError::OtherType),
    }
}

/// Writes JSON without whitespace between tokens. A whole number beyond 64 bits gets a fraction, which does not
/// change its value: Codex (0.163.0, 0.169.0) keeps the digits of any number but refuses whole ones of 65 to 128
/// bits.
fn rewritten(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => text_length(rest),
            b'-' | b'0'..=b'9' => rest.bytes().take_while(|byte| is_of_number(*byte)).count(),
            _ => 1,
        };
        // Outside of strings, JSON is ASCII.
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        if first.is_ascii_whitespace() {
            continue;
        }
        out.push_str(token);
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole && token.parse::<u64>().is_err() && token.parse::<i64>().is_err() {
            out.push_str(".0");
        }
    }
    out
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

/// Bytes of the string at the start of a text, with its quotes.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Visits every value so that the parser checks it, and keeps none.
struct Walk<'a> {
    depth: usize,
    /// The fault, if reading fails.
    error: &'a mut SchemaError,
}

impl Walk<'_> {
    fn nested<E: de::Error>(&mut self) -> Result<Walk<'_>, E> {
        if self.depth >= DEPTH_AT_MOST {
            *self.error = SchemaError::TooDeep;
            return Err(E::custom("too deep"));
        }
        Ok(Walk {
            depth: self.depth + 1,
            error: self.error,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut inner = self.nested()?;
        while members.next_element_seed(inner.reborrow())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut inner = self.nested()?;
        while let Some(MemberName(name)) = fields.next_key()? {
            if name.starts_with(RESERVED_PREFIX) {
                *inner.error = SchemaError::ReservedName;
                return Err(de::Error::custom("a reserved name"));
            }
            fields.next_value_seed(inner.reborrow())?;
        }
        Ok(())
    }
}

impl Walk<'_> {
    fn reborrow(&mut self) -> Walk<'_> {
        Walk {
            depth: self.depth,
            error: self.error,
        }
    }
}

/// A member's name. Borrowed if its JSON has no escapes.
#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
