//! The events of one item of the output.

use super::*;

impl ResponsesStream {
    /// Begins the message at this index, unless it is in progress.
    pub(super) fn open_message(
        &mut self,
        target: TextTarget,
        index: usize,
        frames: &mut Vec<Frame>,
    ) {
        let open = self.message.as_ref();
        if open.is_some_and(|open| open.index == index) {
            return;
        }
        self.end_message(COMPLETED, frames);
        self.add_item(index, frames);
        let id = self.id(index);
        let part = self.events.event("response.content_part.added", 0, |data| {
            push_address(data, id, index);
            push_index(data, "content_index", 0);
            data.push_str(r#","part":"#);
            push_text_part(data, None, &[]);
        });
        frames.push(part);
        let kind = "response.output_text.delta";
        let mut before = delta_start(kind, id, index, "content_index", 0);
        before.push_str(r#","logprobs":[],"delta":"#);
        self.message = Some(OpenPart {
            target,
            index,
            part: 0,
            kind,
            before,
        });
    }

    /// Begins the last part of the reasoning item at this index, unless it is in progress.
    pub(super) fn open_reasoning(
        &mut self,
        target: TextTarget,
        index: usize,
        frames: &mut Vec<Frame>,
    ) {
        match &self.reasoning {
            Some(open) if open.index != index => self.end_reasoning_item(frames),
            Some(open) if open.target == target => return,
            Some(_) => self.end_part(frames),
            None => {}
        }
        self.add_item(index, frames);
        let id = self.id(index);
        let form = PartForm::of(target);
        let part = self.last_part(index);
        let added = self.events.event(form.added, 0, |data| {
            push_address(data, id, index);
            push_index(data, form.index, part);
            data.push_str(r#","part":"#);
            push_reasoning_part(data, form.raw, "");
        });
        frames.push(added);
        let mut before = delta_start(form.delta, id, index, form.index, part);
        before.push_str(r#","delta":"#);
        self.reasoning = Some(OpenPart {
            target,
            index,
            part,
            kind: form.delta,
            before,
        });
    }

    /// Ends the message in progress.
    pub(super) fn end_message(&mut self, status: &str, frames: &mut Vec<Frame>) {
        let Some(OpenPart { index, .. }) = self.message.take() else {
            return;
        };
        let Some(AnswerItem::Message(message)) = self.answer.items.get(index) else {
            return;
        };
        let id = self.id(index);
        let text = self.answer.text.message(message.number);
        let length = text.map_or(0, MessageText::json_length);
        frames.push(
            self.events
                .event("response.output_text.done", length, |data| {
                    push_address(data, id, index);
                    push_index(data, "content_index", 0);
                    data.push_str(r#","text":"#);
                    push_message_text(data, text);
                    data.push_str(r#","logprobs":[]"#);
                }),
        );
        frames.push(
            self.events
                .event("response.content_part.done", length, |data| {
                    push_address(data, id, index);
                    push_index(data, "content_index", 0);
                    data.push_str(r#","part":"#);
                    push_text_part(data, text, &message.annotations);
                }),
        );
        frames.push(
            self.events
                .event("response.output_item.done", length, |data| {
                    push_index(data, "output_index", index);
                    data.push_str(r#","item":"#);
                    push_message(data, id, message, text, status);
                }),
        );
    }

    /// Ends the reasoning in progress: what follows belongs to another item.
    pub(super) fn end_reasoning(&mut self, frames: &mut Vec<Frame>) {
        self.answer.end_reasoning();
        self.end_reasoning_item(frames);
    }

    fn end_reasoning_item(&mut self, frames: &mut Vec<Frame>) {
        self.end_part(frames);
        if let Some(open) = self.reasoning.take() {
            self.end_reasoning_at(open.index, frames);
        }
    }

    /// Ends the part of the reasoning in progress.
    fn end_part(&self, frames: &mut Vec<Frame>) {
        let Some(open) = &self.reasoning else { return };
        let (index, id) = (open.index, self.id(open.index));
        let form = PartForm::of(open.target);
        let (part, text) = (open.part, self.reasoning_text(index, open.part));
        frames.push(
            self.events
                .event(form.text_done, json::text_length(text), |data| {
                    push_address(data, id, index);
                    push_index(data, form.index, part);
                    data.push_str(r#","text":"#);
                    json::push_text(data, text);
                }),
        );
        frames.push(
            self.events
                .event(form.done, json::text_length(text), |data| {
                    push_address(data, id, index);
                    push_index(data, form.index, part);
                    data.push_str(r#","part":"#);
                    push_reasoning_part(data, form.raw, text);
                }),
        );
    }

    fn end_reasoning_at(&self, index: usize, frames: &mut Vec<Frame>) {
        let Some(AnswerItem::Reasoning(reasoning)) = self.answer.items.get(index) else {
            return;
        };
        let encrypted = self.notes.encrypted_reasoning;
        let length = reasoning_length(reasoning, encrypted);
        frames.push(
            self.events
                .event("response.output_item.done", length, |data| {
                    push_index(data, "output_index", index);
                    data.push_str(r#","item":"#);
                    push_reasoning(data, self.id(index), reasoning, encrypted);
                }),
        );
    }

    /// Adds a reasoning item without text.
    pub(super) fn add_silent_reasoning(&mut self, index: usize, frames: &mut Vec<Frame>) {
        self.add_item(index, frames);
        self.end_reasoning_at(index, frames);
    }

    /// Announces the item at this index, unless it was announced.
    fn add_item(&mut self, index: usize, frames: &mut Vec<Frame>) {
        let Some(item) = self.answer.items.get(index) else {
            return;
        };
        if index < self.ids.len() {
            return;
        }
        let id = output_id(item, &self.seed, index);
        frames.push(self.events.event("response.output_item.added", 0, |data| {
            push_index(data, "output_index", index);
            data.push_str(r#","item":"#);
            match item {
                AnswerItem::Message(message) => push_empty_message(data, &id, message.phase),
                AnswerItem::Reasoning(_) => push_empty_reasoning(data, &id),
            }
        }));
        self.ids.push(id);
    }

    /// Sends the annotations of the message at this index.
    pub(super) fn add_annotations(&self, index: usize, frames: &mut Vec<Frame>) {
        let Some(AnswerItem::Message(message)) = self.answer.items.get(index) else {
            return;
        };
        let kind = "response.output_text.annotation.added";
        for (number, annotation) in message.annotations.iter().enumerate() {
            frames.push(self.events.event(kind, annotation.len(), |data| {
                push_address(data, self.id(index), index);
                push_index(data, "content_index", 0);
                push_index(data, "annotation_index", number);
                data.push_str(r#","annotation":"#);
                json::push_json(data, annotation);
            }));
        }
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    /// The index of the last part of a reasoning item.
    fn last_part(&self, index: usize) -> usize {
        self.reasoning_parts(index).len().saturating_sub(1)
    }

    fn reasoning_text(&self, index: usize, part: usize) -> &str {
        let part = self.reasoning_parts(index).get(part);
        part.map_or("", |part| &part.text)
    }

    fn reasoning_parts(&self, index: usize) -> &[AnswerReasoningPart] {
        match self.answer.items.get(index) {
            Some(AnswerItem::Reasoning(reasoning)) => &reasoning.parts,
            Some(AnswerItem::Message(_)) | None => &[],
        }
    }
}

/// The events of a call, which is complete from its start.
pub(super) fn push_call(
    events: &EventWriter,
    call: &ResponseCall,
    index: usize,
    frames: &mut Vec<Frame>,
) {
    let (delta, done, field) = if call.custom {
        (
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "input",
        )
    } else {
        (
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "arguments",
        )
    };
    let length = json::text_length(&call.input);
    let item = |kind: &str, is_complete: bool| {
        events.event(kind, length, |data| {
            push_index(data, "output_index", index);
            data.push_str(r#","item":"#);
            call.push_item(data, is_complete);
        })
    };
    let text = |kind: &str, field: &str| {
        events.event(kind, length, |data| {
            push_address(data, &call.id, index);
            data.extend([",\"", field, "\":"]);
            json::push_text(data, &call.input);
        })
    };
    frames.push(item("response.output_item.added", false));
    if !call.input.is_empty() {
        frames.push(text(delta, "delta"));
    }
    frames.push(text(done, field));
    frames.push(item("response.output_item.done", true));
}

/// The JSON of a delta up to the index of its part.
fn delta_start(kind: &str, id: &str, index: usize, field: &str, part: usize) -> String {
    let mut before = [r#"{"type":""#, kind, "\""].concat();
    push_address(&mut before, id, index);
    push_index(&mut before, field, part);
    before
}

/// The names in the events of a part of the reasoning.
struct PartForm {
    raw: bool,
    added: &'static str,
    delta: &'static str,
    text_done: &'static str,
    done: &'static str,
    /// The member with the part's index.
    index: &'static str,
}

impl PartForm {
    fn of(target: TextTarget) -> Self {
        if matches!(target, TextTarget::Reasoning { raw: true, .. }) {
            Self {
                raw: true,
                added: "response.content_part.added",
                delta: "response.reasoning_text.delta",
                text_done: "response.reasoning_text.done",
                done: "response.content_part.done",
                index: "content_index",
            }
        } else {
            Self {
                raw: false,
                added: "response.reasoning_summary_part.added",
                delta: "response.reasoning_summary_text.delta",
                text_done: "response.reasoning_summary_text.done",
                done: "response.reasoning_summary_part.done",
                index: "summary_index",
            }
        }
    }
}
