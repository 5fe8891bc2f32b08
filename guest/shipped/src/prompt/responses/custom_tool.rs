//! Custom tools: tools whose input is a text, which the model knows as functions with one argument.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::prompt::conversation::push_paragraph;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, StringShape};

/// The JSON Schema of the function that stands for a custom tool.
pub(super) const INPUT_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#;

/// `format` of a custom tool: what its input is.
#[derive(Default)]
pub(super) enum CustomFormat<'de> {
    /// Any text.
    #[default]
    Text,
    /// Text that matches a definition. Codex does not enforce it.
    Grammar {
        /// `lark` or `regex`.
        syntax: &'static str,
        definition: Cow<'de, str>,
    },
}

impl CustomFormat<'_> {
    /// The description of the tool for the model, with the format.
    pub(super) fn describe<'a>(&self, description: Cow<'a, str>) -> Cow<'a, str> {
        let Self::Grammar { syntax, definition } = self else {
            return description;
        };
        let heading = match *syntax {
            "regex" => "`input` matches this regular expression:",
            _ => "`input` matches this Lark grammar:",
        };
        let mut text = description.into_owned();
        push_paragraph(&mut text, heading);
        push_paragraph(&mut text, definition);
        Cow::Owned(text)
    }
}

pub(super) struct CustomFormatShape;

impl<'de> JsonShape<'de> for CustomFormatShape {
    type Value = CustomFormat<'de>;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<CustomFormat<'de>, A::Error> {
        let (mut kind, mut syntax, mut definition) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "syntax" => nullable(syntax, StringShape),
            "definition" => nullable(definition, StringShape),
        });
        match kind.as_deref() {
            Some("text") => return Ok(CustomFormat::Text),
            Some("grammar") => {}
            Some(other) => {
                let message = format!("expected `text` or `grammar`, found `{}`", quoted(other));
                return Err(reader.invalid_member("type", &message));
            }
            None => return Err(reader.invalid_member("type", "required: `text` or `grammar`")),
        }
        let syntax = match syntax.as_deref() {
            Some("lark") => "lark",
            Some("regex") => "regex",
            _ => return Err(reader.invalid_member("syntax", "required: `lark` or `regex`")),
        };
        match definition {
            Some(definition) => Ok(CustomFormat::Grammar { syntax, definition }),
            None => Err(reader.invalid_member("definition", "required: the grammar")),
        }
    }
}
