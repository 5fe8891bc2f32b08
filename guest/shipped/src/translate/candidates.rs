//! The candidates of a fan-out: what each has said and used, from its opening to its end. Shared by both kinds of
//! reply.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::messages::Messages;
use super::transcript::Transcript;
use super::usage::sum;
use crate::bindings::airlock::policy::types::{Choice, Ending, Event, EventKind, Usage};
use crate::notes::{FanOut, Notes};
use crate::problem;

/// One fan-out, as far as it has been heard of.
#[derive(Debug)]
pub(super) struct Candidates {
    /// What was asked for.
    pub(super) fan_out: FanOut,
    /// Whether their texts are wanted.
    keeps_text: bool,
    /// Those that were opened, by their numbers.
    opened: BTreeMap<u32, Candidate>,
    /// What was picked, if the answer is a candidate's.
    choice: Option<Choice>,
    /// What each turn used that the panel consulted.
    consulted: BTreeMap<u32, Usage>,
    /// What answers used that came to nothing.
    void: Option<Usage>,
}

/// One candidate, from its opening on.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) model: String,
    /// What it has said, if that is kept. Nothing any more once it has failed or was interrupted.
    pub(super) messages: Messages,
    pub(super) usage: Option<Usage>,
    transcript: Transcript,
    /// Unix milliseconds.
    opened: u64,
    /// Unix milliseconds, and how.
    ended: Option<(u64, Ending)>,
}

/// What an event of a candidate comes to.
#[derive(Debug)]
pub(super) enum News {
    Opened,
    /// Text, and what must be written before it.
    Said(&'static str, String),
    Ended,
}

/// Why a candidate has no answer, in generic words.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    message: &'static str,
    exception_type: &'static str,
}

impl Candidates {
    /// The fan-out that the notes speak of, if they do. `keeps_text` says whether candidates' texts are kept.
    pub(super) fn of(notes: &mut Notes, keeps_text: bool) -> Option<Self> {
        notes.fan_out.take().map(|fan_out| Self {
            fan_out,
            keeps_text,
            opened: BTreeMap::new(),
            choice: None,
            consulted: BTreeMap::new(),
            void: None,
        })
    }

    /// Takes in an event of another turn than the answer's.
    pub(super) fn receive(&mut self, event: Event, notes: &Notes) -> Option<News> {
        let Event { source, at, kind } = event;
        if source > self.fan_out.candidates {
            // Of what the panel consulted, only the cost is the client's.
            if let EventKind::Usage(usage) = kind {
                self.consulted.insert(source, usage);
            }
            return None;
        }
        if let EventKind::Opened(model) = kind {
            if self.opened.contains_key(&source) {
                return None;
            }
            self.opened.insert(source, Candidate::new(model, at));
            return Some(News::Opened);
        }
        let candidate = self.opened.get_mut(&source)?;
        if candidate.ended.is_some() {
            return None;
        }
        match kind {
            EventKind::Text(text) if self.keeps_text => {
                let separator = candidate.transcript.admit_text(&text, notes)?;
                let words = Cow::Borrowed(text.text.as_str());
                candidate.messages.push(text.message, words);
                Some(News::Said(separator, text.text))
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
                    candidate.messages = Messages::default();
                }
                candidate.ended = Some((at, ending));
                Some(News::Ended)
            }
            EventKind::Text(_)
            | EventKind::Reasoning(_)
            | EventKind::Other(_)
            | EventKind::Opened(_)
            | EventKind::Picked(_) => None,
        }
    }

    /// A candidate's answer is the answer, and is told again as such. It is not held twice.
    pub(super) fn pick(&mut self, choice: Choice) {
        if let Some(candidate) = self.opened.get_mut(&choice.candidate) {
            candidate.messages = Messages::default();
        }
        self.choice = Some(choice);
    }

    /// An answer came to nothing. What it used was used.
    pub(super) fn add_void(&mut self, usage: Option<Usage>) {
        self.void = sum([self.void, usage]);
    }

    pub(super) fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// Those that were opened, with their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Candidate)> {
        self.opened.iter().map(|(tab, candidate)| (*tab, candidate))
    }

    pub(super) fn get(&self, tab: u32) -> Option<&Candidate> {
        self.opened.get(&tab)
    }

    /// Drops a text that nobody asks for again.
    pub(super) fn drop_text(&mut self, tab: u32) {
        if let Some(candidate) = self.opened.get_mut(&tab) {
            candidate.messages = Messages::default();
        }
    }

    /// What all turns used, where the answer itself used `answer`.
    pub(super) fn usage(&self, answer: Option<Usage>) -> Option<Usage> {
        sum([self.own_usage(), self.synthesis_usage(answer)])
    }

    /// What the candidates used.
    pub(super) fn own_usage(&self) -> Option<Usage> {
        sum(self.opened.values().map(|candidate| candidate.usage))
    }

    /// What finding the answer among them used, where the answer itself used `answer`.
    pub(super) fn synthesis_usage(&self, answer: Option<Usage>) -> Option<Usage> {
        let consulted = self.consulted.values().copied().map(Some);
        sum([self.void, answer].into_iter().chain(consulted))
    }
}

impl Candidate {
    fn new(model: String, opened: u64) -> Self {
        Self {
            model,
            messages: Messages::default(),
            usage: None,
            transcript: Transcript::default(),
            opened,
            ended: None,
        }
    }

    /// Milliseconds from its opening to its end. None where it has not ended.
    pub(super) fn duration(&self) -> Option<u64> {
        let (ended, _) = self.ended.as_ref()?;
        Some(ended.saturating_sub(self.opened))
    }

    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// How it ended, in one word.
    pub(super) fn status(&self) -> &'static str {
        match &self.ended {
            Some((_, Ending::Completed)) => "completed",
            Some((_, Ending::Incomplete(_))) => "incomplete",
            Some((_, Ending::Failed(_))) => "failed",
            Some((_, Ending::Interrupted | Ending::HandedOff)) | None => "interrupted",
        }
    }

    /// Why it has no answer. None where it has one, be it cut short. The problem's own words may tell of the cause,
    /// so they are not used.
    pub(super) fn fault(&self) -> Option<Fault> {
        match &self.ended {
            Some((_, Ending::Completed | Ending::Incomplete(_))) => None,
            Some((_, Ending::Failed(problem))) => Some(Fault {
                message: problem::generic(problem),
                exception_type: problem::type_name(problem.kind),
            }),
            // Whatever still runs when the response ends is not needed either.
            Some((_, Ending::Interrupted | Ending::HandedOff)) | None => Some(Fault {
                message: "stopped: it was no longer needed",
                exception_type: "interrupted",
            }),
        }
    }
}
