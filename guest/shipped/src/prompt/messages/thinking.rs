//! `thinking`: whether the reply has the model's reasoning, and how much of it there may be.

use serde::de::{self, MapAccess};

use crate::notes::ThinkingDisplay;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{IntegerShape, JsonShape, Scalar, StringShape};

const TYPES: &str = "`enabled`, `adaptive`, `between_tools` or `disabled`";

/// The least `budget_tokens`, as at Anthropic.
const BUDGET_AT_LEAST: u32 = 1_024;
/// Below this many `budget_tokens` the effort is `low`.
const MEDIUM_FROM: u32 = 4_096;
/// From this many `budget_tokens` on the effort is `high`, and below it is `medium`.
const HIGH_FROM: u32 = 16_384;

/// `thinking`. Without it no reasoning is returned, and the effort is the model's default.
#[derive(Clone, Copy, Default)]
pub(super) struct Thinking {
    pub(super) display: ThinkingDisplay,
    /// The effort that corresponds to the budget.
    pub(super) effort: Option<&'static str>,
}

impl Thinking {
    /// The reasoning summary that the display needs.
    pub(super) fn summary(self) -> Option<&'static str> {
        match self.display {
            ThinkingDisplay::Summarized => Some("auto"),
            ThinkingDisplay::Disabled | ThinkingDisplay::Omitted => None,
        }
    }
}

fn effort(budget: u32) -> &'static str {
    match budget {
        0..MEDIUM_FROM => "low",
        MEDIUM_FROM..HIGH_FROM => "medium",
        HIGH_FROM.. => "high",
    }
}

pub(super) struct ThinkingShape;

impl<'de> JsonShape<'de> for ThinkingShape {
    type Value = Thinking;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Thinking, A::Error> {
        let (mut kind, mut budget, mut display) = (None, None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "budget_tokens" => nullable(budget, IntegerShape(BUDGET_AT_LEAST, u32::MAX)),
            "display" => nullable(display, DisplayShape),
        });
        let Some(kind) = kind else {
            return Err(reader.invalid_member("type", &format!("required: {TYPES}")));
        };
        let display = display.unwrap_or(ThinkingDisplay::Summarized);
        let effort = budget.map(effort);
        match (kind.as_ref(), effort) {
            ("enabled", None) => {
                let message = "required with `type: \"enabled\"`: the tokens that the model may think; or give the type `adaptive`";
                Err(reader.invalid_member("budget_tokens", message))
            }
            ("enabled", effort) => Ok(Thinking { display, effort }),
            ("adaptive" | "between_tools" | "disabled", Some(_)) => {
                let message = "only allowed with `type: \"enabled\"`";
                Err(reader.invalid_member("budget_tokens", message))
            }
            ("adaptive" | "between_tools", None) => Ok(Thinking { display, effort }),
            ("disabled", None) => Ok(Thinking::default()),
            (other, _) => {
                let message = format!("expected {TYPES}, found `{}`", quoted(other));
                Err(reader.invalid_member("type", &message))
            }
        }
    }
}

/// `display`.
struct DisplayShape;

impl<'de> JsonShape<'de> for DisplayShape {
    type Value = ThinkingDisplay;
    const EXPECTED: &'static str = "`summarized` or `omitted`";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<ThinkingDisplay, E> {
        let Scalar::Text(display) = scalar else {
            return Err(reader.wrong(Self::EXPECTED, scalar.kind()));
        };
        match display.as_ref() {
            "summarized" => Ok(ThinkingDisplay::Summarized),
            "omitted" => Ok(ThinkingDisplay::Omitted),
            other => Err(reader.wrong(Self::EXPECTED, &format!("`{}`", quoted(other)))),
        }
    }
}
