//! A piece of an answer, decoded in one pass: nearly all lines of Codex are such pieces.
//!
//! Whatever is in any way else is decoded in the general way, so this knows no more than what it is fast at. It needs
//! the method before its parameters, as Codex writes them (0.169.0, all recordings).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Report;

/// The line, where it is a piece of an answer and nothing else.
pub(super) fn delta(text: &str) -> Option<Delta<'_>> {
    let mut text = serde_json::Deserializer::from_str(text);
    let delta = text.deserialize_map(Members).ok()??;
    text.end().ok()?;
    Some(delta)
}

/// A piece of an answer, and where it belongs.
#[derive(Debug)]
pub struct Delta<'a> {
    /// The thread that it is of.
    pub thread: Cow<'a, str>,
    /// The turn that it is of.
    pub turn: Cow<'a, str>,
    /// What it says: a `MessageDelta` or a `ReasoningDelta`.
    pub report: Report<'a>,
    /// Unix milliseconds; 0 where it does not say.
    pub at: u64,
}

/// What there are pieces of.
#[derive(Clone, Copy)]
enum Kind {
    Message,
    Summary,
    Reasoning,
}

impl Kind {
    fn of(method: &str) -> Option<Self> {
        match method {
            "item/agentMessage/delta" => Some(Self::Message),
            "item/reasoning/summaryTextDelta" => Some(Self::Summary),
            "item/reasoning/textDelta" => Some(Self::Reasoning),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Method,
    Params,
    EmittedAtMs,
    // What makes it another kind of line.
    Id,
    Result,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(borrow)]
    thread_id: Cow<'a, str>,
    #[serde(borrow)]
    turn_id: Cow<'a, str>,
    #[serde(borrow)]
    item_id: Cow<'a, str>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
    summary_index: Option<u32>,
    content_index: Option<u32>,
}

impl<'a> Piece<'a> {
    fn told(self, kind: Kind, at: u64) -> Option<Delta<'a>> {
        let (item, text) = (self.item_id, self.delta);
        let reasoning = |raw: bool, index: Option<u32>| (raw, index.unwrap_or(0));
        let part = match kind {
            Kind::Message => None,
            Kind::Summary => Some(reasoning(false, self.summary_index)),
            Kind::Reasoning => Some(reasoning(true, self.content_index)),
        };
        let report = match part {
            None => Report::MessageDelta { item, text },
            Some((raw, index)) => Report::ReasoningDelta {
                item,
                index,
                raw,
                text,
            },
        };
        (!self.thread_id.is_empty()).then_some(Delta {
            thread: self.thread_id,
            turn: self.turn_id,
            report,
            at,
        })
    }
}

/// Reads the members of a line. None, or an error: it is for the general way.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Option<Delta<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a line of Codex")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut piece, mut at) = (None, None, None);
        while let Some(member) = members.next_key()? {
            match (member, kind) {
                (Member::Method, None) => {
                    let Method(method) = members.next_value()?;
                    kind = Kind::of(&method);
                    if kind.is_none() {
                        return Ok(None);
                    }
                }
                (Member::Params, Some(_)) if piece.is_none() => {
                    piece = Some(members.next_value::<Piece<'de>>()?);
                }
                (Member::EmittedAtMs, _) if at.is_none() => at = Some(members.next_value()?),
                (Member::Unknown, _) => drop(members.next_value::<IgnoredAny>()?),
                _ => return Ok(None),
            }
        }
        let told = |(kind, piece): (Kind, Piece<'de>)| piece.told(kind, at.unwrap_or(0));
        Ok(kind.zip(piece).and_then(told))
    }
}

/// A method's name. A `Cow` of its own would always be copied.
#[derive(Deserialize)]
struct Method<'a>(#[serde(borrow)] Cow<'a, str>);
