//! The answer as the frames of a stream. Consecutive text becomes one frame.

use super::chat::ChatStream;
use super::ending::ReplyEnd;
use super::heading::Heading;
use super::messages::MessagesStream;
use super::model_item::ModelItem;
use super::responses::{CompactionStream, ResponsesStream};
use super::writer::{StreamWriter, TabUpdate, TargetedText, TextTarget};
use crate::bindings::airlock::policy::types::{EventKind, Problem, Text};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame};
use crate::notes::{DialectNotes, PlanNotes, Structure};
use crate::tools::{FunctionCall, TextDigest};

/// The most bytes of a pattern that the host takes (`relay.pattern`). The ids in it are the model's.
const PATTERN_AT_MOST: usize = 4 * 1024;

/// The stream of an answer.
#[derive(Debug)]
pub(super) struct StreamedAnswer {
    writer: Box<dyn StreamWriter>,
    /// The frames of the batch in progress.
    frames: Vec<Frame>,
    /// The text for the next frame.
    pending: Option<TargetedText>,
    /// The digest of the content that was sent, if calls may follow.
    digest: Option<TextDigest>,
    /// The whole answer, if it is checked at the end.
    checked: Option<String>,
    /// Text that was sent has become void, which a stream cannot take back.
    invalidated: bool,
}

impl StreamedAnswer {
    pub(super) fn new(heading: &Heading, notes: &PlanNotes, calls_are_expected: bool) -> Self {
        let writer: Box<dyn StreamWriter> = match &notes.dialect {
            DialectNotes::Chat => Box::new(ChatStream::new(heading, notes)),
            DialectNotes::Messages(notes) => Box::new(MessagesStream::new(heading, notes)),
            DialectNotes::Responses(notes) if notes.compaction.is_some() => {
                Box::new(CompactionStream::new(heading, notes))
            }
            DialectNotes::Responses(notes) => Box::new(ResponsesStream::new(heading, notes)),
        };
        Self {
            writer,
            frames: Vec::new(),
            pending: None,
            digest: calls_are_expected.then(TextDigest::default),
            checked: (notes.structure == Structure::Object).then(String::new),
            invalidated: false,
        }
    }

    /// Adds a text that continues the message of the last piece.
    #[inline]
    pub(super) fn continue_message(&mut self, text: Text) {
        match &mut self.pending {
            // It ends with the last piece.
            Some(last) => last.text.push_str(&text.text),
            None => {
                self.pending = Some(TargetedText {
                    target: TextTarget::Message(text.message),
                    separator: "",
                    phase: text.phase,
                    item: None,
                    text: text.text,
                });
            }
        }
    }

    /// Adds a piece of text. `joins_messages` is whether consecutive messages are one text for the client.
    pub(super) fn push(&mut self, mut piece: TargetedText, joins_messages: bool) {
        match &mut self.pending {
            Some(last) if piece.target.continues(last.target, joins_messages) => {
                last.text.push_str(piece.separator);
                last.text.push_str(&piece.text);
            }
            _ => {
                self.flush();
                let joins = joins_messages || matches!(piece.target, TextTarget::Candidate(_));
                if joins && !piece.separator.is_empty() {
                    piece.text = [piece.separator, &piece.text].concat();
                }
                self.pending = Some(piece);
            }
        }
    }

    /// Writes the pending text.
    fn flush(&mut self) {
        let Some(piece) = self.pending.take() else {
            return;
        };
        if matches!(piece.target, TextTarget::Message(_)) {
            self.record(&piece.text);
        }
        self.writer.text(piece, &mut self.frames);
    }

    pub(super) fn end_batch(&mut self) -> Vec<Frame> {
        self.flush();
        std::mem::take(&mut self.frames)
    }

    pub(super) fn model_item(&mut self, item: &ModelItem) {
        self.flush();
        if !self.invalidated {
            self.writer.model_item(item, &mut self.frames);
        }
    }

    pub(super) fn tab(&mut self, tab: u32, update: &TabUpdate<'_>) {
        self.flush();
        self.writer.tab(tab, update, &mut self.frames);
    }

    pub(super) fn calls(&mut self, calls: &[FunctionCall<'static>]) {
        self.flush();
        self.writer.calls(calls, &mut self.frames);
    }

    /// Takes back the messages of these numbers, or records that messages that were sent have become void.
    pub(super) fn forget(&mut self, void: &[u32]) {
        if !void.is_empty() {
            self.flush();
            self.invalidated |= !self.writer.forget(void);
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        !self.invalidated
    }

    /// Takes back the answer, for another one.
    pub(super) fn restart(&mut self, has_text: bool, joins_messages: bool) {
        // The host starts no other answer once text of this one was sent.
        self.invalidated |= has_text;
        if !joins_messages {
            self.flush();
            self.writer.restart(&mut self.frames);
        }
        if let Some(checked) = &mut self.checked {
            *checked = String::new();
        }
    }

    /// The digest of the content. None if part of it is void, or the digest was taken.
    pub(super) fn take_digest(&mut self) -> Option<String> {
        self.flush();
        let digest = self.digest.take().filter(|_| !self.invalidated);
        digest.map(TextDigest::finish)
    }

    /// The whole text, if it is checked.
    pub(super) fn checked(&self) -> &str {
        self.checked.as_deref().unwrap_or_default()
    }

    pub(super) fn pattern(&self, target: TextTarget) -> Option<Pattern> {
        let mut pattern = self.writer.pattern(target)?;
        let is_needed = self.digest.is_some() || self.checked.is_some();
        pattern.report |= is_needed && matches!(target, TextTarget::Message(_));
        let event = pattern.event.as_ref().map_or(0, String::len);
        let length = event + pattern.before.len() + pattern.after.len();
        (length <= PATTERN_AT_MOST).then_some(pattern)
    }

    pub(super) fn relayed(&mut self, kind: EventKind) {
        if let EventKind::Text(text) = &kind {
            self.record(&text.text);
        }
        self.writer.relayed(kind);
    }

    pub(super) fn keep_alive(&mut self) -> Vec<Frame> {
        self.writer.keep_alive()
    }

    /// Writes the end, and returns the frames of the batch.
    pub(super) fn end(&mut self, end: Result<&ReplyEnd<'_>, &Problem>) -> Vec<Frame> {
        self.flush();
        match end {
            Ok(end) => self.writer.finish(end, &mut self.frames),
            Err(problem) => self.writer.fail(problem, &mut self.frames),
        }
        std::mem::take(&mut self.frames)
    }

    pub(super) fn finish(mut self, end: Result<ReplyEnd<'_>, Problem>) -> Closing {
        Closing {
            frames: self.end(end.as_ref()),
            body: end.map(|_| String::new()),
            object: self.writer.take_object(),
        }
    }

    fn record(&mut self, text: &str) {
        if let Some(digest) = &mut self.digest {
            digest.update(text);
        }
        if let Some(checked) = &mut self.checked {
            checked.push_str(text);
        }
    }
}
