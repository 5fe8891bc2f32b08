//! Wraps the shipped translator: removes secrets from the answer, the candidates and the model's reasoning.
//!
//! Annotations of a message are redacted too. Their offsets refer to the model's own text, so they are off after a
//! replacement.

use std::collections::BTreeMap;
use std::mem;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, Phase, Problem, Reasoning, Text,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{
    Closing, Frame, Output,
};
use airlock_shipped_policy::translate;
use serde_json::Value;

use crate::stream::{Redactor, redacted};

/// The turn whose text is the answer.
const ANSWER: u32 = 0;

/// The notifications after which the shipped translator may end with the model's calls: no more text of the message
/// follows.
const CALLED: [&str; 2] = [ITEM_COMPLETED, "rawResponse/completed"];

/// The notification of an item of the model's output: a message with its annotations, reasoning, or a call.
const ITEM_COMPLETED: &str = "rawResponseItem/completed";

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
    /// The model's id, until a piece has been passed on.
    item: Option<String>,
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

    /// As the shipped translator.
    pub fn keep_alive(&mut self) -> Vec<Frame> {
        self.inner.keep_alive()
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
            EventKind::Other(mut notification) => {
                if CALLED.contains(&notification.method.as_str()) {
                    turn.end(&mut emit);
                }
                if notification.method == ITEM_COMPLETED
                    && let Some(params) = message_params(&notification.params)
                {
                    notification.params = params;
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
            item,
        } = text;
        if let Some(ended) = self.message.take_if(|open| open.number != message) {
            ended.end(emit);
        }
        let open = self
            .message
            .get_or_insert_with(|| OpenText::new(message, phase, item));
        open.push(&text, emit);
    }

    fn receive_reasoning(&mut self, reasoning: Reasoning, emit: &mut dyn FnMut(EventKind)) {
        let Reasoning {
            part,
            raw,
            text,
            item,
        } = reasoning;
        let slot = &mut self.reasoning[usize::from(raw)];
        if let Some(ended) = slot.take_if(|open| open.number != part) {
            ended.end(emit);
        }
        let open = slot.get_or_insert_with(|| OpenText::new(part, raw, item));
        open.push(&text, emit);
    }

    /// Passes on the text that was held back: all texts end.
    fn end(&mut self, emit: &mut dyn FnMut(EventKind)) {
        self.end_reasoning(emit);
        if let Some(ended) = self.message.take() {
            ended.end(emit);
        }
    }

    fn end_reasoning(&mut self, emit: &mut dyn FnMut(EventKind)) {
        for ended in self.reasoning.iter_mut().filter_map(Option::take) {
            ended.end(emit);
        }
    }
}

impl<T: TextKind> OpenText<T> {
    fn new(number: u32, about: T, item: Option<String>) -> Self {
        Self {
            number,
            about,
            item,
            redactor: Redactor::default(),
        }
    }

    /// Passes on what a piece has completed.
    fn push(&mut self, piece: &str, emit: &mut dyn FnMut(EventKind)) {
        let clean = self.redactor.push(piece);
        self.emit(clean, emit);
    }

    /// Passes on the text that was held back.
    fn end(mut self, emit: &mut dyn FnMut(EventKind)) {
        let clean = self.redactor.finish();
        self.emit(clean, emit);
    }

    fn emit(&mut self, text: String, emit: &mut dyn FnMut(EventKind)) {
        if !text.is_empty() {
            emit(self.about.event(self.number, text, self.item.take()));
        }
    }
}

/// The attributes of a text's events besides its number.
trait TextKind {
    fn event(&self, number: u32, text: String, item: Option<String>) -> EventKind;
}

/// The phase of a message.
impl TextKind for Option<Phase> {
    fn event(&self, message: u32, text: String, item: Option<String>) -> EventKind {
        EventKind::Text(Text {
            message,
            phase: *self,
            text,
            item,
        })
    }
}

/// Whether reasoning is raw.
impl TextKind for bool {
    fn event(&self, part: u32, text: String, item: Option<String>) -> EventKind {
        EventKind::Reasoning(Reasoning {
            part,
            raw: *self,
            text,
            item,
        })
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

/// Removes secrets from the params of `rawResponseItem/completed` with a message. None for any other item: calls must
/// reach the client's functions unchanged, and encrypted reasoning the model.
fn message_params(params: &str) -> Option<String> {
    let mut params: Value = serde_json::from_str(params).ok()?;
    if params["item"]["type"] != "message" {
        return None;
    }
    clean(&mut params);
    Some(params.to_string())
}

/// Removes secrets from the strings of JSON. Text that is not JSON is treated as one string.
fn values(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            clean(&mut value);
            value.to_string()
        }
        Err(_) => redacted(json),
    }
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = redacted(text),
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(members) => members.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
