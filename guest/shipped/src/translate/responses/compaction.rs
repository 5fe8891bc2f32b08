//! A compaction: the summary of a conversation as an item that clients send in its place.

use std::borrow::Cow;

use super::events::push_index;
use super::item_id;
use super::object::{ResponseStatus, ResponseTemplate, push_usage};
use super::stream::ResponsesStream;
use crate::bindings::airlock::policy::types::{EventKind, Problem, Usage};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Frame, ObjectEnd};
use crate::compaction;
use crate::json;
use crate::notes::{CompactionNotes, ResponsesNotes};
use crate::problem::upstream;
use crate::tools::FunctionCall;
use crate::translate::collected_answer::CollectedAnswer;
use crate::translate::ending::{FinishReason, ReplyEnd};
use crate::translate::heading::Heading;
use crate::translate::model_item::ModelItem;
use crate::translate::writer::{StreamWriter, TabUpdate, TargetedText, TextTarget};

/// The usage of a turn for which Codex reported none: the object must have it.
const NO_USAGE: Usage = Usage {
    input: 0,
    cached: 0,
    output: 0,
    reasoning: 0,
};

/// The body of a compaction with this summary.
pub(super) fn body(
    heading: &Heading,
    notes: &ResponsesNotes,
    compaction: &CompactionNotes,
    summary: &CollectedAnswer,
    end: &ReplyEnd<'_>,
) -> String {
    let item = item(&heading.seed, summary);
    let mut out = String::new();
    match compaction {
        CompactionNotes::Response => {
            let status = ResponseStatus::ended(end);
            ResponseTemplate::new(heading, notes)
                .push(&mut out, &status, |out| out.push_str(&item));
        }
        CompactionNotes::Object { messages } => {
            out.push_str(r#"{"id":"#);
            json::push_text(&mut out, &["resp_", &heading.seed].concat());
            out.push_str(r#","object":"response.compaction","created_at":"#);
            out.push_str(&heading.created.to_string());
            out.push_str(r#","output":["#);
            out.push_str(messages);
            if !messages.is_empty() {
                out.push(',');
            }
            out.push_str(&item);
            out.push_str(r#"],"usage":"#);
            push_usage(&mut out, Some(end.usage.unwrap_or(NO_USAGE)));
            out.push('}');
        }
    }
    out
}

/// Fails unless a summary is whole: clients replace the conversation by it.
///
/// # Errors
///
/// `upstream`, if it has no text or the model did not complete it.
pub(in crate::translate) fn check_summary(
    reason: FinishReason,
    has_text: bool,
) -> Result<(), Problem> {
    if reason != FinishReason::Completed {
        return Err(upstream(
            "incomplete_answer",
            "the model stopped before the summary was complete; compact a shorter conversation",
        ));
    }
    if !has_text {
        return Err(upstream(
            "empty_answer",
            "the model wrote no summary; send the request again",
        ));
    }
    Ok(())
}

/// The item with this summary.
fn item(seed: &str, summary: &CollectedAnswer) -> String {
    format!(
        r#"{{"id":"{}","type":"compaction","encrypted_content":"{}"}}"#,
        item_id("cmp", seed, 0),
        compaction::encode(&summary.text.to_text())
    )
}

/// The stream of a response whose only item is a compaction. Its text is sent when it is complete.
#[derive(Debug)]
pub(in crate::translate) struct CompactionStream {
    stream: ResponsesStream,
    summary: CollectedAnswer,
}

impl CompactionStream {
    pub(in crate::translate) fn new(heading: &Heading, notes: &ResponsesNotes) -> Self {
        Self {
            stream: ResponsesStream::new(heading, notes),
            summary: CollectedAnswer::default(),
        }
    }
}

impl StreamWriter for CompactionStream {
    fn text(&mut self, piece: TargetedText, frames: &mut Vec<Frame>) {
        self.stream.start(frames);
        if matches!(piece.target, TextTarget::Message(_)) {
            let text = Cow::Owned(piece.text);
            self.summary.push(piece.target, None, None, text);
        }
    }

    fn forget(&mut self, void: &[u32]) -> bool {
        self.summary.forget(void);
        true
    }

    /// The items of the turn are no items of the response.
    fn model_item(&mut self, _item: &ModelItem, _frames: &mut Vec<Frame>) {}

    /// No tools are offered.
    fn calls(&mut self, _calls: &[FunctionCall<'static>], _frames: &mut Vec<Frame>) {}

    /// No compaction is made by several turns.
    fn tab(&mut self, _tab: u32, _update: &TabUpdate<'_>, _frames: &mut Vec<Frame>) {}

    fn restart(&mut self, _frames: &mut Vec<Frame>) {
        self.summary = CollectedAnswer::default();
    }

    fn pattern(&self, _target: TextTarget) -> Option<Pattern> {
        None
    }

    fn relayed(&mut self, _kind: EventKind) {}

    fn keep_alive(&mut self) -> Vec<Frame> {
        self.stream.keep_alive()
    }

    fn finish(&mut self, end: &ReplyEnd<'_>, frames: &mut Vec<Frame>) {
        self.stream.start(frames);
        let item = item(&self.stream.seed, &self.summary);
        for kind in ["response.output_item.added", "response.output_item.done"] {
            frames.push(self.stream.events.event(kind, item.len(), |data| {
                push_index(data, "output_index", 0);
                data.push_str(r#","item":"#);
                data.push_str(&item);
            }));
        }
        let status = ResponseStatus::ended(end);
        self.stream
            .end(&status, frames, item.len(), |_, out| out.push_str(&item));
    }

    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>) {
        self.stream.fail(problem, frames);
    }

    fn take_object(&mut self) -> Option<ObjectEnd> {
        self.stream.take_object()
    }
}
