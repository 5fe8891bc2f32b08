//! The shapes of what Codex notifies, as far as a turn is told by them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Status, TurnError, Usage};

/// Text. A `Cow` by itself is always copied, but where it is a member and said to borrow.
#[derive(Default, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Where any notification belongs. Both are empty where it does not say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) item_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) delta: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningDelta<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) item_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) delta: Cow<'a, str>,
    pub(super) summary_index: Option<u32>,
    pub(super) content_index: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemOf<'a, T> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) item: T,
}

/// An item of the Responses API. It may be large: its content is read only where it counts.
#[derive(Deserialize)]
pub(super) struct RawItem<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
}

/// A content part of such an item. Those that are no text have none.
#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

impl<'a> RawItem<'a> {
    /// The text of a message that the model wrote. None: the item is something else.
    pub(super) fn model_text(&self) -> Option<Cow<'a, str>> {
        let Text(role) = self.role.as_ref()?;
        if self.kind != "message" || role != "assistant" {
            return None;
        }
        let mut parts: Vec<RawPart<'_>> = serde_json::from_str(self.content?.get()).ok()?;
        match parts.len() {
            1 => parts.pop().map(|part| part.text),
            _ => Some(parts.iter().map(|part| part.text.as_ref()).collect()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResponseOf<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) usage: Option<Tokens>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageOf<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) token_usage: TokenUsage,
}

#[derive(Deserialize)]
pub(super) struct TokenUsage {
    pub(super) total: Tokens,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) input_tokens: u64,
    pub(super) cached_input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_output_tokens: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input: tokens.input_tokens,
            cached: tokens.cached_input_tokens,
            output: tokens.output_tokens,
            reasoning: tokens.reasoning_output_tokens,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorOf<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) error: TurnError,
    #[serde(default)]
    pub(super) will_retry: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnOf<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) turn: TurnState<'a>,
}

#[derive(Deserialize)]
pub(super) struct TurnState<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) status: Status,
    pub(super) error: Option<TurnError>,
}
