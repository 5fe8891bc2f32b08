//! A reference decoder: each line in three passes, by derived `Deserialize`. The decoder in one pass must agree with it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decode::{MessagePhase, RpcError, TurnError, TurnReport, TurnStatus, Usage};

/// As `super::describe`.
pub(super) fn describe(text: &str) -> String {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else {
        return "nothing".to_owned();
    };
    let method = envelope.method;
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (method.is_empty(), envelope.id) {
        (false, Some(id)) => format!("request {id} {method} {params}"),
        (false, None) => {
            let address = parse(params.get()).filter(|at: &Address<'_>| !at.thread_id.is_empty());
            let Some(Address { thread_id, turn_id }) = address else {
                return format!("notification {method} {params}");
            };
            let at = envelope.emitted_at_ms;
            let report = report(&method, params);
            super::describe_notification(&thread_id, &turn_id, &report, Some((&method, params)), at)
        }
        (true, Some(id)) => match (id.get().parse::<u64>(), envelope.error, envelope.result) {
            (Ok(id), Some(error), _) => format!("response {id} {error:?}"),
            (Ok(id), None, Some(result)) => format!("response {id} {result}"),
            _ => "nothing".to_owned(),
        },
        (true, None) => "nothing".to_owned(),
    }
}

fn parse<'a, T: Deserialize<'a>>(params: &'a str) -> Option<T> {
    serde_json::from_str(params).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address<'a> {
    #[serde(borrow, default)]
    thread_id: Cow<'a, str>,
    #[serde(borrow, default)]
    turn_id: Cow<'a, str>,
}

fn report<'a>(method: &str, params: &'a RawValue) -> TurnReport<'a> {
    let params = params.get();
    let report = match method {
        "item/agentMessage/delta" => {
            parse(params).map(|Delta { item_id, delta }| TurnReport::MessageDelta {
                item: item_id,
                text: delta,
            })
        }
        "item/reasoning/summaryTextDelta" => parse(params).map(|part: ReasoningPart<'a>| {
            let index = part.summary_index.unwrap_or(0);
            TurnReport::ReasoningDelta {
                item: part.item_id,
                index,
                raw: false,
                text: part.delta,
            }
        }),
        "item/reasoning/textDelta" => parse(params).map(|part: ReasoningPart<'a>| {
            let index = part.content_index.unwrap_or(0);
            TurnReport::ReasoningDelta {
                item: part.item_id,
                index,
                raw: true,
                text: part.delta,
            }
        }),
        "item/started" => parse(params).and_then(|ItemOf { item }| match item {
            Item::AgentMessage { id, phase, .. } => Some(TurnReport::MessageStarted {
                item: id,
                phase: phase.as_deref().and_then(phase_of),
            }),
            Item::ContextCompaction => Some(TurnReport::Compacting),
            Item::UserMessage | Item::DynamicToolCall => Some(TurnReport::Echo),
            Item::Reasoning { .. } | Item::Unknown => None,
        }),
        "item/completed" => parse(params).and_then(|ItemOf { item }| match item {
            Item::AgentMessage { id, phase, text } => Some(TurnReport::MessageCompleted {
                item: id,
                phase: phase.as_deref().and_then(phase_of),
                text,
            }),
            Item::Reasoning { id, summary } => {
                Some(TurnReport::ReasoningCompleted { item: id, summary })
            }
            Item::UserMessage => Some(TurnReport::Echo),
            Item::DynamicToolCall => Some(TurnReport::ToolResultAccepted),
            Item::ContextCompaction | Item::Unknown => None,
        }),
        "thread/tokenUsage/updated" => {
            parse(params).map(|UsageOf { token_usage }| TurnReport::Usage(token_usage.total.into()))
        }
        "rawResponseItem/completed" => parse(params).map(|ItemOf { item }| {
            let RawItem {
                kind,
                id,
                role,
                call_id,
                content,
            } = item;
            let call = call_id.unwrap_or_default();
            let written: Option<Vec<Part>> = match (kind.as_ref(), role.as_deref(), content) {
                ("message", Some("assistant"), Some(content)) => parse(content.get()),
                _ => None,
            };
            match (kind.as_ref(), written) {
                (_, Some(parts)) => TurnReport::RawMessage {
                    item: id.unwrap_or_default(),
                    annotated: parts.iter().any(Part::is_annotated),
                    text: parts.into_iter().map(|Part { text, .. }| text).collect(),
                },
                ("reasoning" | "web_search_call", _) => TurnReport::RawItem,
                ("function_call", _) => TurnReport::ToolCalled { call },
                ("function_call_output", _) => TurnReport::ToolReturned { call },
                ("other", _) => TurnReport::UnknownItem,
                _ => TurnReport::Echo,
            }
        }),
        "rawResponse/completed" => {
            let used = parse(params).and_then(|RawResponse { usage }| usage);
            Some(TurnReport::ResponseCompleted(used.map(Usage::from)))
        }
        "error" => parse(params).map(|ErrorOf { error, will_retry }| {
            if will_retry {
                TurnReport::Retrying(error)
            } else {
                TurnReport::Failing
            }
        }),
        "turn/started" => {
            parse(params).map(|TurnOf { turn }| TurnReport::TurnStarted { turn: turn.id })
        }
        "turn/completed" => parse(params).map(|TurnOf { turn }| TurnReport::TurnCompleted {
            status: turn.status,
            error: turn.error,
        }),
        _ => None,
    };
    report.unwrap_or(match method {
        "rawResponseItem/completed" => TurnReport::Echo,
        _ => TurnReport::Other,
    })
}

fn phase_of(name: &str) -> Option<MessagePhase> {
    match name {
        "commentary" => Some(MessagePhase::Commentary),
        "final_answer" => Some(MessagePhase::FinalAnswer),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningPart<'a> {
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
    summary_index: Option<u32>,
    content_index: Option<u32>,
}

#[derive(Deserialize)]
struct ItemOf<T> {
    item: T,
}

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
    #[serde(default)]
    annotations: Option<Vec<serde_json::Value>>,
}

impl Part {
    fn is_annotated(&self) -> bool {
        self.annotations
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    }
}

#[derive(Deserialize)]
struct RawResponse {
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Item<'a> {
    AgentMessage {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow, default)]
        phase: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        text: Cow<'a, str>,
    },
    Reasoning {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(default)]
        summary: Vec<String>,
    },
    ContextCompaction,
    DynamicToolCall,
    UserMessage,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageOf {
    token_usage: TokenUsage,
}

#[derive(Deserialize)]
struct TokenUsage {
    total: Tokens,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
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
struct ErrorOf {
    error: TurnError,
    #[serde(default)]
    will_retry: bool,
}

#[derive(Deserialize)]
struct TurnOf<'a> {
    #[serde(borrow)]
    turn: TurnState<'a>,
}

#[derive(Deserialize)]
struct TurnState<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    status: TurnStatus,
    error: Option<TurnError>,
}
