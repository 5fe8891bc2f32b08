//! A reply as a stream of server-sent events.

use super::airlock_object::AirlockObject;
use super::answer_filter::AnswerFilter;
use super::calls::FunctionCalls;
use super::candidates::{CandidateUpdate, Candidates};
use super::chunks::{self, Chunks, DeltaField};
use super::ending::finish_reason;
use super::heading::{ANSWER, Heading};
use crate::bindings::airlock::policy::types::{Ending, Event, EventKind, Problem, Usage};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame, Handoff, Output};
use crate::notes::{PlanNotes, Structure};
use crate::problem::{self, upstream};
use crate::tools;

/// The state of a stream on which the next frames depend.
#[derive(Debug)]
pub(super) struct StreamedReply {
    notes: PlanNotes,
    chunks: Chunks,
    filter: AnswerFilter,
    /// Whether the first chunk has been sent.
    role_sent: bool,
    /// The target of the last event's text, if it was text.
    target: Option<DeltaTarget>,
    usage: Option<Usage>,
    /// The whole answer, if it is checked at the end.
    answer: String,
    /// Text that was sent has become void, which a stream cannot take back.
    invalidated: bool,
    calls: FunctionCalls,
    /// The digest of the content that was sent, if calls may follow.
    content_digest: Option<tools::TextDigest>,
    /// The turns of a fan-out besides the answer's.
    candidates: Option<Candidates>,
    /// Whether candidates are sent to the client.
    shown: bool,
}

/// The target of a text in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeltaTarget {
    Answer(DeltaField),
    Candidate(u32),
}

