//! Which notification tells what of a turn.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::value::RawValue;

use super::item::Item;
use super::report::Report;
use super::shapes::{
    Address, Delta, ErrorOf, ItemOf, RawItem, ReasoningDelta, ResponseOf, Text, TurnOf, UsageOf,
};

/// The type that Codex gives an output item whose own type it does not know.
const UNKNOWN_ITEM: &str = "other";

/// What Codex tells of a thread.
#[derive(Debug)]
pub struct Told<'a> {
    /// The thread's id.
    pub thread: Cow<'a, str>,
    /// The turn's; empty where none is named. Where a turn starts or is completed, the report is of it.
    pub turn: Cow<'a, str>,
    /// What it says.
    pub report: Report<'a>,
}

impl Told<'_> {
    /// Whether nobody needs the notification itself any more.
    pub(super) fn says_all(&self) -> bool {
        !self.thread.is_empty() && self.report.says_all()
    }
}

/// What a notification tells, as it came. None: its parameters are no object. Its thread is empty where it names none.
///
/// What we do not know, or what is not as we know it, is `Other`: it still crosses to the policy verbatim.
pub(super) fn told<'a>(method: &str, params: &'a RawValue) -> Option<Told<'a>> {
    let kind = Kind::of(method);
    if let Some(kind) = kind
        && let Ok(told) = kind.deserialize(&mut serde_json::Deserializer::from_str(params.get()))
    {
        return Some(told);
    }
    let Address { thread_id, turn_id } = serde_json::from_str(params.get()).ok()?;
    Some(Told {
        thread: thread_id,
        turn: turn_id,
        report: match kind {
            // Whatever it used, it is whole.
            Some(Kind::Responded) => Report::Responded(None),
            // Policies know nothing of raw items but calls.
            Some(Kind::RawItem) => Report::Echo,
            _ => Report::Other,
        },
    })
}

/// The notifications that we know. It reads their parameters; an error: they are not as we know them.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    MessageDelta,
    SummaryDelta,
    ReasoningDelta,
    ItemStarted,
    ItemCompleted,
    Used,
    RawItem,
    Responded,
    Failing,
    TurnStarted,
    TurnCompleted,
}

impl Kind {
    pub(super) fn of(method: &str) -> Option<Self> {
        match method {
            "item/agentMessage/delta" => Some(Self::MessageDelta),
            "item/reasoning/summaryTextDelta" => Some(Self::SummaryDelta),
            "item/reasoning/textDelta" => Some(Self::ReasoningDelta),
            "item/started" => Some(Self::ItemStarted),
            "item/completed" => Some(Self::ItemCompleted),
            "thread/tokenUsage/updated" => Some(Self::Used),
            "rawResponseItem/completed" => Some(Self::RawItem),
            "rawResponse/completed" => Some(Self::Responded),
            "error" => Some(Self::Failing),
            "turn/started" => Some(Self::TurnStarted),
            "turn/completed" => Some(Self::TurnCompleted),
            _ => None,
        }
    }

    /// Whether it may be that its report says all. If not, the notification itself will be needed.
    pub(super) fn may_say_all(self) -> bool {
        !matches!(self, Self::Responded)
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Told<'de>;

    fn deserialize<D: Deserializer<'de>>(self, params: D) -> Result<Told<'de>, D::Error> {
        let (thread, turn, report) = match self {
            Self::MessageDelta => {
                let of = Delta::deserialize(params)?;
                let (item, text) = (of.item_id, of.delta);
                let report = Report::MessageDelta { item, text };
                (of.thread_id, of.turn_id, report)
            }
            Self::SummaryDelta | Self::ReasoningDelta => {
                let of = ReasoningDelta::deserialize(params)?;
                let (raw, index) = match self {
                    Self::ReasoningDelta => (true, of.content_index),
                    _ => (false, of.summary_index),
                };
                let report = Report::ReasoningDelta {
                    item: of.item_id,
                    index: index.unwrap_or(0),
                    raw,
                    text: of.delta,
                };
                (of.thread_id, of.turn_id, report)
            }
            Self::ItemStarted => {
                let of = ItemOf::deserialize(params)?;
                (of.thread_id, of.turn_id, started(of.item))
            }
            Self::ItemCompleted => {
                let of = ItemOf::deserialize(params)?;
                (of.thread_id, of.turn_id, completed(of.item))
            }
            Self::Used => {
                let of = UsageOf::deserialize(params)?;
                let used = of.token_usage.total.into();
                (of.thread_id, of.turn_id, Report::Usage(used))
            }
            Self::RawItem => {
                let of = ItemOf::deserialize(params)?;
                (of.thread_id, of.turn_id, raw(of.item))
            }
            Self::Responded => {
                let of = ResponseOf::deserialize(params)?;
                let used = of.usage.map(Into::into);
                (of.thread_id, of.turn_id, Report::Responded(used))
            }
            Self::Failing => {
                let of = ErrorOf::deserialize(params)?;
                let report = match of.will_retry {
                    true => Report::Retrying(of.error),
                    false => Report::Failing,
                };
                (of.thread_id, of.turn_id, report)
            }
            Self::TurnStarted => {
                let of = TurnOf::deserialize(params)?;
                let turn = of.turn.id;
                (of.thread_id, of.turn_id, Report::TurnStarted { turn })
            }
            Self::TurnCompleted => {
                let of = TurnOf::deserialize(params)?;
                let (status, error) = (of.turn.status, of.turn.error);
                let report = Report::TurnCompleted { status, error };
                (of.thread_id, of.turn_id, report)
            }
        };
        Ok(Told {
            thread,
            turn,
            report,
        })
    }
}

fn started(item: Item<'_>) -> Report<'_> {
    match item {
        Item::AgentMessage { id, phase, .. } => Report::MessageStarted { item: id, phase },
        Item::ContextCompaction => Report::Compacting,
        Item::UserMessage | Item::DynamicToolCall => Report::Echo,
        Item::Reasoning { .. } | Item::Unknown => Report::Other,
    }
}

fn completed(item: Item<'_>) -> Report<'_> {
    match item {
        Item::AgentMessage { id, phase, text } => Report::MessageCompleted {
            item: id,
            phase,
            text,
        },
        Item::Reasoning { id, summary } => Report::ReasoningCompleted { item: id, summary },
        Item::UserMessage => Report::Echo,
        Item::DynamicToolCall => Report::Taken,
        Item::ContextCompaction | Item::Unknown => Report::Other,
    }
}

fn raw(item: RawItem<'_>) -> Report<'_> {
    if let Some(text) = item.model_text() {
        let Text(item) = item.id.unwrap_or_default();
        return Report::RawMessage { item, text };
    }
    // What came of some calls names none (schema of 0.169.0).
    let Text(call) = item.call_id.unwrap_or_default();
    match item.kind.as_ref() {
        "function_call" => Report::Called { call },
        "function_call_output" => Report::Returned { call },
        kind if kind == UNKNOWN_ITEM => Report::UnknownItem,
        _ => Report::Echo,
    }
}
