//! One line of Codex's stdout, decoded: an answer, a request, or a report about a turn. Pure.

mod shapes; // what is in a notification

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::shapes::{
    Delta, ErrorOf, Item, ItemOf, RawItem, RawResponse, ReasoningPart, TurnOf, UsageOf,
};
use super::pending::RpcError;
use super::protocol::TurnError;
use crate::wit::{Phase, Usage};

/// One line.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Answer {
        id: u64,
        result: Result<&'a RawValue, RpcError>,
    },
    /// Codex asks something of us. Its ids are its own, so they stay as they came.
    Request {
        id: &'a RawValue,
        method: Cow<'a, str>,
        params: &'a RawValue,
    },
    Notification {
        method: Cow<'a, str>,
        params: &'a RawValue,
        at: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// Empty when there is none: serde borrows a `Cow`, but not one inside an `Option`.
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
    #[serde(default)]
    emitted_at_ms: u64,
}

/// Decodes a line; an error says what it was not.
pub(super) fn line(text: &[u8]) -> Result<Line<'_>, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(text)?;
    let unknown = || serde::de::Error::custom("neither an answer, a request nor a notification");
    let method = envelope.method;
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (method.is_empty(), envelope.id) {
        (false, Some(id)) => Ok(Line::Request { id, method, params }),
        (false, None) => Ok(Line::Notification {
            method,
            params,
            at: envelope.emitted_at_ms,
        }),
        (true, Some(id)) => {
            // We only ever send whole numbers, so no other id can be ours.
            let id = id.get().parse().map_err(|_| unknown())?;
            match (envelope.error, envelope.result) {
                (Some(error), _) => Ok(Line::Answer {
                    id,
                    result: Err(error),
                }),
                (None, Some(result)) => Ok(Line::Answer {
                    id,
                    result: Ok(result),
                }),
                (None, None) => Err(unknown()),
            }
        }
        (true, None) => Err(unknown()),
    }
}

/// What a notification says about a turn.
#[derive(Debug)]
pub(super) enum Report<'a> {
    TurnStarted {
        turn: Cow<'a, str>,
    },
    MessageStarted {
        item: Cow<'a, str>,
        phase: Option<Phase>,
    },
    MessageDelta {
        item: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    MessageCompleted {
        item: Cow<'a, str>,
        phase: Option<Phase>,
        text: Cow<'a, str>,
    },
    ReasoningDelta {
        item: Cow<'a, str>,
        index: u32,
        raw: bool,
        text: Cow<'a, str>,
    },
    ReasoningCompleted {
        item: Cow<'a, str>,
        summary: Vec<String>,
    },
    /// What we said ourselves, images and all, or what is told besides.
    Echo,
    /// Codex has taken what came of a call.
    Taken,
    /// The model called a tool. Only of turns with tools, as are the next two.
    Called {
        call: Cow<'a, str>,
    },
    /// What came of a call goes to the model.
    Returned {
        call: Cow<'a, str>,
    },
    /// A response of the model is whole, and what it used.
    Responded(Option<Usage>),
    /// Codex begins to summarise the conversation, because it no longer fits.
    Compacting,
    /// What the thread has used so far. It comes once for each of the model's responses.
    Usage(Usage),
    /// The model's stream broke; Codex asks it again.
    Retrying(TurnError),
    /// Announces the failure that `TurnCompleted` will bring.
    Failing,
    TurnCompleted {
        status: Status,
        error: Option<TurnError>,
    },
    Other,
}

impl Report<'_> {
    /// Whether the model itself says something.
    pub(super) fn is_of_model(&self) -> bool {
        matches!(
            self,
            Self::MessageStarted { .. }
                | Self::MessageDelta { .. }
                | Self::MessageCompleted { .. }
                | Self::ReasoningDelta { .. }
                | Self::ReasoningCompleted { .. }
                | Self::Called { .. }
                | Self::Responded(_)
        )
    }
}

/// How Codex says that a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    Completed,
    Interrupted,
    Failed,
    #[serde(other)]
    Unknown,
}

/// Where a notification belongs. Empty where it names no thread, or no turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address<'a> {
    #[serde(borrow, default)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) turn_id: Cow<'a, str>,
}

