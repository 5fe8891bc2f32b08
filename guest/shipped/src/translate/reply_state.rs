//! The state machine of a reply: which of Codex's events belong to the answer, in every dialect, streamed or whole.

use super::airlock_object::AirlockObject;
use super::answer_filter::AnswerFilter;
use super::answer_output::AnswerOutput;
use super::calls::FunctionCalls;
use super::candidates::{CandidateUpdate, Candidates};
use super::collected_answer::CollectedAnswer;
use super::ending::{FinishReason, ReplyEnd, finish_reason};
use super::heading::{ANSWER, Heading};
use super::model_item::ModelItem;
use super::responses;
use super::writer::{TabUpdate, TargetedText, TextTarget};
use crate::bindings::airlock::policy::types::{
    Ending, Event, EventKind, Notification, Phase, Problem, Reasoning, Text, Usage,
};
use crate::bindings::exports::airlock::policy::relay::Pattern;
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame, Handoff, Output};
use crate::notes::{DialectNotes, PlanNotes, Structure, ThinkingDisplay};

/// The state of a reply on which its next frames, or its body, depend.
#[derive(Debug)]
pub(super) struct ReplyState {
    notes: PlanNotes,
    heading: Heading,
    filter: AnswerFilter,
    output: AnswerOutput,
    /// The target of the last event's text, if it was text of the client's.
    target: Option<TextTarget>,
    /// The id of a message or reasoning part of which only empty text has come.
    item: Option<(TextTarget, String)>,
    /// The usage of the answer's turn.
    usage: Option<Usage>,
    calls: FunctionCalls,
    /// The turns of a fan-out besides the answer's.
    candidates: Option<Candidates>,
    /// Whether candidates are sent to the client.
    shown: bool,
    /// What is stored of a background response once it has begun.
    begun_head: Option<String>,
    /// The latest time of an event, in Unix milliseconds.
    at: u64,
}

impl ReplyState {
    pub(super) fn new(heading: Heading, mut notes: PlanNotes) -> Self {
        let shown = notes.fan_out.as_ref().is_some_and(|fan_out| fan_out.shown);
        if let DialectNotes::Messages(messages) = &notes.dialect {
            notes.reasoning = messages.thinking == ThinkingDisplay::Summarized;
        }
        let calls = FunctionCalls::of(&heading, &mut notes);
        let collects_text = shown || !notes.streaming;
        let begun_head = match &notes.dialect {
            DialectNotes::Responses(own) => responses::begun_head(&heading, own),
            DialectNotes::Chat | DialectNotes::Messages(_) => None,
        };
        Self {
            output: AnswerOutput::new(&heading, &notes, calls.are_expected()),
            candidates: Candidates::of(&mut notes, collects_text),
            calls,
            notes,
            filter: AnswerFilter::default(),
            target: None,
            item: None,
            usage: None,
            shown,
            begun_head,
            at: heading.created.saturating_mul(1000),
            heading,
        }
    }

    /// Consecutive text with the same target becomes one frame.
    pub(super) fn feed(&mut self, events: Vec<Event>) -> Output {
        let mut handoff = None;
        for Event { source, at, kind } in events {
            if self.calls.are_complete() || self.output.has_stopped() {
                break;
            }
            self.at = self.at.max(at);
            let kind = match kind {
                // Almost every event continues the message of the last one.
                EventKind::Text(text) if source == ANSWER && self.continues(&text) => {
                    self.output.continue_message(text);
                    continue;
                }
                kind => kind,
            };
            let piece = if source == ANSWER {
                self.receive_answer(kind, &mut handoff)
            } else {
                self.receive_candidate(Event { source, at, kind })
            };
            self.target = piece.as_ref().map(|piece| piece.target);
            if let Some(piece) = piece {
                self.output.push(piece);
            }
        }
        Output {
            frames: self.output.end_batch(),
            handoff,
            complete: self.output.has_stopped(),
            head: self.begun_head.take(),
        }
    }

    /// The pattern for the continuation of the last event: only its text varies.
    pub(super) fn offer(&self) -> Option<Pattern> {
        self.output.pattern(self.target?)
    }

