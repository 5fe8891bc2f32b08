//! Where the answer goes: to the frames of a stream, or into one body. Its text is cut at a stop sequence on the way.

use std::borrow::Cow;

use super::answer_filter::PARAGRAPH;
use super::candidates::Candidates;
use super::chat;
use super::collected_answer::CollectedAnswer;
use super::ending::{ReplyEnd, stream_restarted};
use super::heading::Heading;
use super::messages;
use super::model_item::ModelItem;
use super::responses;
use super::stop_matcher::StopMatcher;
use super::streamed_answer::StreamedAnswer;
use super::writer::{TabUpdate, TargetedText, TextTarget};
use crate::bindings::airlock::policy::types::{EventKind, Problem, Text};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame};
use crate::notes::{DialectNotes, PlanNotes, Structure};
use crate::tools::FunctionCall;

/// The output of one reply.
#[derive(Debug)]
pub(super) struct AnswerOutput {
    form: OutputForm,
    /// Whether consecutive messages are one text for the client.
    joins_messages: bool,
    stop: Option<Box<StopCut>>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a reply has one, and boxing it would cost each delta an indirection"
)]
#[derive(Debug)]
enum OutputForm {
    Streamed(StreamedAnswer),
    Whole(CollectedAnswer),
}

/// The stop sequences of the answer, and the text in which they are matched.
#[derive(Debug)]
struct StopCut {
    matcher: StopMatcher,
    /// The last text, without its content.
    last: Option<TargetedText>,
}

impl AnswerOutput {
    pub(super) fn new(heading: &Heading, notes: &PlanNotes, calls_are_expected: bool) -> Self {
        let form = if notes.streaming {
            OutputForm::Streamed(StreamedAnswer::new(heading, notes, calls_are_expected))
        } else {
            OutputForm::Whole(CollectedAnswer::default())
        };
        Self {
            form,
            joins_messages: notes.dialect == DialectNotes::Chat,
            stop: StopMatcher::new(&notes.stop).map(|matcher| {
                Box::new(StopCut {
                    matcher,
                    last: None,
                })
            }),
        }
    }

    /// Whether the answer's text is cut at stop sequences.
    pub(super) fn matches_stops(&self) -> bool {
        self.stop.is_some()
    }

