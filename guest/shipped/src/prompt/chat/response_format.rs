//! `response_format`: the form of the answer.

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::request::AnswerFormat;
use crate::prompt::schema;
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};

pub(super) struct ResponseFormatShape;

impl<'de> JsonShape<'de> for ResponseFormatShape {
    type Value = AnswerFormat;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<AnswerFormat, A::Error> {
        let (mut kind, mut schema) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "json_schema" => nullable(schema, JsonSchemaShape),
        });
        let expected = "`text`, `json_object` or `json_schema`";
        match kind.as_deref() {
            Some("text") => Ok(AnswerFormat::Text),
            Some("json_object") => Ok(AnswerFormat::JsonObject),
            Some("json_schema") => match schema {
                Some(schema) => Ok(AnswerFormat::JsonSchema(schema)),
                None => Err(reader.invalid_member(
                    "json_schema",
                    "required with `type: \"json_schema\"`: an object with `name` and `schema`",
                )),
            },
            Some(other) => {
                let message = format!("expected {expected}, found `{}`", quoted(other));
                Err(reader.invalid_member("type", &message))
            }
            None => Err(reader.invalid_member("type", &format!("required: {expected}"))),
        }
    }
}

struct JsonSchemaShape;

impl<'de> JsonShape<'de> for JsonSchemaShape {
    type Value = String;
    const EXPECTED: &'static str = "an object with `name` and `schema`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<String, A::Error> {
        let (mut name, mut schema) = (None, None);
        read_members!(reader, fields, {
            // Codex sends a name of its own, and no description.
            "name" => value(name, NonEmptyString),
            "description" => run {
                if reader.nullable(&mut fields, "description", StringShape)?
                    .is_some()
                {
                    reader.ignore("description")?;
                }
            },
            "strict" => run {
                // Codex always requests strict adherence.
                if reader.nullable(&mut fields, "strict", BooleanShape)? == Some(false) {
                    reader.ignore("strict")?;
                }
            },
            "schema" => run {
                let raw = fields.next_value::<&RawValue>()?;
                schema = Some(reader.at(PathSegment::Key("schema"), |reader| schema::of_answer(reader, raw))?);
            },
        });
        if name.is_none() {
            return Err(reader.invalid_member("name", "required: a name for the format"));
        }
        match schema {
            Some(schema) => Ok(schema),
            None => Err(reader.invalid_member("schema", "required: a JSON Schema object")),
        }
    }
}
