//! The stream of a message: each block from its start to its stop, one after another.

use super::usage::{MessageTokens, MessageUsage};
use super::{input, message_id, push_stop};
use crate::bindings::airlock::policy::types::{EventKind, Problem};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::Frame;
use crate::json;
use crate::notes::{MessagesNotes, ThinkingDisplay};
use crate::problem;
use crate::reasoning_signature::ReasoningSignature;
use crate::tools::FunctionCall;
use crate::translate::ending::ReplyEnd;
use crate::translate::heading::Heading;
use crate::translate::model_item::ModelItem;
use crate::translate::writer::{StreamWriter, TabUpdate, TargetedText, TextTarget};

/// The JSON after the text of a delta.
const AFTER: &str = "}}";

/// The most bytes of a candidate's event besides its texts.
const TAB_OVERHEAD: usize = 480;

/// The stream of a message.
#[derive(Debug)]
pub(in crate::translate) struct MessagesStream {
    id: String,
    model: String,
    request: String,
    notes: MessagesNotes,
    /// Whether `message_start` has been sent.
    started: bool,
    /// The index of the next block.
    next: usize,
    open: Option<OpenBlock>,
}

/// The block in progress.
#[derive(Debug)]
struct OpenBlock {
    kind: BlockKind,
    index: usize,
    /// The JSON of a delta before its text.
    before: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum BlockKind {
    /// The text of the message of this number.
    Text(u32),
    /// The reasoning item with this id of the model, if Codex reported it.
    Thinking(Option<String>),
}

impl MessagesStream {
    pub(in crate::translate) fn new(heading: &Heading, notes: &MessagesNotes) -> Self {
        Self {
            id: message_id(heading),
            model: heading.model.clone(),
            request: heading.request.clone(),
            notes: notes.clone(),
            started: false,
            next: 0,
            open: None,
        }
    }

