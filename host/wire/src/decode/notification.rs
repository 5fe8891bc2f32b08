//! Notifications of a thread: decodes a method and its parameters to a report.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::value::RawValue;

use super::item::ThreadItem;
use super::report::TurnReport;
use super::shapes::{
    BorrowedText, ErrorParams, ItemParams, MessageDeltaParams, NotificationAddress, RawItem,
    RawResponseParams, ReasoningDeltaParams, TokenUsageParams, TurnParams,
};

/// The type that Codex assigns to an output item whose own type it does not know.
const UNKNOWN_ITEM: &str = "other";

/// A notification of a thread.
#[derive(Debug)]
pub struct ThreadNotification<'a> {
    /// The thread's id.
    pub thread: Cow<'a, str>,
    /// The turn's id. Empty if the notification names none; for `turn/started` and `turn/completed`, the report has the id.
    pub turn: Cow<'a, str>,
    /// The content.
    pub report: TurnReport<'a>,
}

impl ThreadNotification<'_> {
    /// Whether the method and the parameters are not needed any more.
    pub(super) fn is_self_contained(&self) -> bool {
        !self.thread.is_empty() && self.report.is_self_contained()
    }
}

/// Decodes a notification. None: the parameters are not an object. The thread is empty if the notification names none.
///
/// An unknown method, or parameters of an unknown shape, give `TurnReport::Other`, which is passed on to the policy verbatim.
pub(super) fn decode<'a>(method: &str, params: &'a RawValue) -> Option<ThreadNotification<'a>> {
    let kind = NotificationKind::of(method);
    if let Some(kind) = kind
        && let Ok(decoded) = kind.deserialize(&mut serde_json::Deserializer::from_str(params.get()))
    {
        return Some(decoded);
    }
    let NotificationAddress { thread_id, turn_id } = serde_json::from_str(params.get()).ok()?;
    Some(ThreadNotification {
        thread: thread_id,
        turn: turn_id,
        report: match kind {
            // Without its usage, the response is still complete.
            Some(NotificationKind::RawResponse) => TurnReport::ResponseCompleted(None),
            // A raw item of another shape is none that is passed on.
            Some(NotificationKind::RawItem) => TurnReport::Echo,
            _ => TurnReport::Other,
        },
    })
}

/// The known notifications. Each deserializes its own parameters, and fails if they have another shape.
#[derive(Clone, Copy)]
pub(super) enum NotificationKind {
    MessageDelta,
    SummaryDelta,
    ReasoningDelta,
    ItemStarted,
    ItemCompleted,
    TokenUsage,
    RawItem,
    RawResponse,
    Error,
    TurnStarted,
    TurnCompleted,
}

impl NotificationKind {
    pub(super) fn of(method: &str) -> Option<Self> {
        match method {
            "item/agentMessage/delta" => Some(Self::MessageDelta),
            "item/reasoning/summaryTextDelta" => Some(Self::SummaryDelta),
            "item/reasoning/textDelta" => Some(Self::ReasoningDelta),
            "item/started" => Some(Self::ItemStarted),
            "item/completed" => Some(Self::ItemCompleted),
            "thread/tokenUsage/updated" => Some(Self::TokenUsage),
            "rawResponseItem/completed" => Some(Self::RawItem),
            "rawResponse/completed" => Some(Self::RawResponse),
            "error" => Some(Self::Error),
            "turn/started" => Some(Self::TurnStarted),
            "turn/completed" => Some(Self::TurnCompleted),
            _ => None,
        }
    }

    /// Whether the report may be self-contained. Otherwise the notification itself is needed.
    pub(super) fn may_be_self_contained(self) -> bool {
        !matches!(self, Self::RawResponse)
    }
}

impl<'de> DeserializeSeed<'de> for NotificationKind {
    type Value = ThreadNotification<'de>;

    fn deserialize<D: Deserializer<'de>>(self, params: D) -> Result<Self::Value, D::Error> {
        match self {
            Self::MessageDelta => MessageDeltaParams::deserialize(params).map(Into::into),
            Self::SummaryDelta => {
                ReasoningDeltaParams::deserialize(params).map(|delta| delta.into_report(false))
            }
            Self::ReasoningDelta => {
                ReasoningDeltaParams::deserialize(params).map(|delta| delta.into_report(true))
            }
            Self::ItemStarted => ItemParams::deserialize(params).map(|item| item.report(started)),
            Self::ItemCompleted => {
                ItemParams::deserialize(params).map(|item| item.report(completed))
            }
            Self::RawItem => ItemParams::deserialize(params).map(|item| item.report(raw)),
            Self::TokenUsage => TokenUsageParams::deserialize(params).map(Into::into),
            Self::RawResponse => RawResponseParams::deserialize(params).map(Into::into),
            Self::Error => ErrorParams::deserialize(params).map(Into::into),
            Self::TurnStarted => TurnParams::deserialize(params).map(TurnParams::into_started),
            Self::TurnCompleted => TurnParams::deserialize(params).map(TurnParams::into_completed),
        }
    }
}