/// The target of a text, the separator before it, and the text.
type TargetedText = (DeltaTarget, &'static str, String);

/// The frames of one batch, and the text for the next frame.
#[derive(Debug, Default)]
struct FrameBatch {
    frames: Vec<Frame>,
    pending: Option<(DeltaTarget, String)>,
}

impl StreamedReply {
    pub(super) fn new(heading: &Heading, mut notes: PlanNotes) -> Self {
        let shown = notes.fan_out.as_ref().is_some_and(|fan_out| fan_out.shown);
        let calls = FunctionCalls::of(heading, &mut notes);
        Self {
            chunks: Chunks::new(heading, notes.include_usage),
            content_digest: calls.are_expected().then(tools::TextDigest::default),
            calls,
            candidates: Candidates::of(&mut notes, shown),
            notes,
            filter: AnswerFilter::default(),
            role_sent: false,
            target: None,
            usage: None,
            answer: String::new(),
            invalidated: false,
            shown,
        }
    }

    /// Consecutive text with the same target becomes one chunk.
    pub(super) fn feed(&mut self, events: Vec<Event>) -> Output {
        let mut batch = FrameBatch::default();
        let mut handoff = None;
        for event in events {
            if self.calls.are_complete() {
                break;
            }
            if self.completes_calls(&event) {
                self.flush(&mut batch);
                handoff = Some(self.hand_off(&mut batch.frames));
                break;
            }
            let piece = if event.source == ANSWER {
                self.receive_answer(event.kind)
            } else {
                self.receive_candidate(event, &mut batch)
            };
            self.target = piece.as_ref().map(|(target, ..)| *target);
            let Some((target, separator, text)) = piece else {
                continue;
            };
            match &mut batch.pending {
                Some((last, pending)) if *last == target => {
                    pending.push_str(separator);
                    pending.push_str(&text);
                }
                _ => {
                    self.flush(&mut batch);
                    let text = if separator.is_empty() {
                        text
                    } else {
                        [separator, &text].concat()
                    };
                    batch.pending = Some((target, text));
                }
            }
        }
        self.flush(&mut batch);
        Output {
            frames: batch.frames,
            handoff,
            complete: false,
        }
    }

    /// The pattern for the continuation of the last event: only the text of a chunk varies.
    pub(super) fn offer(&self) -> Option<Pattern> {
        let field = match self.target? {
            // It is sent twice.
            DeltaTarget::Answer(DeltaField::Content) if self.shown => return None,
            DeltaTarget::Answer(field) => field,
            DeltaTarget::Candidate(_) => return None,
        };
        let (before, after) = self.chunks.pattern(field);
        Some(Pattern {
            event: None,
            before,
            after,
            report: field == DeltaField::Content && self.needs_content(),
            number: None,
        })
    }

    /// Records what the host has written by the pattern.
    pub(super) fn relayed(&mut self, events: Vec<Event>) {
        for event in events {
            if let EventKind::Text(text) = event.kind {
                self.record(&text.text);
            }
        }
    }

    pub(super) fn finish(mut self, ending: &Ending) -> Closing {
        let mut frames = Vec::new();
        self.end_candidates(&mut frames);
        let body = match self.conclude(ending) {
            Ok(reason) => {
                self.send_role(&mut frames);
                let candidates = self.candidates.as_ref();
                let airlock =
                    candidates.map(|candidates| AirlockObject::of(candidates, self.usage));
                frames.push(self.chunks.finish(reason, airlock.as_ref()));
                // Clients cannot rely on this chunk, since a stream may break: it is left out if the usage is
                // unknown.
                if let Some(usage) = self.usage().filter(|_| self.notes.include_usage) {
                    frames.push(self.chunks.usage(usage));
                }
                Ok(String::new())
            }
            Err(problem) => {
                frames.push(chunks::frame(problem::envelope(&problem)));
                Err(problem)
            }
        };
        frames.push(chunks::done());
        Closing { frames, body }
    }

    /// Whether this event completes the answer's calls.
    fn completes_calls(&mut self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Other(notification) if event.source == ANSWER => {
                self.calls.receive(notification)
            }
            _ => false,
        }
    }

    fn hand_off(&mut self, frames: &mut Vec<Frame>) -> Handoff {
        let content_digest = self.content_digest.take().filter(|_| !self.invalidated);
        let handoff = self
            .calls
            .hand_off(content_digest.map(tools::TextDigest::finish));
        if !self.calls.to_send().is_empty() && !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role_without_content());
        }
        for (index, call) in self.calls.to_send().iter().enumerate() {
            frames.extend(self.chunks.call(index, call));
        }
        handoff
    }

    fn receive_answer(&mut self, kind: EventKind) -> Option<TargetedText> {
        let (field, separator, text) = match kind {
            EventKind::Text(text) => {
                let separator = self.filter.admit_text(&text, &self.notes)?;
                (DeltaField::Content, separator, text.text)
            }
            EventKind::Reasoning(reasoning) => {
                let separator = self.filter.admit_reasoning(&reasoning, &self.notes)?;
                (DeltaField::Reasoning, separator, reasoning.text)
            }
            EventKind::Usage(usage) => {
                self.usage = Some(usage);
                return None;
            }
            EventKind::Restarted(messages) => {
                self.invalidated |= !messages.is_empty();
                return None;
            }
            EventKind::Settled(_) => {
                self.restart_answer();
                return None;
            }
            EventKind::Picked(choice) => {
                if let Some(candidates) = &mut self.candidates {
                    candidates.pick(choice);
                }
                return None;
            }
            EventKind::Opened(_) | EventKind::Other(_) => return None,
        };
        (!self.invalidated).then_some((DeltaTarget::Answer(field), separator, text))
    }

    fn receive_candidate(&mut self, event: Event, batch: &mut FrameBatch) -> Option<TargetedText> {
        let tab = event.source;
        let candidates = self.candidates.as_mut()?;
        let update = candidates.receive(event, &self.notes)?;
        if !self.shown {
            return None;
        }
        let candidate = candidates.get(tab)?;
        let frame = match update {
            CandidateUpdate::Text(separator, text) => {
                return Some((DeltaTarget::Candidate(tab), separator, text));
            }
            CandidateUpdate::Opened => {
                let total = candidates.fan_out.candidates;
                self.chunks.tab_open(tab, total, &candidate.model)
            }
            CandidateUpdate::Ended => {
                let frame = match candidate.error() {
                    None => {
                        let (text, usage) = (&candidate.messages, candidate.usage);
                        self.chunks.tab_close(tab, text, usage)
                    }
                    Some(error) => self.chunks.tab_error(tab, error),
                };
                candidates.drop_text(tab);
                frame
            }
        };
        self.flush(batch);
        self.send_role(&mut batch.frames);
        batch.frames.push(frame);
        None
    }

    /// Records that the answer failed, and that another one follows.
    fn restart_answer(&mut self) {
        let Some(candidates) = &mut self.candidates else {
            return;
        };
        candidates.add_void(self.usage.take());
        // The host starts no other answer once text of this one was sent.
        self.invalidated |= self.filter.has_text();
        self.filter.restart();
        self.answer = String::new();
    }

    /// Closes the tabs of candidates that still run when the response ends.
    fn end_candidates(&mut self, frames: &mut Vec<Frame>) {
        let Some(candidates) = self.candidates.as_ref().filter(|_| self.shown) else {
            return;
        };
        let open = candidates
            .iter()
            .filter(|(_, candidate)| candidate.is_open());
        for (tab, candidate) in open {
            frames.extend(
                candidate
                    .error()
                    .map(|error| self.chunks.tab_error(tab, error)),
            );
        }
    }

    /// The usage of all turns.
    fn usage(&self) -> Option<Usage> {
        match &self.candidates {
            None => self.usage,
            Some(candidates) => candidates.usage(self.usage),
        }
    }

    /// The `finish_reason`, if the response succeeded.
    fn conclude(&self, ending: &Ending) -> Result<&'static str, Problem> {
        let reason = finish_reason(ending)?;
        if self.invalidated {
            return Err(upstream(
                "stream_restarted",
                "part of the text that was sent is invalid: the model's stream broke and the retry differs, or Codex had \
                 removed some of the text; send the request again, without `stream` if this happens twice",
            ));
        }
        let reason = self.calls.conclude(ending, reason)?;
        if *ending == Ending::Completed && self.calls.to_send().is_empty() {
            self.notes.structure.check(&self.answer)?;
        }
        Ok(reason)
    }

    /// Writes the pending text.
    fn flush(&mut self, batch: &mut FrameBatch) {
        let Some((target, text)) = batch.pending.take() else {
            return;
        };
        let frames = &mut batch.frames;
        self.send_role(frames);
        match target {
            DeltaTarget::Candidate(tab) => frames.push(self.chunks.tab_chunk(tab, &text)),
            DeltaTarget::Answer(DeltaField::Content) if self.shown => {
                frames.extend(self.chunks.gather(&text));
            }
            DeltaTarget::Answer(field) => frames.push(self.chunks.delta(field, &text)),
        }
        if target == DeltaTarget::Answer(DeltaField::Content) {
            self.record(&text);
        }
    }

    /// Whether the content that was sent is needed later.
    fn needs_content(&self) -> bool {
        self.content_digest.is_some() || self.notes.structure == Structure::Object
    }

    fn record(&mut self, text: &str) {
        if let Some(content_digest) = &mut self.content_digest {
            content_digest.update(text);
        }
        if self.notes.structure == Structure::Object {
            self.answer.push_str(text);
        }
    }

    fn send_role(&mut self, frames: &mut Vec<Frame>) {
        if !self.role_sent {
            self.role_sent = true;
            frames.push(self.chunks.role());
        }
    }
}
