//! `output_config`: the effort and the form of the answer.

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::prompt::members::read_members;
use crate::prompt::options::EffortShape;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::request::AnswerFormat;
use crate::prompt::schema;
use crate::prompt::shape::{JsonShape, StringShape};

/// `output_config`.
#[derive(Default)]
pub(super) struct OutputConfig {
    pub(super) effort: Option<String>,
    pub(super) format: AnswerFormat,
}

pub(super) struct OutputConfigShape;

impl<'de> JsonShape<'de> for OutputConfigShape {
    type Value = OutputConfig;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<OutputConfig, A::Error> {
        let mut config = OutputConfig::default();
        read_members!(reader, fields, {
            "effort" => nullable(config.effort, EffortShape),
            "format" => or_default(config.format, OutputFormatShape),
        });
        Ok(config)
    }
}

struct OutputFormatShape;

impl<'de> JsonShape<'de> for OutputFormatShape {
    type Value = AnswerFormat;
    const EXPECTED: &'static str = "an object with `type: \"json_schema\"` and a `schema`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<AnswerFormat, A::Error> {
        let (mut kind, mut schema) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "schema" => run {
                let raw = fields.next_value::<&RawValue>()?;
                schema = Some(reader.at(PathSegment::Key("schema"), |reader| {
                    schema::of_answer(reader, raw)
                })?);
            },
        });
        match kind.as_deref() {
            Some("json_schema") => {}
            Some(other) => {
                let message = format!("expected `json_schema`, found `{}`", quoted(other));
                return Err(reader.invalid_member("type", &message));
            }
            None => return Err(reader.invalid_member("type", "required: `json_schema`")),
        }
        match schema {
            Some(schema) => Ok(AnswerFormat::JsonSchema(schema)),
            None => Err(reader.invalid_member("schema", "required: a JSON Schema object")),
        }
    }
}
