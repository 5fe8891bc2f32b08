//! What a notification says about a turn.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::TurnError;
use super::parse;
use super::shapes::{
    Delta, ErrorOf, Item, ItemOf, RawItem, RawResponse, ReasoningPart, TurnOf, UsageOf,
};

/// What a notification says about a turn.
#[derive(Debug)]
pub enum Report<'a> {
    /// It begins.
    TurnStarted {
        /// Its id.
        turn: Cow<'a, str>,
    },
    /// A message begins. It has no text yet.
    MessageStarted {
        /// The message's id, as of all items.
        item: Cow<'a, str>,
        /// What it is for.
        phase: Option<Phase>,
    },
    /// A piece of a message.
    MessageDelta {
        /// The message's id.
        item: Cow<'a, str>,
        /// What is added.
        text: Cow<'a, str>,
    },
    /// A message is whole.
    MessageCompleted {
        /// The message's id.
        item: Cow<'a, str>,
        /// What it is for.
        phase: Option<Phase>,
        /// All of it.
        text: Cow<'a, str>,
    },
    /// A piece of the model's reasoning.
    ReasoningDelta {
        /// The reasoning's id.
        item: Cow<'a, str>,
        /// Which part of it.
        index: u32,
        /// Whether it is the reasoning itself, and not a summary of it.
        raw: bool,
        /// What is added.
        text: Cow<'a, str>,
    },
    /// Some of the model's reasoning is whole.
    ReasoningCompleted {
        /// The reasoning's id.
        item: Cow<'a, str>,
        /// Its summary, part by part.
        summary: Vec<String>,
    },
    /// What we said ourselves, images and all, or what is told besides.
    Echo,
    /// Codex has taken what came of a call.
    Taken,
    /// The model called a tool. Only of turns with tools, as are the next two.
    Called {
        /// The call's id.
        call: Cow<'a, str>,
    },
    /// What came of a call goes to the model.
    Returned {
        /// The call's id.
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
    /// It has ended.
    TurnCompleted {
        /// How.
        status: Status,
        /// Why, where it failed.
        error: Option<TurnError>,
    },
    /// What we do not know, or what is not as we know it.
    Other,
}

impl Report<'_> {
    /// Whether the model itself says something.
    pub fn is_of_model(&self) -> bool {
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
pub enum Status {
    /// It came to its end.
    Completed,
    /// It was told to end.
    Interrupted,
    /// It could not go on.
    Failed,
    /// In a way that we do not know.
    #[serde(other)]
    Unknown,
}

/// What a message is for, where the model says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// On the way to the answer.
    Commentary,
    /// The answer.
    FinalAnswer,
}

/// Tokens used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Those that the model read.
    pub input: u64,
    /// Of `input`, those read from the model's cache.
    pub cached: u64,
    /// Those that the model wrote.
    pub output: u64,
    /// Of `output`, those spent on reasoning.
    pub reasoning: u64,
}

/// Decodes what a notification of a thread says.
///
/// What we do not know, or what is not as we know it, is `Other`: it still crosses to the policy verbatim.
pub fn report<'a>(method: &str, params: &'a RawValue) -> Report<'a> {
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

fn phase_of(name: &str) -> Option<Phase> {
    match name {
        "commentary" => Some(Phase::Commentary),
        "final_answer" => Some(Phase::FinalAnswer),
        _ => None,
    }
}
