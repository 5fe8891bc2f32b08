//! The parameters of the known notifications, as far as the gateway uses them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{TurnError, TurnStatus, Usage};

/// A string, borrowed if it has no escapes. A bare `Cow` deserializes to a copy, as only a field can have `borrow`.
#[derive(Default, Deserialize)]
pub(super) struct BorrowedText<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The thread and the turn of any notification. Empty if absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationAddress<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageDeltaParams<'a> {
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
pub(super) struct ReasoningDeltaParams<'a> {
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
pub(super) struct ItemParams<'a, T> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) item: T,
}

/// An item of the Responses API. It may be large, so its content is deserialized only if it is used.
#[derive(Deserialize)]
pub(super) struct RawItem<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) id: Option<BorrowedText<'a>>,
    #[serde(borrow, default)]
    pub(super) role: Option<BorrowedText<'a>>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<BorrowedText<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
}

/// A content part of such an item. The text of other parts is empty.
#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(default)]
    annotations: Option<Vec<IgnoredAny>>,
}

impl<'a> RawItem<'a> {
    /// The text, and whether it has annotations, if the item is a message of role `assistant`.
    pub(super) fn model_text(&self) -> Option<(Cow<'a, str>, bool)> {
        let BorrowedText(role) = self.role.as_ref()?;
        if self.kind != "message" || role != "assistant" {
            return None;
        }
        let mut parts: Vec<RawPart<'_>> = serde_json::from_str(self.content?.get()).ok()?;
        let annotations = parts.iter().filter_map(|part| part.annotations.as_ref());
        let annotated = annotations.into_iter().any(|list| !list.is_empty());
        let text = match parts.len() {
            1 => parts.pop().map(|part| part.text)?,
            _ => parts.iter().map(|part| part.text.as_ref()).collect(),
        };
        Some((text, annotated))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawResponseParams<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) usage: Option<TokenUsageBreakdown>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsageParams<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    pub(super) token_usage: TokenUsage,
}

#[derive(Deserialize)]
pub(super) struct TokenUsage {
    pub(super) total: TokenUsageBreakdown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct TokenUsageBreakdown {
    pub(super) input_tokens: u64,
    pub(super) cached_input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_output_tokens: u64,
}

impl From<TokenUsageBreakdown> for Usage {
    fn from(tokens: TokenUsageBreakdown) -> Self {
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
pub(super) struct ErrorParams<'a> {
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
pub(super) struct TurnParams<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) turn: TurnObject<'a>,
}

#[derive(Deserialize)]
pub(super) struct TurnObject<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) status: TurnStatus,
    pub(super) error: Option<TurnError>,
}