    /// Records what the host has written by the pattern.
    pub(super) fn relayed(&mut self, events: Vec<Event>) {
        for event in events {
            self.at = self.at.max(event.at);
            self.output.relayed(event.kind);
        }
    }

    /// The frames for a stream that is silent.
    pub(super) fn keep_alive(&mut self) -> Vec<Frame> {
        self.output.keep_alive()
    }

    pub(super) fn finish(mut self, ending: &Ending) -> Closing {
        self.output.end_text();
        self.end_candidates();
        let reason = self.conclude(ending);
        let Self {
            output,
            candidates,
            usage,
            calls,
            heading,
            notes,
            at,
            ..
        } = self;
        let candidates = candidates.as_ref();
        let stop_sequence = output.stop_sequence().map(str::to_owned);
        let end = reason.map(|reason| ReplyEnd {
            reason,
            stop_sequence: stop_sequence.as_deref(),
            usage: candidates.map_or(usage, |candidates| candidates.usage(usage)),
            airlock: candidates.map(|candidates| AirlockObject::of(candidates, usage)),
            at: at / 1000,
        });
        output.finish(end, candidates, calls.to_send(), &heading, &notes)
    }

    /// Records the usage of the answer's turn, also of an answer that has ended.
    pub(super) fn record_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Ends the answer, which is one choice of several. Returns why it ended, or its problem after `translate`, and its last
    /// frames.
    pub(super) fn end_choice(
        &mut self,
        ending: &Ending,
        translate: impl FnOnce(Problem) -> Problem,
    ) -> (Result<FinishReason, Problem>, Vec<Frame>) {
        self.output.end_text();
        let reason = self.conclude(ending).map_err(translate);
        let end = reason.as_ref().map(|reason| ReplyEnd {
            reason: *reason,
            stop_sequence: None,
            // That of all turns is reported at the end of the response.
            usage: None,
            airlock: None,
            at: self.at / 1000,
        });
        let frames = self
            .output
            .end_choice(end.as_ref().map_err(|problem| *problem));
        (reason, frames)
    }

    /// The answer for a body. None in a stream.
    pub(super) fn collected(&self) -> Option<&CollectedAnswer> {
        self.output.collected()
    }

    /// Whether a text continues the last event's, which was admitted: then it is admitted too, without a separator.
    #[inline]
    fn continues(&self, text: &Text) -> bool {
        self.target == Some(TextTarget::Message(text.message))
            && !text.text.is_empty()
            && text.item.is_none()
            && (text.phase != Some(Phase::Commentary) || self.notes.structure == Structure::Free)
            && !self.output.matches_stops()
    }

    fn receive_answer(
        &mut self,
        kind: EventKind,
        handoff: &mut Option<Handoff>,
    ) -> Option<TargetedText> {
        match kind {
            EventKind::Text(text) => self.receive_text(text),
            EventKind::Reasoning(reasoning) => self.receive_reasoning(reasoning),
            EventKind::Usage(usage) => {
                self.usage = Some(usage);
                None
            }
            EventKind::Restarted(messages) => {
                self.output.forget(&messages);
                None
            }
            EventKind::Settled(_) => {
                self.restart_answer();
                None
            }
            EventKind::Picked(choice) => {
                if let Some(candidates) = &mut self.candidates {
                    candidates.pick(choice);
                }
                None
            }
            EventKind::Other(notification) => {
                *handoff = self.receive_notification(&notification);
                None
            }
            EventKind::Opened(_) => None,
        }
    }

    fn receive_text(&mut self, text: Text) -> Option<TargetedText> {
        let target = TextTarget::Message(text.message);
        let separator = self.filter.admit_text(&text, &self.notes);
        let Some(separator) = separator else {
            return self.save_item(target, text.item);
        };
        if !self.output.is_valid() {
            return None;
        }
        Some(TargetedText {
            target,
            separator,
            phase: text.phase,
            item: text.item.or_else(|| self.take_saved_item(target)),
            text: text.text,
        })
    }

