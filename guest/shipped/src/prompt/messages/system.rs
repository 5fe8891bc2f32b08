//! `system`: the system prompt, a string or text blocks.

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use crate::prompt::conversation::push_paragraph;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, Scalar, StringShape};

/// The beginning of the line by which Claude Code attributes a request. It has no meaning for the model, and it differs in each
/// request, so that the model's cache would never apply and no waiting turn would be found.
const BILLING_HEADER: &str = "x-anthropic-billing-header:";

/// The system prompt. Its blocks are paragraphs.
pub(super) struct SystemShape;

impl<'de> JsonShape<'de> for SystemShape {
    type Value = String;
    const EXPECTED: &'static str = "a string or an array of text blocks";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<String, E> {
        match scalar {
            Scalar::Text(text) => Ok(without_billing_header(&text).to_owned()),
            other => Err(reader.wrong(Self::EXPECTED, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<String, A::Error> {
        let mut system = String::new();
        let mut index = 0;
        while let Some(text) = reader.member(&mut members, index, TextBlockShape)? {
            push_paragraph(&mut system, without_billing_header(&text));
            index += 1;
        }
        Ok(system)
    }
}

/// The text without a first line that is the billing header.
fn without_billing_header(text: &str) -> &str {
    if !text.starts_with(BILLING_HEADER) {
        return text;
    }
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    rest.trim_start_matches(['\n', '\r'])
}

/// A text block.
struct TextBlockShape;

impl<'de> JsonShape<'de> for TextBlockShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a block object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut kind, mut text) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "text" => value(text, StringShape),
            "cache_control" | "citations" => skip(),
        });
        match kind.as_deref() {
            Some("text") => {}
            Some(other) => {
                let message = format!(
                    "blocks of type `{}` are not supported here; send text",
                    quoted(other)
                );
                return Err(reader.unsupported_member("type", &message));
            }
            None => return Err(reader.invalid_member("type", "required: `text`")),
        }
        text.ok_or_else(|| reader.invalid_member("text", "required in a block of type `text`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_billing_header_is_left_out() {
        for (text, expected) in [
            ("x-anthropic-billing-header: cc_version=2.1; cch=1;", ""),
            (
                "x-anthropic-billing-header: cch=1;\n\nBe brief.\n",
                "Be brief.\n",
            ),
            (
                "Be brief.\nx-anthropic-billing-header: a",
                "Be brief.\nx-anthropic-billing-header: a",
            ),
            ("", ""),
        ] {
            assert_eq!(without_billing_header(text), expected);
        }
    }
}