    /// Adds a text that continues the message of the last piece. No stop sequences are matched in it.
    #[inline]
    pub(super) fn continue_message(&mut self, text: Text) {
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.continue_message(text),
            OutputForm::Whole(answer) => {
                let target = TextTarget::Message(text.message);
                answer.push(target, text.phase, None, Cow::Owned(text.text));
            }
        }
    }

    /// Adds a piece of text.
    pub(super) fn push(&mut self, piece: TargetedText) {
        let is_matched = match piece.target {
            TextTarget::Message(_) => true,
            // Other text ends a message, unless the client receives it elsewhere.
            TextTarget::Reasoning { .. } => {
                if !self.joins_messages {
                    self.end_text();
                }
                false
            }
            TextTarget::Candidate(_) => false,
        };
        if is_matched && self.stop.is_some() {
            self.push_matched(piece);
        } else {
            match &mut self.form {
                OutputForm::Streamed(stream) => stream.push(piece, self.joins_messages),
                OutputForm::Whole(answer) => add(answer, piece),
            }
        }
    }

    /// Adds a piece of the answer's text as far as it cannot belong to a stop sequence.
    fn push_matched(&mut self, mut piece: TargetedText) {
        let continues =
            |last: &TargetedText| piece.target.continues(last.target, self.joins_messages);
        let last = self.stop.as_ref().and_then(|stop| stop.last.as_ref());
        if !last.is_some_and(continues) {
            self.end_text();
        }
        let Some(stop) = &mut self.stop else { return };
        if piece.item.is_none()
            && let Some(last) = &mut stop.last
        {
            piece.item = last.item.take();
        }
        let mut last = TargetedText {
            text: String::new(),
            separator: "",
            item: None,
            ..piece
        };
        // The messages before may be void: then nothing precedes this one.
        let begins = matches!(&self.form, OutputForm::Whole(answer) if answer.text.is_empty());
        let mut released = if self.joins_messages && !begins {
            stop.matcher.push(piece.separator)
        } else {
            String::new()
        };
        released.push_str(&stop.matcher.push(&piece.text));
        match &mut self.form {
            // The text is cut once a sequence has come.
            OutputForm::Whole(answer) => {
                stop.last = Some(last);
                add(answer, piece);
                if stop.matcher.matched().is_some() {
                    answer.cut(stop.matcher.excess(), self.joins_messages);
                }
            }
            OutputForm::Streamed(_) if released.is_empty() => {
                // The first piece that is sent has the id.
                last.item = piece.item;
                stop.last = Some(last);
            }
            OutputForm::Streamed(stream) => {
                stop.last = Some(last);
                let released = TargetedText {
                    text: released,
                    separator: "",
                    ..piece
                };
                stream.push(released, self.joins_messages);
            }
        }
    }

    /// Ends the text in which stop sequences are matched, and adds what was held back.
    pub(super) fn end_text(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        let text = stop.matcher.restart();
        let Some(last) = stop.last.take() else { return };
        if let OutputForm::Streamed(stream) = &mut self.form
            && !text.is_empty()
        {
            stream.push(TargetedText { text, ..last }, self.joins_messages);
        }
    }

    /// The frames of the batch that ends here.
    pub(super) fn end_batch(&mut self) -> Vec<Frame> {
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.end_batch(),
            OutputForm::Whole(_) => Vec::new(),
        }
    }

    /// Adds what an item of the model's output has besides its text.
    pub(super) fn model_item(&mut self, item: &ModelItem) {
        self.end_text();
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.model_item(item),
            OutputForm::Whole(answer) => {
                answer.complete(item);
            }
        }
    }

    /// Adds an update of a candidate. A body has the candidates' state at its end.
    pub(super) fn tab(&mut self, tab: u32, update: &TabUpdate<'_>) {
        if let OutputForm::Streamed(stream) = &mut self.form {
            stream.tab(tab, update);
        }
    }

    /// Adds the answer's calls.
    pub(super) fn calls(&mut self, calls: &[FunctionCall<'static>]) {
        if let OutputForm::Streamed(stream) = &mut self.form {
            stream.calls(calls);
        }
    }

    /// Takes back the messages of these numbers.
    pub(super) fn forget(&mut self, void: &[u32]) {
        let answer = match &mut self.form {
            OutputForm::Streamed(stream) => return stream.forget(void),
            OutputForm::Whole(answer) => answer,
        };
        answer.forget(void);
        let Some(stop) = &mut self.stop else { return };
        if self.joins_messages {
            stop.matcher.restart();
            stop.matcher.push(&answer.text.to_text());
            if stop.matcher.matched().is_some() {
                answer.cut(stop.matcher.excess(), true);
            }
        } else if !void.is_empty() {
            self.end_text();
        }
    }

    /// Takes back the whole answer, for another one. `has_text` is whether it had text.
    pub(super) fn restart(&mut self, has_text: bool) {
        if let Some(stop) = &mut self.stop {
            stop.matcher.restart();
            stop.last = None;
        }
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.restart(has_text, self.joins_messages),
            OutputForm::Whole(answer) => *answer = CollectedAnswer::default(),
        }
    }

    /// Whether more text can be added: no text that was sent is void.
    pub(super) fn is_valid(&self) -> bool {
        match &self.form {
            OutputForm::Streamed(stream) => stream.is_valid(),
            OutputForm::Whole(_) => true,
        }
    }

    /// Whether the answer has reached a stop sequence, and so its end.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop_sequence().is_some()
    }

    /// The stop sequence that the answer has reached.
    pub(super) fn stop_sequence(&self) -> Option<&str> {
        self.stop.as_ref()?.matcher.matched()
    }

    /// The digest of the answer's content. None if part of it is void, or the digest was taken.
    pub(super) fn take_digest(&mut self) -> Option<String> {
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.take_digest(),
            OutputForm::Whole(answer) => {
                let separator = if self.joins_messages { PARAGRAPH } else { "" };
                Some(answer.text.digest(separator))
            }
        }
    }

    /// Fails where the client expects a structure that the answer does not have.
    pub(super) fn check_structure(&self, structure: Structure) -> Result<(), Problem> {
        match &self.form {
            OutputForm::Streamed(stream) => structure.check(stream.checked()),
            OutputForm::Whole(_) if structure != Structure::Object => Ok(()),
            OutputForm::Whole(answer) => structure.check(&answer.text.to_text()),
        }
    }

    /// The pattern for the continuation of a text.
    pub(super) fn pattern(&self, target: TextTarget) -> Option<Pattern> {
        match &self.form {
            OutputForm::Streamed(stream) if self.stop.is_none() => stream.pattern(target),
            OutputForm::Streamed(_) | OutputForm::Whole(_) => None,
        }
    }

    /// Records a text that was written by the pattern.
    pub(super) fn relayed(&mut self, kind: EventKind) {
        if let OutputForm::Streamed(stream) = &mut self.form {
            stream.relayed(kind);
        }
    }

    /// The frames for a stream that is silent.
    pub(super) fn keep_alive(&mut self) -> Vec<Frame> {
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.keep_alive(),
            OutputForm::Whole(_) => Vec::new(),
        }
    }

    /// Fails if text that was sent is void.
    pub(super) fn check_valid(&self) -> Result<(), Problem> {
        if self.is_valid() {
            Ok(())
        } else {
            Err(stream_restarted())
        }
    }

    /// Ends the answer, which is one choice of several, and returns the frames of its end. Of a failed one, a body has no text.
    pub(super) fn end_choice(&mut self, end: Result<&ReplyEnd<'_>, &Problem>) -> Vec<Frame> {
        match &mut self.form {
            OutputForm::Streamed(stream) => stream.end(end),
            OutputForm::Whole(answer) => {
                if end.is_err() {
                    *answer = CollectedAnswer::default();
                }
                Vec::new()
            }
        }
    }

    /// The answer for a body. None in a stream.
    pub(super) fn collected(&self) -> Option<&CollectedAnswer> {
        match &self.form {
            OutputForm::Streamed(_) => None,
            OutputForm::Whole(answer) => Some(answer),
        }
    }

    /// Ends the reply.
    pub(super) fn finish(
        self,
        end: Result<ReplyEnd<'_>, Problem>,
        candidates: Option<&Candidates>,
        calls: &[FunctionCall<'static>],
        heading: &Heading,
        notes: &PlanNotes,
    ) -> Closing {
        let mut answer = match self.form {
            OutputForm::Streamed(stream) => return stream.finish(end),
            OutputForm::Whole(answer) => answer,
        };
        if matches!(&notes.dialect, DialectNotes::Responses(notes) if !notes.encrypted_reasoning) {
            answer.forget_silent_reasoning();
        }
        let body = end.map(|mut end| {
            if let Some((airlock, candidates)) = end.airlock.take().zip(candidates) {
                end.airlock = Some(airlock.with_candidates(candidates, &answer.text));
            }
            let end = end;
            match &notes.dialect {
                DialectNotes::Chat => chat::body(heading, &answer, calls, &end),
                DialectNotes::Messages(notes) => {
                    messages::body(heading, notes, &answer, calls, &end)
                }
                DialectNotes::Responses(notes) => {
                    responses::body(heading, notes, &answer, calls, &end)
                }
            }
        });
        let object = match (&body, &notes.dialect) {
            (Ok(body), DialectNotes::Responses(own)) => responses::succeeded(own, body),
            (Err(problem), DialectNotes::Responses(own)) => {
                responses::failed_whole(heading, own, problem)
            }
            _ => None,
        };
        Closing {
            frames: Vec::new(),
            body,
            object,
        }
    }
}

/// Adds a piece to the answer of a body.
fn add(answer: &mut CollectedAnswer, piece: TargetedText) {
    answer.push(
        piece.target,
        piece.phase,
        piece.item,
        Cow::Owned(piece.text),
    );
}
