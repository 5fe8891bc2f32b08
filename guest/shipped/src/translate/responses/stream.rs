//! The stream of a response: each item from `added` to `done`, and the Response object at its start and end.

use std::borrow::Cow;

use super::body::{output_id, output_length, push_output};
use super::call::ResponseCall;
use super::events::{EventWriter, push_address, push_index};
use super::items::{
    push_empty_message, push_empty_reasoning, push_message, push_message_text, push_reasoning,
    push_reasoning_part, push_text_part, reasoning_length,
};
use super::object::{COMPLETED, INCOMPLETE, ResponseStatus, ResponseTemplate};
use super::stored;
use crate::bindings::airlock::policy::types::{EventKind, Problem};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Frame, ObjectEnd};
use crate::json;
use crate::notes::ResponsesNotes;
use crate::tools::FunctionCall;
use crate::translate::collected_answer::{AnswerItem, AnswerReasoningPart, CollectedAnswer};
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;
use crate::translate::model_item::ModelItem;
use crate::translate::turn_text::MessageText;
use crate::translate::writer::{StreamWriter, TabUpdate, TargetedText, TextTarget};

mod items;

/// The stream of a response.
#[derive(Debug)]
pub(in crate::translate) struct ResponsesStream {
    template: ResponseTemplate,
    pub(super) events: EventWriter,
    notes: ResponsesNotes,
    pub(super) seed: String,
    /// Whether the first events have been sent.
    started: bool,
    answer: CollectedAnswer,
    /// The ids of the answer's items.
    ids: Vec<String>,
    message: Option<OpenPart>,
    reasoning: Option<OpenPart>,
    calls: Vec<ResponseCall>,
    /// What is stored of the response, once it has ended.
    object: Option<ObjectEnd>,
}

/// The part of an item in progress to which text is added.
#[derive(Debug)]
struct OpenPart {
    target: TextTarget,
    /// The index of its item.
    index: usize,
    /// The index of the part in the item.
    part: usize,
    /// The type of its deltas.
    kind: &'static str,
    /// The JSON of a delta before its text.
    before: String,
}

impl ResponsesStream {
    pub(in crate::translate) fn new(heading: &Heading, notes: &ResponsesNotes) -> Self {
        let template = ResponseTemplate::new(heading, notes);
        let mut notes = notes.clone();
        notes.echo = String::new();
        Self {
            template,
            events: EventWriter::new(notes.websocket.as_ref()),
            notes,
            seed: heading.seed.clone(),
            started: false,
            answer: CollectedAnswer::default(),
            ids: Vec::new(),
            message: None,
            reasoning: None,
            calls: Vec::new(),
            object: None,
        }
    }

    pub(super) fn start(&mut self, frames: &mut Vec<Frame>) {
        if !self.started {
            self.started = true;
            let status = ResponseStatus::in_progress();
            if stored::is_in_background(&self.notes) {
                let queued = ResponseStatus::queued();
                frames.push(self.response("response.created", &queued, 0, |_| {}));
                frames.push(self.response("response.queued", &queued, 0, |_| {}));
            } else {
                frames.push(self.response("response.created", &status, 0, |_| {}));
            }
            frames.push(self.response("response.in_progress", &status, 0, |_| {}));
        }
    }

    /// Ends a response that has succeeded, with the output that `output` appends: about `output_length` bytes.
    pub(super) fn end(
        &mut self,
        status: &ResponseStatus<'_>,
        frames: &mut Vec<Frame>,
        output_length: usize,
        output: impl FnOnce(&Self, &mut String),
    ) {
        let kind = ["response.", status.status].concat();
        let frame = self.response(&kind, status, output_length, |out| output(self, out));
        self.object = stored::succeeded(&self.notes, self.events.response_of(&frame));
        frames.push(frame);
        frames.extend(self.events.done());
    }

    /// An event with the Response object, whose output `output` appends: about `output_length` bytes.
    fn response(
        &self,
        kind: &str,
        status: &ResponseStatus<'_>,
        output_length: usize,
        output: impl FnOnce(&mut String),
    ) -> Frame {
        let length = self.template.length(status) + output_length;
        self.events.event(kind, length, |data| {
            data.push_str(r#","response":"#);
            self.template.push(data, status, output);
        })
    }
}

impl StreamWriter for ResponsesStream {
    fn text(&mut self, piece: TargetedText, frames: &mut Vec<Frame>) {
        self.start(frames);
        match piece.target {
            TextTarget::Candidate(tab) => {
                return self.tab(tab, &TabUpdate::Text(&piece.text), frames);
            }
            // Reasoning is complete once the message that it led to begins.
            TextTarget::Message(_) => self.end_reasoning(frames),
            TextTarget::Reasoning { .. } => {}
        }
        let text = Cow::Borrowed(piece.text.as_str());
        let index = self
            .answer
            .push(piece.target, piece.phase, piece.item, text);
        let part = if matches!(piece.target, TextTarget::Message(_)) {
            self.open_message(piece.target, index, frames);
            &self.message
        } else {
            self.open_reasoning(piece.target, index, frames);
            &self.reasoning
        };
        if let Some(part) = part {
            frames.push(self.events.delta(part.kind, &part.before, &piece.text));
        }
    }

