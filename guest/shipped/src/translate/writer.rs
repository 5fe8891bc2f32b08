//! The interface of a dialect's stream: what the state machine of a reply sends to it.

use std::fmt;

use super::candidates::CandidateError;
use super::ending::ReplyEnd;
use super::model_item::ModelItem;
use super::turn_text::TurnText;
use super::usage::UsageObject;
use crate::bindings::airlock::policy::types::{EventKind, Phase, Problem, Usage};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Frame, ObjectEnd};
use crate::json;
use crate::tools::FunctionCall;

/// The part of a reply to which a text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTarget {
    /// The message of this number.
    Message(u32),
    /// The part of the reasoning of this number.
    Reasoning {
        part: u32,
        /// Whether it is the reasoning itself, and not a summary.
        raw: bool,
    },
    /// The answer of this candidate of a fan-out.
    Candidate(u32),
}

/// A piece of text that belongs to one part of a reply.
#[derive(Debug)]
pub(super) struct TargetedText {
    pub(super) target: TextTarget,
    /// What separates it from an earlier message or part, where both are joined to one text.
    pub(super) separator: &'static str,
    pub(super) phase: Option<Phase>,
    /// The model's id of the message or reasoning, with the first piece.
    pub(super) item: Option<String>,
    pub(super) text: String,
}

/// An update of a candidate of a fan-out.
#[derive(Debug)]
pub(super) enum TabUpdate<'a> {
    Opened {
        /// The number of candidates.
        total: u32,
        model: &'a str,
    },
    Text(&'a str),
    /// The candidate has answered.
    Closed {
        text: &'a TurnText,
        usage: Option<Usage>,
    },
    /// The candidate ended without an answer.
    Failed(CandidateError),
}

/// Writes the frames of a stream in one dialect.
pub(super) trait StreamWriter: fmt::Debug + Send {
    /// Writes a piece of the answer or of its reasoning.
    fn text(&mut self, piece: TargetedText, frames: &mut Vec<Frame>);

    /// Writes what an item of the model's output has besides its text.
    fn model_item(&mut self, item: &ModelItem, frames: &mut Vec<Frame>);

    /// Writes the answer's calls, after which only the end follows.
    fn calls(&mut self, calls: &[FunctionCall<'static>], frames: &mut Vec<Frame>);

    /// Writes an update of a candidate.
    fn tab(&mut self, tab: u32, update: &TabUpdate<'_>, frames: &mut Vec<Frame>);

    /// Takes back the messages of these numbers. False if their text was sent.
    fn forget(&mut self, _void: &[u32]) -> bool {
        false
    }

    /// Another answer follows in place of this one, of which no text was sent. Nothing to do where consecutive messages
    /// are one text.
    fn restart(&mut self, _frames: &mut Vec<Frame>) {}

    /// The pattern of the frames that continue the answer's last text.
    fn pattern(&self, target: TextTarget) -> Option<Pattern>;

    /// Records a text that was written by the pattern.
    fn relayed(&mut self, kind: EventKind);

    /// The frames for a stream that is silent.
    fn keep_alive(&mut self) -> Vec<Frame>;

    /// Ends the stream.
    fn finish(&mut self, end: &ReplyEnd<'_>, frames: &mut Vec<Frame>);

    /// Ends the stream of a reply that failed.
    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>);

    /// What is stored of the response, once it has ended.
    fn take_object(&mut self) -> Option<ObjectEnd> {
        None
    }
}

impl TextTarget {
    /// Whether a text with this target continues one with the target `last`.
    pub(super) fn continues(self, last: Self, joins_messages: bool) -> bool {
        match (last, self) {
            (Self::Message(_), Self::Message(_))
            | (Self::Reasoning { .. }, Self::Reasoning { .. })
                if joins_messages =>
            {
                true
            }
            _ => last == self,
        }
    }
}

impl TabUpdate<'_> {
    /// The name of the update in events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "open",
            Self::Text(_) => "delta",
            Self::Closed { .. } => "close",
            Self::Failed(_) => "error",
        }
    }

    /// The members of an object about this update, beginning with `tab`.
    pub(super) fn push_members(&self, tab: u32, out: &mut String) {
        out.push_str("\"tab\":");
        out.push_str(&tab.to_string());
        match self {
            Self::Opened { total, model } => {
                out.push_str(",\"total\":");
                out.push_str(&total.to_string());
                out.push_str(",\"model\":");
                json::push_text(out, model);
            }
            Self::Text(text) => {
                out.push_str(",\"text\":");
                json::push_text(out, text);
            }
            Self::Closed { text, usage } => {
                out.push_str(",\"text\":");
                text.push_json(out);
                out.push_str(",\"usage\":");
                out.push_str(&json::to_line(&usage.map(UsageObject::of)));
            }
            Self::Failed(error) => {
                out.push_str(",\"message\":");
                json::push_text(out, error.message);
                out.push_str(",\"exception_type\":");
                json::push_text(out, error.exception_type);
            }
        }
    }

    /// Bytes of the update's texts as JSON, or a few more.
    pub(super) fn json_length(&self) -> usize {
        match self {
            Self::Opened { model, .. } => json::text_length(model),
            Self::Text(text) => json::text_length(text),
            Self::Closed { text, .. } => text.json_length(),
            Self::Failed(_) => 0,
        }
    }
}