    fn receive_reasoning(&mut self, reasoning: Reasoning) -> Option<TargetedText> {
        let target = TextTarget::Reasoning {
            part: reasoning.part,
            raw: reasoning.raw,
        };
        let separator = self.filter.admit_reasoning(&reasoning, &self.notes);
        let Some(separator) = separator else {
            return self.save_item(target, reasoning.item);
        };
        if !self.output.is_valid() {
            return None;
        }
        Some(TargetedText {
            target,
            separator,
            phase: None,
            item: reasoning.item.or_else(|| self.take_saved_item(target)),
            text: reasoning.text,
        })
    }

    /// Saves the id of a first piece that has no text.
    fn save_item(&mut self, target: TextTarget, item: Option<String>) -> Option<TargetedText> {
        if let Some(item) = item {
            self.item = Some((target, item));
        }
        None
    }

    fn take_saved_item(&mut self, target: TextTarget) -> Option<String> {
        let saved = self.item.take_if(|(saved, _)| *saved == target);
        saved.map(|(_, item)| item)
    }

    /// Receives any other notification about the answer's turn. The handoff, if it completes the answer's calls.
    fn receive_notification(&mut self, notification: &Notification) -> Option<Handoff> {
        if self.notes.dialect != DialectNotes::Chat
            && let Some(item) = ModelItem::of(notification)
        {
            self.output.model_item(&item);
        }
        if !self.calls.receive(notification) {
            return None;
        }
        self.output.end_text();
        let handoff = self.calls.hand_off(self.output.take_digest());
        self.output.calls(self.calls.to_send());
        Some(handoff)
    }

    fn receive_candidate(&mut self, event: Event) -> Option<TargetedText> {
        let tab = event.source;
        let candidates = self.candidates.as_mut()?;
        let update = candidates.receive(event, &self.notes)?;
        if !self.shown {
            return None;
        }
        let candidate = candidates.get(tab)?;
        match update {
            CandidateUpdate::Text(separator, text) => {
                return Some(TargetedText {
                    target: TextTarget::Candidate(tab),
                    separator,
                    phase: None,
                    item: None,
                    text,
                });
            }
            CandidateUpdate::Opened => {
                let total = candidates.fan_out.candidates;
                let model = &candidate.model;
                self.output.tab(tab, &TabUpdate::Opened { total, model });
            }
            CandidateUpdate::Ended => {
                let update = match candidate.error() {
                    None => TabUpdate::Closed {
                        text: &candidate.messages,
                        usage: candidate.usage,
                    },
                    Some(error) => TabUpdate::Failed(error),
                };
                self.output.tab(tab, &update);
                if self.notes.streaming {
                    candidates.drop_text(tab);
                }
            }
        }
        None
    }

    /// Records that the answer failed, and that another one follows.
    fn restart_answer(&mut self) {
        let Some(candidates) = &mut self.candidates else {
            return;
        };
        candidates.add_void(self.usage.take());
        self.output.restart(self.filter.has_text());
        self.item = None;
        if self.notes.streaming {
            self.filter.restart();
        } else {
            self.filter = AnswerFilter::default();
        }
    }

    /// Closes the tabs of candidates that still run when the response ends.
    fn end_candidates(&mut self) {
        let Some(candidates) = self.candidates.as_ref().filter(|_| self.shown) else {
            return;
        };
        let open = candidates
            .iter()
            .filter(|(_, candidate)| candidate.is_open());
        for (tab, candidate) in open {
            if let Some(error) = candidate.error() {
                self.output.tab(tab, &TabUpdate::Failed(error));
            }
        }
    }

    /// Why the response ended, if it succeeded.
    fn conclude(&self, ending: &Ending) -> Result<FinishReason, Problem> {
        let reason = finish_reason(ending)?;
        self.output.check_valid()?;
        let reason = self.calls.conclude(ending, reason)?;
        if matches!(&self.notes.dialect, DialectNotes::Responses(own) if own.compaction.is_some()) {
            responses::check_summary(reason, self.filter.has_text())?;
        }
        if *ending != Ending::Completed || !self.calls.to_send().is_empty() {
            return Ok(reason);
        }
        if self.output.has_stopped() {
            // The client has cut the answer short, so its structure is not checked.
            return Ok(FinishReason::StopSequence);
        }
        self.output.check_structure(self.notes.structure)?;
        Ok(reason)
    }
}
