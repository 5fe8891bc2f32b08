//! The candidates of a fan-out: the text and usage of each, from its start to its end. Used for streamed and
//! collected replies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::answer_filter::AnswerFilter;
use super::turn_text::TurnText;
use super::usage::sum;
use crate::bindings::airlock::policy::types::{Choice, Ending, Event, EventKind, Usage};
use crate::notes::{FanOutTerms, PlanNotes};
use crate::problem;

/// One fan-out so far.
#[derive(Debug)]
pub(super) struct Candidates {
    /// The terms of the fan-out.
    pub(super) fan_out: FanOutTerms,
    /// Whether the candidates' texts are needed.
    collects_text: bool,
    /// The started candidates, by number.
    opened: BTreeMap<u32, CandidateState>,
    /// The picked candidate, if the answer is a candidate's.
    choice: Option<Choice>,
    /// The usage of each turn that the panel consulted.
    consulted: BTreeMap<u32, Usage>,
    /// The usage of answers that failed.
    void: Option<Usage>,
}

/// One candidate, from its start on.
#[derive(Debug)]
pub(super) struct CandidateState {
    pub(super) model: String,
    /// The candidate's text, if that is needed. Empty once the candidate has failed or was interrupted.
    pub(super) messages: TurnText,
    pub(super) usage: Option<Usage>,
    filter: AnswerFilter,
    /// Unix milliseconds.
    opened: u64,
    /// Unix milliseconds, and the ending.
    ended: Option<(u64, Ending)>,
}

/// The effect of a candidate's event.
#[derive(Debug)]
pub(super) enum CandidateUpdate {
    Opened,
    /// A separator, and the text after it.
    Text(&'static str, String),
    Ended,
}

/// The error of a candidate without an answer. Its message does not disclose the cause.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct CandidateError {
    pub(super) message: &'static str,
    pub(super) exception_type: &'static str,
}

impl Candidates {
    /// The fan-out of the notes, if there is one. `collects_text` is whether the candidates' texts are needed.
    pub(super) fn of(notes: &mut PlanNotes, collects_text: bool) -> Option<Self> {
        notes.fan_out.take().map(|fan_out| Self {
            fan_out,
            collects_text,
            opened: BTreeMap::new(),
            choice: None,
            consulted: BTreeMap::new(),
            void: None,
        })
    }

    /// Receives an event of a turn other than the answer's.
    pub(super) fn receive(&mut self, event: Event, notes: &PlanNotes) -> Option<CandidateUpdate> {
        let Event { source, at, kind } = event;
        if source > self.fan_out.candidates {
            // Of a consulted turn, only the usage is reported to the client.
            if let EventKind::Usage(usage) = kind {
                self.consulted.insert(source, usage);
            }
            return None;
        }
        if let EventKind::Opened(model) = kind {
            if self.opened.contains_key(&source) {
                return None;
            }
            self.opened.insert(source, CandidateState::new(model, at));
            return Some(CandidateUpdate::Opened);
        }
        let candidate = self.opened.get_mut(&source)?;
        if candidate.ended.is_some() {
            return None;
        }
        match kind {
            EventKind::Text(text) if self.collects_text => {
                let separator = candidate.filter.admit_text(&text, notes)?;
                let piece = Cow::Borrowed(text.text.as_str());
                candidate.messages.push(text.message, piece);
                Some(CandidateUpdate::Text(separator, text.text))
            }
            EventKind::Restarted(void) => {
                candidate.messages.forget(&void);
                None
            }
            EventKind::Usage(usage) => {
                candidate.usage = Some(usage);
                None
            }
            EventKind::Settled(ending) => {
                if !matches!(ending, Ending::Completed | Ending::Incomplete(_)) {
                    // It is no answer, and the host gives its share of the fan-out's bytes to others.
                    candidate.messages = TurnText::default();
                }
                candidate.ended = Some((at, ending));
                Some(CandidateUpdate::Ended)
            }
            EventKind::Text(_)
            | EventKind::Reasoning(_)
            | EventKind::Other(_)
            | EventKind::Opened(_)
            | EventKind::Picked(_) => None,
        }
    }

    /// Records that a candidate was picked. Its text is sent again as the answer, so it is not held twice.
    pub(super) fn pick(&mut self, choice: Choice) {
        if let Some(candidate) = self.opened.get_mut(&choice.candidate) {
            candidate.messages = TurnText::default();
        }
        self.choice = Some(choice);
    }

    /// Records that an answer failed. Its usage counts.
    pub(super) fn add_void(&mut self, usage: Option<Usage>) {
        self.void = sum([self.void, usage]);
    }

    pub(super) fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// The started candidates, with their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &CandidateState)> {
        self.opened.iter().map(|(tab, candidate)| (*tab, candidate))
    }

    pub(super) fn get(&self, tab: u32) -> Option<&CandidateState> {
        self.opened.get(&tab)
    }

    /// Drops a text that is not needed again.
    pub(super) fn drop_text(&mut self, tab: u32) {
        if let Some(candidate) = self.opened.get_mut(&tab) {
            candidate.messages = TurnText::default();
        }
    }

    /// The usage of all turns, where `answer` is that of the answer's turn.
    pub(super) fn usage(&self, answer: Option<Usage>) -> Option<Usage> {
        sum([self.own_usage(), self.synthesis_usage(answer)])
    }

    /// The usage of the candidates.
    pub(super) fn own_usage(&self) -> Option<Usage> {
        sum(self.opened.values().map(|candidate| candidate.usage))
    }

    /// The usage of the synthesis, where `answer` is that of the answer's turn.
    pub(super) fn synthesis_usage(&self, answer: Option<Usage>) -> Option<Usage> {
        let consulted = self.consulted.values().copied().map(Some);
        sum([self.void, answer].into_iter().chain(consulted))
    }
}

impl CandidateState {
    fn new(model: String, opened: u64) -> Self {
        Self {
            model,
            messages: TurnText::default(),
            usage: None,
            filter: AnswerFilter::default(),
            opened,
            ended: None,
        }
    }

    /// Milliseconds from its start to its end. None if it has not ended.
    pub(super) fn duration(&self) -> Option<u64> {
        let (ended, _) = self.ended.as_ref()?;
        Some(ended.saturating_sub(self.opened))
    }

    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// The candidate's status for the client.
    pub(super) fn status(&self) -> &'static str {
        match &self.ended {
            Some((_, Ending::Completed)) => "completed",
            Some((_, Ending::Incomplete(_))) => "incomplete",
            Some((_, Ending::Failed(_))) => "failed",
            Some((_, Ending::Interrupted | Ending::HandedOff)) | None => "interrupted",
        }
    }

    /// The error, if it has no answer. A truncated answer is one. The problem's own message may disclose the cause,
    /// so it is not used.
    pub(super) fn error(&self) -> Option<CandidateError> {
        match &self.ended {
            Some((_, Ending::Completed | Ending::Incomplete(_))) => None,
            Some((_, Ending::Failed(problem))) => Some(CandidateError {
                message: problem::generic(problem),
                exception_type: problem::type_name(problem.kind),
            }),
            // Candidates that still run when the response ends are not needed.
            Some((_, Ending::Interrupted | Ending::HandedOff)) | None => Some(CandidateError {
                message: "stopped: it was no longer needed",
                exception_type: "interrupted",
            }),
        }
    }
}