/// The address of a notification; `None` when it concerns no thread.
///
/// `turn/started` and `turn/completed` name their turn elsewhere; `report` tells which.
pub(super) fn address(params: &RawValue) -> Option<Address<'_>> {
    parse(params.get()).filter(|found: &Address<'_>| !found.thread_id.is_empty())
}

/// Decodes what a notification of a thread says.
///
/// What we do not know, or what is not as we know it, is `Other`: it still crosses to the policy verbatim.
pub(super) fn report<'a>(method: &str, params: &'a RawValue) -> Report<'a> {
    let params = params.get();
    let report = match method {
        "item/agentMessage/delta" => {
            parse(params).map(|Delta { item_id, delta }| Report::MessageDelta {
                item: item_id,
                text: delta,
            })
        }
        "item/reasoning/summaryTextDelta" => parse(params).map(|part: ReasoningPart<'a>| {
            let index = part.summary_index.unwrap_or(0);
            Report::ReasoningDelta {
                item: part.item_id,
                index,
                raw: false,
                text: part.delta,
            }
        }),
        "item/reasoning/textDelta" => parse(params).map(|part: ReasoningPart<'a>| {
            let index = part.content_index.unwrap_or(0);
            Report::ReasoningDelta {
                item: part.item_id,
                index,
                raw: true,
                text: part.delta,
            }
        }),
        "item/started" => parse(params).and_then(|ItemOf { item }| match item {
            Item::AgentMessage { id, phase, .. } => Some(Report::MessageStarted {
                item: id,
                phase: phase.as_deref().and_then(phase_of),
            }),
            Item::ContextCompaction => Some(Report::Compacting),
            Item::UserMessage | Item::DynamicToolCall => Some(Report::Echo),
            Item::Reasoning { .. } | Item::Unknown => None,
        }),
        "item/completed" => parse(params).and_then(|ItemOf { item }| match item {
            Item::AgentMessage { id, phase, text } => Some(Report::MessageCompleted {
                item: id,
                phase: phase.as_deref().and_then(phase_of),
                text,
            }),
            Item::Reasoning { id, summary } => {
                Some(Report::ReasoningCompleted { item: id, summary })
            }
            Item::UserMessage => Some(Report::Echo),
            Item::DynamicToolCall => Some(Report::Taken),
            Item::ContextCompaction | Item::Unknown => None,
        }),
        "thread/tokenUsage/updated" => {
            parse(params).map(|UsageOf { token_usage }| Report::Usage(token_usage.total.into()))
        }
        "rawResponseItem/completed" => parse(params).map(|ItemOf { item }| {
            let RawItem { kind, call_id } = item;
            // What came of some calls names none (schema of 0.169.0).
            let call = call_id.unwrap_or_default();
            match kind.as_ref() {
                "function_call" => Report::Called { call },
                "function_call_output" => Report::Returned { call },
                _ => Report::Echo,
            }
        }),
        "rawResponse/completed" => {
            let used = parse(params).and_then(|RawResponse { usage }| usage);
            Some(Report::Responded(used.map(Usage::from)))
        }
        "error" => parse(params).map(|ErrorOf { error, will_retry }| {
            if will_retry {
                Report::Retrying(error)
            } else {
                Report::Failing
            }
        }),
        "turn/started" => {
            parse(params).map(|TurnOf { turn }| Report::TurnStarted { turn: turn.id })
        }
        "turn/completed" => parse(params).map(|TurnOf { turn }| Report::TurnCompleted {
            status: turn.status,
            error: turn.error,
        }),
        _ => None,
    };
    report.unwrap_or(Report::Other)
}

/// A call of a tool, as Codex asks us for its result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(super) thread_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) turn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) call_id: Cow<'a, str>,
}

/// What Codex asks with `item/tool/call`.
pub(super) fn tool_call(params: &RawValue) -> Option<ToolCall<'_>> {
    parse(params.get())
}

fn parse<'a, T: Deserialize<'a>>(params: &'a str) -> Option<T> {
    serde_json::from_str(params).ok()
}

fn phase_of(name: &str) -> Option<Phase> {
    match name {
        "commentary" => Some(Phase::Commentary),
        "final_answer" => Some(Phase::FinalAnswer),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