    fn model_item(&mut self, item: &ModelItem, frames: &mut Vec<Frame>) {
        match item {
            ModelItem::Reasoning { .. } if !self.notes.encrypted_reasoning => {
                self.end_reasoning(frames);
            }
            ModelItem::Reasoning { .. } => {
                let Some(index) = self.answer.complete(item) else {
                    return self.end_reasoning(frames);
                };
                self.end_reasoning(frames);
                if index >= self.ids.len() {
                    self.start(frames);
                    self.add_silent_reasoning(index, frames);
                }
            }
            ModelItem::Message { .. } => {
                let Some(index) = self.answer.complete(item) else {
                    return;
                };
                if self
                    .message
                    .as_ref()
                    .is_some_and(|open| open.index == index)
                {
                    self.add_annotations(index, frames);
                    self.end_message(COMPLETED, frames);
                }
            }
        }
    }

    fn calls(&mut self, calls: &[FunctionCall<'static>], frames: &mut Vec<Frame>) {
        if calls.is_empty() {
            return;
        }
        self.start(frames);
        self.end_reasoning(frames);
        self.end_message(COMPLETED, frames);
        for call in calls {
            let index = self.answer.items.len() + self.calls.len();
            let call = ResponseCall::of(call, &self.notes.renamed_tools, &self.seed, index);
            items::push_call(&self.events, &call, index, frames);
            self.calls.push(call);
        }
    }

    /// The events of candidates have names with a prefix, as the Open Responses specification requires of extensions.
    fn tab(&mut self, tab: u32, update: &TabUpdate<'_>, frames: &mut Vec<Frame>) {
        self.start(frames);
        let kind = ["airlock:tab.", update.name()].concat();
        frames.push(self.events.event(&kind, update.json_length(), |data| {
            data.push(',');
            update.push_members(tab, data);
        }));
    }

    fn restart(&mut self, frames: &mut Vec<Frame>) {
        self.end_reasoning(frames);
    }

    fn pattern(&self, target: TextTarget) -> Option<Pattern> {
        let part = match target {
            TextTarget::Message(_) => &self.message,
            TextTarget::Reasoning { .. } => &self.reasoning,
            TextTarget::Candidate(_) => return None,
        };
        let part = part.as_ref().filter(|part| part.target == target)?;
        let (after, number) = self.events.after();
        Some(Pattern {
            event: Some(part.kind.to_owned()),
            before: part.before.clone(),
            after: after.to_owned(),
            // The events at the end of the item repeat its text.
            report: true,
            number,
        })
    }

    fn relayed(&mut self, kind: EventKind) {
        let (target, text) = match kind {
            EventKind::Text(text) => (TextTarget::Message(text.message), text.text),
            EventKind::Reasoning(reasoning) => {
                let (part, raw) = (reasoning.part, reasoning.raw);
                (TextTarget::Reasoning { part, raw }, reasoning.text)
            }
            EventKind::Opened(_)
            | EventKind::Usage(_)
            | EventKind::Restarted(_)
            | EventKind::Other(_)
            | EventKind::Settled(_)
            | EventKind::Picked(_) => return,
        };
        self.answer.push(target, None, None, Cow::Owned(text));
    }

    /// `response.in_progress` again: clients reset their timers only for events that they know.
    fn keep_alive(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.started {
            let status = ResponseStatus::in_progress();
            frames.push(self.response("response.in_progress", &status, 0, |_| {}));
        } else {
            self.start(&mut frames);
        }
        frames
    }

    fn finish(&mut self, end: &ReplyEnd<'_>, frames: &mut Vec<Frame>) {
        self.start(frames);
        self.end_reasoning(frames);
        let status = ResponseStatus::ended(end);
        let incomplete = status.incomplete_item(&self.answer);
        let item_status = if incomplete.is_some() {
            INCOMPLETE
        } else {
            COMPLETED
        };
        self.end_message(item_status, frames);
        let length = output_length(&self.answer, &self.calls, self.notes.encrypted_reasoning);
        self.end(&status, frames, length, |stream, out| {
            push_output(
                out,
                &stream.answer,
                &stream.ids,
                &stream.calls,
                stream.notes.encrypted_reasoning,
                incomplete,
            );
        });
    }

    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>) {
        self.start(frames);
        let is_in_background = stored::is_in_background(&self.notes);
        let status = ResponseStatus::failed(problem, is_in_background);
        // There is no event for a response that was cancelled.
        let frame = self.response("response.failed", &status, 0, |_| {});
        self.object = stored::failed(&self.notes, self.events.response_of(&frame));
        frames.push(frame);
        frames.extend(self.events.done());
    }

    fn take_object(&mut self) -> Option<ObjectEnd> {
        self.object.take()
    }
}