    fn start(&mut self, frames: &mut Vec<Frame>) {
        if self.started {
            return;
        }
        self.started = true;
        let usage = MessageUsage::of(MessageTokens::of(None, self.notes.input_tokens));
        let mut data = String::from(r#"{"type":"message_start","message":{"id":"#);
        json::push_text(&mut data, &self.id);
        data.push_str(r#","type":"message","role":"assistant","model":"#);
        json::push_text(&mut data, &self.model);
        data.push_str(r#","content":[],"stop_reason":null,"stop_sequence":null,"usage":"#);
        data.push_str(&json::to_line(&usage));
        data.push_str("}}");
        frames.push(frame("message_start", data));
    }

    /// Starts a block with this content.
    fn start_block(&mut self, content: &str, frames: &mut Vec<Frame>) -> usize {
        self.start(frames);
        let index = self.next;
        self.next += 1;
        let data = [
            r#"{"type":"content_block_start","index":"#,
            &index.to_string(),
            r#","content_block":"#,
            content,
            "}",
        ];
        frames.push(frame("content_block_start", data.concat()));
        index
    }

    fn open(&mut self, kind: BlockKind, frames: &mut Vec<Frame>) {
        self.close(frames);
        let (content, field) = match &kind {
            BlockKind::Text(_) => (r#"{"type":"text","text":""}"#, r#""text_delta","text":"#),
            BlockKind::Thinking(_) => (
                r#"{"type":"thinking","thinking":"","signature":""}"#,
                r#""thinking_delta","thinking":"#,
            ),
        };
        let index = self.start_block(content, frames);
        let before = [&delta_heading(index), field].concat();
        self.open = Some(OpenBlock {
            kind,
            index,
            before,
        });
    }

    fn close(&mut self, frames: &mut Vec<Frame>) {
        if let Some(block) = self.open.take() {
            frames.push(block_stop(block.index));
        }
    }

    /// Ends the block of a reasoning item with its signature. An item without text has a block of its own.
    fn sign(&mut self, signature: &ReasoningSignature, frames: &mut Vec<Frame>) {
        let id = Some(&signature.id).filter(|id| !id.is_empty());
        let is_open = self.open.as_ref().is_some_and(|block| match &block.kind {
            BlockKind::Thinking(open) => open.is_none() || open.as_ref() == id,
            BlockKind::Text(_) => false,
        });
        if !is_open {
            if signature.encrypted_content.is_none() {
                return;
            }
            self.open(BlockKind::Thinking(None), frames);
        }
        if let Some(block) = &self.open {
            let before = [
                &delta_heading(block.index),
                r#""signature_delta","signature":"#,
            ]
            .concat();
            frames.push(delta(&before, &signature.encode()));
        }
        self.close(frames);
    }
}

impl StreamWriter for MessagesStream {
    fn text(&mut self, piece: TargetedText, frames: &mut Vec<Frame>) {
        let kind = match piece.target {
            TextTarget::Candidate(tab) => {
                return self.tab(tab, &TabUpdate::Text(&piece.text), frames);
            }
            TextTarget::Message(number) => BlockKind::Text(number),
            TextTarget::Reasoning { .. } => BlockKind::Thinking(piece.item),
        };
        let open = match (self.open.as_ref().map(|block| &block.kind), &kind) {
            (Some(BlockKind::Text(open)), BlockKind::Text(number)) => open == number,
            (Some(BlockKind::Thinking(open)), BlockKind::Thinking(id)) => {
                id.is_none() || open.is_none() || open == id
            }
            _ => false,
        };
        let mut separator = piece.separator;
        if !open {
            separator = "";
            self.open(kind, frames);
        }
        let Some(block) = &self.open else { return };
        if separator.is_empty() {
            frames.push(delta(&block.before, &piece.text));
        } else {
            let text = [separator, &piece.text].concat();
            frames.push(delta(&block.before, &text));
        }
    }

    fn model_item(&mut self, item: &ModelItem, frames: &mut Vec<Frame>) {
        match item {
            ModelItem::Reasoning {
                id,
                encrypted_content,
            } if self.notes.thinking != ThinkingDisplay::Disabled => {
                let signature = ReasoningSignature::of(id.as_deref(), encrypted_content.as_deref());
                self.sign(&signature, frames);
            }
            ModelItem::Reasoning { .. } | ModelItem::Message { .. } => {}
        }
    }

    fn calls(&mut self, calls: &[FunctionCall<'static>], frames: &mut Vec<Frame>) {
        for call in calls {
            self.close(frames);
            let mut content = String::from(r#"{"type":"tool_use","id":"#);
            json::push_text(&mut content, &call.id);
            content.push_str(r#","name":"#);
            json::push_text(&mut content, &call.name);
            content.push_str(r#","input":{}}"#);
            let index = self.start_block(&content, frames);
            let before = [
                &delta_heading(index),
                r#""input_json_delta","partial_json":"#,
            ]
            .concat();
            frames.push(delta(&before, &input(&call.arguments)));
            frames.push(block_stop(index));
        }
    }

    fn tab(&mut self, tab: u32, update: &TabUpdate<'_>, frames: &mut Vec<Frame>) {
        self.start(frames);
        let name = update.name();
        let mut data = String::with_capacity(update.json_length() + TAB_OVERHEAD);
        data.extend([r#"{"type":"airlock_tab","event":""#, name, "\","]);
        update.push_members(tab, &mut data);
        data.push('}');
        frames.push(frame("airlock_tab", data));
    }

    fn restart(&mut self, frames: &mut Vec<Frame>) {
        self.close(frames);
    }

    fn pattern(&self, target: TextTarget) -> Option<Pattern> {
        let block = self.open.as_ref()?;
        let is_open = match (target, &block.kind) {
            (TextTarget::Message(number), BlockKind::Text(open)) => number == *open,
            (TextTarget::Reasoning { .. }, BlockKind::Thinking(_)) => true,
            _ => false,
        };
        is_open.then(|| Pattern {
            event: Some("content_block_delta".to_owned()),
            before: block.before.clone(),
            after: AFTER.to_owned(),
            report: false,
            number: None,
        })
    }

    fn relayed(&mut self, _kind: EventKind) {}

    fn keep_alive(&mut self) -> Vec<Frame> {
        vec![frame("ping", r#"{"type":"ping"}"#.to_owned())]
    }

    fn finish(&mut self, end: &ReplyEnd<'_>, frames: &mut Vec<Frame>) {
        self.start(frames);
        self.close(frames);
        let mut data = String::from(r#"{"type":"message_delta","delta":{"#);
        push_stop(&mut data, end);
        data.push_str(r#"},"usage":"#);
        let usage = MessageTokens::of(end.usage, self.notes.input_tokens);
        data.push_str(&json::to_line(&usage));
        if let Some(airlock) = &end.airlock {
            data.push_str(r#","airlock":"#);
            data.push_str(&json::to_line(airlock));
        }
        data.push('}');
        frames.push(frame("message_delta", data));
        let stop = r#"{"type":"message_stop"}"#.to_owned();
        frames.push(frame("message_stop", stop));
    }

    fn fail(&mut self, problem: &Problem, frames: &mut Vec<Frame>) {
        let data = problem::anthropic_envelope(problem, &self.request);
        frames.push(frame("error", data));
    }
}

/// The JSON of a delta of the block of this index, up to the delta's type.
fn delta_heading(index: usize) -> String {
    [
        r#"{"type":"content_block_delta","index":"#,
        &index.to_string(),
        r#","delta":{"type":"#,
    ]
    .concat()
}

fn delta(before: &str, text: &str) -> Frame {
    let length = before.len() + json::text_length(text) + AFTER.len();
    let mut data = String::with_capacity(length);
    data.push_str(before);
    json::push_text(&mut data, text);
    data.push_str(AFTER);
    frame("content_block_delta", data)
}

fn block_stop(index: usize) -> Frame {
    let data = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    frame("content_block_stop", data)
}

fn frame(event: &str, data: String) -> Frame {
    Frame {
        event: Some(event.to_owned()),
        data,
        number: None,
    }
}
