//! `text`: the form of the answer and its length.

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::prompt::members::read_members;
use crate::prompt::options::{NonEmptyString, VerbosityShape};
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::request::AnswerFormat;
use crate::prompt::schema;
use crate::prompt::shape::{BooleanShape, JsonShape, StringShape};

/// `text`.
#[derive(Default)]
pub(super) struct ResponseTextOptions {
    pub(super) format: ResponseTextFormat,
    /// `low`, `medium` or `high`.
    pub(super) verbosity: Option<&'static str>,
}

/// `text.format`: the form of the answer.
#[derive(Default)]
pub(super) enum ResponseTextFormat {
    #[default]
    Text,
    JsonObject,
    /// JSON that satisfies this schema, which is one line of JSON.
    JsonSchema {
        name: String,
        description: Option<String>,
        schema: String,
    },
}

impl ResponseTextOptions {
    /// The form of the answer, and its verbosity.
    pub(super) fn into_answer(self) -> (AnswerFormat, Option<&'static str>) {
        let format = match self.format {
            ResponseTextFormat::Text => AnswerFormat::Text,
            ResponseTextFormat::JsonObject => AnswerFormat::JsonObject,
            ResponseTextFormat::JsonSchema { schema, .. } => AnswerFormat::JsonSchema(schema),
        };
        (format, self.verbosity)
    }
}

pub(super) struct ResponseTextOptionsShape;

impl<'de> JsonShape<'de> for ResponseTextOptionsShape {
    type Value = ResponseTextOptions;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ResponseTextOptions, A::Error> {
        let mut text = ResponseTextOptions::default();
        read_members!(reader, fields, {
            "format" => or_default(text.format, ResponseTextFormatShape),
            "verbosity" => nullable(text.verbosity, VerbosityShape),
        });
        Ok(text)
    }
}

struct ResponseTextFormatShape;

impl<'de> JsonShape<'de> for ResponseTextFormatShape {
    type Value = ResponseTextFormat;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ResponseTextFormat, A::Error> {
        let (mut kind, mut name, mut description, mut schema) = (None, None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            // Codex sends a name of its own, and no description.
            "name" => nullable(name, NonEmptyString),
            "description" => run {
                description = reader.nullable(&mut fields, "description", StringShape)?;
                if description.is_some() {
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
        let expected = "`text`, `json_object` or `json_schema`";
        match kind.as_deref() {
            Some("text") => Ok(ResponseTextFormat::Text),
            Some("json_object") => Ok(ResponseTextFormat::JsonObject),
            Some("json_schema") => match (name, schema) {
                (Some(name), Some(schema)) => Ok(ResponseTextFormat::JsonSchema {
                    name: name.into_owned(),
                    description: description.map(std::borrow::Cow::into_owned),
                    schema,
                }),
                (None, _) => Err(reader.invalid_member("name", "required: a name for the format")),
                (_, None) => Err(reader.invalid_member("schema", "required: a JSON Schema object")),
            },
            Some(other) => {
                let message = format!("expected {expected}, found `{}`", quoted(other));
                Err(reader.invalid_member("type", &message))
            }
            None => Err(reader.invalid_member("type", &format!("required: {expected}"))),
        }
    }
}
