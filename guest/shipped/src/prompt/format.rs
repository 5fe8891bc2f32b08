//! `response_format`: what the answer must look like.

use serde::de::{self, MapAccess};
use serde_json::value::RawValue;

use super::members::read_members;
use super::options::Name;
use super::problems::quoted;
use super::reader::{Reader, Step};
use super::schema;
use super::shape::{Boolean, Optional, Shape, Text};

/// What the answer must look like.
#[derive(Default)]
pub(super) enum Format {
    #[default]
    Text,
    JsonObject,
    /// JSON of this schema, which is one line of JSON itself.
    JsonSchema(String),
}

pub(super) struct FormatShape;

impl<'de> Shape<'de> for FormatShape {
    type Value = Format;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Format, A::Error> {
        let (mut kind, mut schema) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, Text),
            "json_schema" => nullable(schema, JsonSchema),
        });
        let expected = "`text`, `json_object` or `json_schema`";
        match kind.as_deref() {
            Some("text") => Ok(Format::Text),
            Some("json_object") => Ok(Format::JsonObject),
            Some("json_schema") => match schema {
                Some(schema) => Ok(Format::JsonSchema(schema)),
                None => reader.at(Step::Key("json_schema"), |reader| {
                    Err(reader.invalid(
                        "required with `type: \"json_schema\"`: an object with `name` and `schema`",
                    ))
                }),
            },
            Some(other) => {
                let message = format!("expected {expected}, found `{}`", quoted(other));
                reader.at(Step::Key("type"), |reader| Err(reader.invalid(&message)))
            }
            None => reader.at(Step::Key("type"), |reader| {
                Err(reader.invalid(&format!("required: {expected}")))
            }),
        }
    }
}

struct JsonSchema;

impl<'de> Shape<'de> for JsonSchema {
    type Value = String;
    const EXPECTED: &'static str = "an object with `name` and `schema`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<String, A::Error> {
        let (mut name, mut schema) = (None, None);
        read_members!(reader, fields, {
            // Codex gives the format a name of its own, and no description.
            "name" => value(name, Name),
            "description" => run {
                if reader
                    .field(&mut fields, "description", Optional(Text))?
                    .is_some()
                {
                    reader.ignore("description")?;
                }
            },
            "strict" => run {
                // Codex always asks for strict adherence.
                if reader.field(&mut fields, "strict", Optional(Boolean))? == Some(false) {
                    reader.ignore("strict")?;
                }
            },
            "schema" => run {
                let raw = fields.next_value::<&RawValue>()?;
                schema = Some(reader.at(Step::Key("schema"), |reader| checked(reader, raw))?);
            },
        });
        if name.is_none() {
            return reader.at(Step::Key("name"), |reader| {
                Err(reader.invalid("required: a name for the format"))
            });
        }
        match schema {
            Some(schema) => Ok(schema),
            None => reader.at(Step::Key("schema"), |reader| {
                Err(reader.invalid("required: a JSON Schema object"))
            }),
        }
    }
}

fn checked<E: de::Error>(reader: &mut Reader<'_>, raw: &RawValue) -> Result<String, E> {
    schema::compact(raw.get()).map_err(|fault| reader.invalid(&fault.to_string()))
}
