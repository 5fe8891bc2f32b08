//! Wraps the shipped translator: removes secrets from the answer, the candidates and the model's reasoning.

use std::collections::BTreeMap;
use std::mem;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Phase, Problem, Reasoning, Text,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{Closing, Output};
use airlock_shipped_policy::translate;
use serde_json::Value;

use crate::stream::{Redactor, redacted};

/// The turn whose text is the answer.
const ANSWER: u32 = 0;

/// The notifications after which the shipped translator may end with the model's calls: no more text of the message
/// follows.
const CALLED: [&str; 2] = ["rawResponseItem/completed", "rawResponse/completed"];

/// The shipped translator, and the texts that it has not received completely.
#[derive(Debug)]
pub struct RedactingTranslator {
    inner: translate::ReplyTranslator,
    turns: BTreeMap<u32, TurnTexts>,
}

/// The texts of one turn that have not ended.
#[derive(Debug, Default)]
struct TurnTexts {
    message: Option<OpenText<Option<Phase>>>,
    /// The reasoning summary, and the raw reasoning.
    reasoning: [Option<OpenText<bool>>; 2],
}

/// A text that has not ended: its number, and the other attributes of its events.
#[derive(Debug)]
struct OpenText<T> {
    number: u32,
    about: T,
    redactor: Redactor,
}

impl RedactingTranslator {
    /// A translator for the request that the context describes.
    pub fn new(context: &Context) -> Self {
        Self {
            inner: translate::ReplyTranslator::new(context),
            turns: BTreeMap::new(),
        }
    }

    /// As the shipped translator.
    pub fn feed(&mut self, events: Vec<Event>) -> Output {
        let mut clean = Vec::with_capacity(events.len());
        for event in events {
            self.emit(event, &mut clean);
        }
        self.inner.feed(clean)
    }

    /// As the shipped translator, after the text that was held back.
    pub fn finish(mut self, ending: Ending) -> Closing {
        let mut held = Vec::new();
        for (source, mut turn) in mem::take(&mut self.turns) {
            turn.end(&mut |kind| held.push(event(source, 0, kind)));
        }
        let mut frames = self.inner.feed(held).frames;
        let closing = self.inner.finish(self::ending(ending));
        frames.extend(closing.frames);
        Closing { frames, ..closing }
    }

    fn emit(&mut self, received: Event, clean: &mut Vec<Event>) {
        let Event { source, at, kind } = received;
        let turn = self.turns.entry(source).or_default();
        let mut emit = |kind| clean.push(event(source, at, kind));
        match kind {
            EventKind::Text(text) => turn.receive_text(text, &mut emit),
            EventKind::Reasoning(reasoning) => turn.receive_reasoning(reasoning, &mut emit),
            EventKind::Restarted(void) => {
                turn.message.take_if(|open| void.contains(&open.number));
                emit(EventKind::Restarted(void));
            }
            EventKind::Settled(ending) => {
                // The text of the answer's turn is void.
                if source != ANSWER {
                    turn.end(&mut emit);
                }
                *turn = TurnTexts::default();
                emit(EventKind::Settled(self::ending(ending)));
            }
            EventKind::Picked(mut choice) => {
                choice.extra = choice.extra.map(|extra| values(&extra));
                emit(EventKind::Picked(choice));
            }
            EventKind::Other(notification) => {
                if CALLED.contains(&notification.method.as_str()) {
                    turn.end(&mut emit);
                }
                emit(EventKind::Other(notification));
            }
            EventKind::Opened(_) | EventKind::Usage(_) => emit(kind),
        }
    }
}

impl TurnTexts {
    fn receive_text(&mut self, text: Text, emit: &mut dyn FnMut(EventKind)) {
        // The reasoning comes before what it leads to.
        self.end_reasoning(emit);
        let Text {
            message,
            phase,
            text,
        } = text;
        if let Some(mut ended) = self.message.take_if(|open| open.number != message) {
            emit_text(message_of(&ended), ended.redactor.finish(), emit);
        }
        let open = self
            .message
            .get_or_insert_with(|| OpenText::new(message, phase));
        emit_text((message, phase), open.redactor.push(&text), emit);
    }

    fn receive_reasoning(&mut self, reasoning: Reasoning, emit: &mut dyn FnMut(EventKind)) {
        let Reasoning { part, raw, text } = reasoning;
        let slot = &mut self.reasoning[usize::from(raw)];
        if let Some(mut ended) = slot.take_if(|open| open.number != part) {
            emit_reasoning(ended.number, raw, ended.redactor.finish(), emit);
        }
        let open = slot.get_or_insert_with(|| OpenText::new(part, raw));
        emit_reasoning(part, raw, open.redactor.push(&text), emit);
    }

    /// Passes on the text that was held back: all texts end.
    fn end(&mut self, emit: &mut dyn FnMut(EventKind)) {
        self.end_reasoning(emit);
        if let Some(mut ended) = self.message.take() {
            emit_text(message_of(&ended), ended.redactor.finish(), emit);
        }
    }

    fn end_reasoning(&mut self, emit: &mut dyn FnMut(EventKind)) {
        for mut ended in self.reasoning.iter_mut().filter_map(Option::take) {
            emit_reasoning(ended.number, ended.about, ended.redactor.finish(), emit);
        }
    }
}

impl<T> OpenText<T> {
    fn new(number: u32, about: T) -> Self {
        Self {
            number,
            about,
            redactor: Redactor::default(),
        }
    }
}

fn message_of(open: &OpenText<Option<Phase>>) -> (u32, Option<Phase>) {
    (open.number, open.about)
}

fn emit_text(of: (u32, Option<Phase>), text: String, emit: &mut dyn FnMut(EventKind)) {
    if !text.is_empty() {
        let (message, phase) = of;
        emit(EventKind::Text(Text {
            message,
            phase,
            text,
        }));
    }
}

fn emit_reasoning(part: u32, raw: bool, text: String, emit: &mut dyn FnMut(EventKind)) {
    if !text.is_empty() {
        emit(EventKind::Reasoning(Reasoning { part, raw, text }));
    }
}

fn event(source: u32, at: u64, kind: EventKind) -> Event {
    Event { source, at, kind }
}

/// Upstreams repeat keys in their messages.
fn ending(ending: Ending) -> Ending {
    match ending {
        Ending::Failed(failed) => Ending::Failed(problem(failed)),
        Ending::Completed | Ending::Incomplete(_) | Ending::Interrupted | Ending::HandedOff => {
            ending
        }
    }
}

fn problem(problem: Problem) -> Problem {
    Problem {
        message: redacted(&problem.message),
        ..problem
    }
}

/// Removes secrets from the strings of JSON. Text that is not JSON is treated as one string.
fn values(json: &str) -> String {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = redacted(text),
            Value::Array(values) => values.iter_mut().for_each(clean),
            Value::Object(members) => members.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            clean(&mut value);
            value.to_string()
        }
        Err(_) => redacted(json),
    }
}

#[cfg(test)]
mod tests;
