//! A client's JSON Schema, checked so that Codex can read it and put on one line. The order of its keys is kept:
//! models write an object's properties in the order of its schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::tools::NO_ARGUMENTS;

/// How deep a schema may nest, in objects and arrays. OpenAI takes ten levels of objects, about three of these each.
const DEPTH_AT_MOST: usize = 64;
/// How long a schema may be, in bytes of JSON.
const BYTES_AT_MOST: usize = 512 * 1024;

/// Why a schema cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotAnObject,
    /// It describes something else than an object.
    OtherType,
    TooLong,
    TooDeep,
    /// A number that no program can hold, or half a surrogate pair.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => out.write_str("expected a JSON Schema object"),
            Self::OtherType => out.write_str(
                "expected a JSON Schema of `\"type\": \"object\"`: a function's arguments are an object",
            ),
            Self::TooLong => write!(out, "the schema is longer than {BYTES_AT_MOST} bytes"),
            Self::TooDeep => write!(out, "the schema nests deeper than {DEPTH_AT_MOST} levels"),
            Self::Unreadable => out
                .write_str("the schema holds a number or an escape that JSON parsers do not read"),
        }
    }
}

/// The schema without the whitespace between its tokens. `raw` is JSON by its grammar.
pub(super) fn compact(raw: &str) -> Result<String, Fault> {
    if !raw.starts_with('{') {
        return Err(Fault::NotAnObject);
    }
    if raw.len() > BYTES_AT_MOST {
        return Err(Fault::TooLong);
    }
    // What Codex cannot parse it does not answer at all, so it must not be sent.
    let mut too_deep = false;
    let mut source = serde_json::Deserializer::from_str(raw);
    let walk = Walk {
        depth: 0,
        too_deep: &mut too_deep,
    }
    .deserialize(&mut source);
    match walk {
        Ok(()) => Ok(without_whitespace(raw)),
        Err(_) if too_deep => Err(Fault::TooDeep),
        Err(_) => Err(Fault::Unreadable),
    }
}

/// As `compact`, of a schema that describes an object, or does not say what it describes.
pub(super) fn compact_of_object(raw: &str) -> Result<String, Fault> {
    let schema = compact(raw)?;
    // Of a member given twice the last one counts, as JSON parsers have it.
    let members = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(&schema)
        .map_err(|_| Fault::Unreadable)?;
    let described = members.get("type").map(|kind| kind.get());
    match described.map(serde_json::from_str::<Cow<'_, str>>) {
        // OpenAI wants it said.
        None if members.is_empty() => Ok(NO_ARGUMENTS.to_owned()),
        None => Ok([r#"{"type":"object","#, &schema[1..]].concat()),
        Some(Ok(kind)) if kind == "object" => Ok(schema),
        Some(_) => Err(Fault::OtherType),
    }
}

fn without_whitespace(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut in_text, mut escaped) = (false, false);
    for character in raw.chars() {
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character == '"' {
            in_text = true;
        } else if character.is_ascii_whitespace() {
            continue;
        }
        out.push(character);
    }
    out
}

/// Reads every value for the sake of the parser's own checks, and keeps none.
struct Walk<'a> {
    depth: usize,
    too_deep: &'a mut bool,
}

impl Walk<'_> {
    fn deeper<E: de::Error>(&mut self) -> Result<Walk<'_>, E> {
        if self.depth >= DEPTH_AT_MOST {
            *self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        Ok(Walk {
            depth: self.depth + 1,
            too_deep: self.too_deep,
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
        let mut inner = self.deeper()?;
        while members.next_element_seed(inner.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut inner = self.deeper()?;
        while fields.next_key_seed(inner.again())?.is_some() {
            fields.next_value_seed(inner.again())?;
        }
        Ok(())
    }
}

impl Walk<'_> {
    fn again(&mut self) -> Walk<'_> {
        Walk {
            depth: self.depth,
            too_deep: self.too_deep,
        }
    }
}

#[cfg(test)]
mod tests;
