//! A chat completion of several choices (`n`): each is a turn of its own, and has a reply of its own. A choice whose turn
//! fails ends alone; the response fails only if all do.

use super::body::{self, ChoiceContent};
use super::stream::{self, ChatStream};
use crate::bindings::airlock::policy::types::{Ending, Event, EventKind, Problem};
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame, Output};
use crate::notes::PlanNotes;
use crate::problem::{most_specific, turn_interrupted};
use crate::translate::ending::FinishReason;
use crate::translate::heading::Heading;
use crate::translate::reply_state::ReplyState;
use crate::translate::upstream_refusal::FieldMap;
use crate::translate::usage::sum;

/// The choices of one response.
#[derive(Debug)]
pub(in crate::translate) struct Choices {
    heading: Heading,
    notes: PlanNotes,
    /// The choice of source 1 is at index 0.
    choices: Vec<ChoiceState>,
}

/// A choice so far.
#[derive(Debug)]
struct ChoiceState {
    reply: ReplyState,
    /// Its events of the batch in progress.
    events: Vec<Event>,
    /// How its turn ended.
    settled: Option<Ending>,
    /// How it ended: with its turn, or earlier at a stop sequence.
    end: Option<Result<FinishReason, Problem>>,
}

impl Choices {
    /// The choices of a response that has `count` of them.
    pub(in crate::translate) fn new(heading: Heading, notes: PlanNotes, count: u32) -> Self {
        let choices = (0..count).map(|index| {
            let heading = Heading {
                choice: Some(index),
                ..heading.clone()
            };
            ChoiceState::new(ReplyState::new(heading, notes.clone()))
        });
        Self {
            choices: choices.collect(),
            heading,
            notes,
        }
    }

    /// Translates a batch: the frames of one choice after those of another, in the order of each choice's events.
    pub(in crate::translate) fn feed(&mut self, events: Vec<Event>, fields: &FieldMap) -> Output {
        for event in events {
            let index = event.source.checked_sub(1);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(choice) = index.and_then(|index| self.choices.get_mut(index)) {
                choice.receive(event);
            }
        }
        let mut frames = Vec::new();
        for choice in &mut self.choices {
            choice.end_batch(fields, &mut frames);
        }
        let have_ended = self.choices.iter().all(|choice| choice.end.is_some());
        let run = self.choices.iter().any(|choice| choice.settled.is_none());
        Output {
            frames,
            handoff: None,
            // Turns run on only where a stop sequence has ended their choice.
            complete: have_ended && run,
            head: None,
        }
    }

    /// Ends the response. Choices that have not ended fail with it.
    pub(in crate::translate) fn finish(mut self, ending: &Ending) -> Closing {
        let mut frames = Vec::new();
        for choice in self.choices.iter_mut().filter(|it| it.end.is_none()) {
            let ending = match ending {
                Ending::Failed(problem) => Ending::Failed(problem.clone()),
                _ => Ending::Failed(turn_interrupted()),
            };
            choice.end(&ending, |problem| problem, &mut frames);
        }
        let body = match self.problem() {
            Some(problem) => Err(problem),
            None if self.notes.streaming => Ok(String::new()),
            None => Ok(self.body()),
        };
        if self.notes.streaming {
            match &body {
                Ok(_) => {
                    let usage = sum(self.choices.iter().map(|choice| choice.reply.usage()));
                    ChatStream::new(&self.heading, &self.notes).end(usage, &mut frames);
                }
                Err(problem) => frames.extend(stream::failure(problem)),
            }
        }
        Closing {
            frames,
            body,
            object: None,
        }
    }

    /// The problem of the response, if no choice has succeeded.
    fn problem(&self) -> Option<Problem> {
        let ends = || self.choices.iter().filter_map(|choice| choice.end.as_ref());
        if ends().any(Result::is_ok) {
            return None;
        }
        let problems = ends().filter_map(|end| end.as_ref().err());
        Some(most_specific(problems).map_or_else(turn_interrupted, Problem::clone))
    }

    fn body(&self) -> String {
        let choices = self.choices.iter().filter_map(|choice| {
            Some(match choice.end.as_ref()? {
                Ok(reason) => ChoiceContent::Answer(choice.reply.collected()?, *reason),
                Err(problem) => ChoiceContent::Failure(problem),
            })
        });
        let choices: Vec<ChoiceContent<'_>> = choices.collect();
        let usage = sum(self.choices.iter().map(|choice| choice.reply.usage()));
        body::body_of_choices(&self.heading, &choices, usage)
    }
}

impl ChoiceState {
    fn new(reply: ReplyState) -> Self {
        Self {
            reply,
            events: Vec::new(),
            settled: None,
            end: None,
        }
    }

    fn receive(&mut self, event: Event) {
        if self.settled.is_some() {
            return;
        }
        match event.kind {
            // The turn of a choice that has ended reports it, too.
            EventKind::Usage(usage) => self.reply.record_usage(usage),
            EventKind::Settled(ending) => self.settled = Some(ending),
            EventKind::Text(_) | EventKind::Reasoning(_) | EventKind::Restarted(_) => {
                self.events.push(Event { source: 0, ..event });
            }
            EventKind::Opened(_) | EventKind::Other(_) | EventKind::Picked(_) => {}
        }
    }

    fn end_batch(&mut self, fields: &FieldMap, frames: &mut Vec<Frame>) {
        let events = std::mem::take(&mut self.events);
        if self.end.is_some() {
            return;
        }
        let mut output = self.reply.feed(events);
        frames.append(&mut output.frames);
        let ending = match (&self.settled, output.complete) {
            (_, true) => Ending::Completed,
            (Some(ending), false) => ending.clone(),
            (None, false) => return,
        };
        self.end(&ending, |problem| fields.translate(problem), frames);
    }

    fn end(
        &mut self,
        ending: &Ending,
        translate: impl FnOnce(Problem) -> Problem,
        frames: &mut Vec<Frame>,
    ) {
        let (end, mut last) = self.reply.end_choice(ending, translate);
        frames.append(&mut last);
        self.end = Some(end);
    }
}