impl<'a> From<MessageDeltaParams<'a>> for ThreadNotification<'a> {
    fn from(params: MessageDeltaParams<'a>) -> Self {
        Self {
            thread: params.thread_id,
            turn: params.turn_id,
            report: TurnReport::MessageDelta {
                item: params.item_id,
                text: params.delta,
            },
        }
    }
}

impl<'a> ReasoningDeltaParams<'a> {
    fn into_report(self, raw: bool) -> ThreadNotification<'a> {
        let index = match raw {
            true => self.content_index,
            false => self.summary_index,
        };
        ThreadNotification {
            thread: self.thread_id,
            turn: self.turn_id,
            report: TurnReport::ReasoningDelta {
                item: self.item_id,
                index: index.unwrap_or(0),
                raw,
                text: self.delta,
            },
        }
    }
}

impl<'a, T> ItemParams<'a, T> {
    fn report(self, report: impl FnOnce(T) -> TurnReport<'a>) -> ThreadNotification<'a> {
        ThreadNotification {
            thread: self.thread_id,
            turn: self.turn_id,
            report: report(self.item),
        }
    }
}

impl<'a> From<TokenUsageParams<'a>> for ThreadNotification<'a> {
    fn from(params: TokenUsageParams<'a>) -> Self {
        Self {
            thread: params.thread_id,
            turn: params.turn_id,
            report: TurnReport::Usage(params.token_usage.total.into()),
        }
    }
}

impl<'a> From<RawResponseParams<'a>> for ThreadNotification<'a> {
    fn from(params: RawResponseParams<'a>) -> Self {
        Self {
            thread: params.thread_id,
            turn: params.turn_id,
            report: TurnReport::ResponseCompleted(params.usage.map(Into::into)),
        }
    }
}

impl<'a> From<ErrorParams<'a>> for ThreadNotification<'a> {
    fn from(params: ErrorParams<'a>) -> Self {
        Self {
            thread: params.thread_id,
            turn: params.turn_id,
            report: match params.will_retry {
                true => TurnReport::Retrying(params.error),
                false => TurnReport::Failing,
            },
        }
    }
}

impl<'a> TurnParams<'a> {
    fn into_started(self) -> ThreadNotification<'a> {
        ThreadNotification {
            thread: self.thread_id,
            turn: self.turn_id,
            report: TurnReport::TurnStarted { turn: self.turn.id },
        }
    }

    fn into_completed(self) -> ThreadNotification<'a> {
        ThreadNotification {
            thread: self.thread_id,
            turn: self.turn_id,
            report: TurnReport::TurnCompleted {
                status: self.turn.status,
                error: self.turn.error,
            },
        }
    }
}

fn started(item: ThreadItem<'_>) -> TurnReport<'_> {
    match item {
        ThreadItem::AgentMessage { id, phase, .. } => {
            TurnReport::MessageStarted { item: id, phase }
        }
        ThreadItem::ContextCompaction => TurnReport::Compacting,
        ThreadItem::UserMessage | ThreadItem::DynamicToolCall => TurnReport::Echo,
        ThreadItem::Reasoning { .. } | ThreadItem::Unknown => TurnReport::Other,
    }
}

fn completed(item: ThreadItem<'_>) -> TurnReport<'_> {
    match item {
        ThreadItem::AgentMessage { id, phase, text } => TurnReport::MessageCompleted {
            item: id,
            phase,
            text,
        },
        ThreadItem::Reasoning { id, summary } => {
            TurnReport::ReasoningCompleted { item: id, summary }
        }
        ThreadItem::UserMessage => TurnReport::Echo,
        ThreadItem::DynamicToolCall => TurnReport::ToolResultAccepted,
        ThreadItem::ContextCompaction | ThreadItem::Unknown => TurnReport::Other,
    }
}

fn raw(item: RawItem<'_>) -> TurnReport<'_> {
    if let Some((text, annotated)) = item.model_text() {
        let BorrowedText(item) = item.id.unwrap_or_default();
        return TurnReport::RawMessage {
            item,
            text,
            annotated,
        };
    }
    // Outputs of some types of calls name no call (schema of 0.169.0).
    let BorrowedText(call) = item.call_id.unwrap_or_default();
    match item.kind.as_ref() {
        "function_call" => TurnReport::ToolCalled { call },
        "function_call_output" => TurnReport::ToolReturned { call },
        "web_search_call" | "reasoning" => TurnReport::RawItem,
        kind if kind == UNKNOWN_ITEM => TurnReport::UnknownItem,
        _ => TurnReport::Echo,
    }
}
