//! A reply as server-sent events.

use super::chunks::{self, Chunks, Field};
use super::transcript::Transcript;
use super::{Heading, check_object, finish_reason, upstream};
use crate::bindings::airlock::policy::types::{Ending, Event, EventKind, Problem, Usage};
use crate::bindings::exports::airlock::policy::translate::{Closing, Frame};
use crate::notes::{Notes, Structure};
use crate::problem;

/// What a stream has told so far, as far as the next frame depends on it.
#[derive(Debug)]
pub(super) struct Streamed {
    notes: Notes,
    chunks: Chunks,
    transcript: Transcript,
    /// Whether the first chunk has been sent.
    begun: bool,
    usage: Option<Usage>,
    /// The whole answer, where it must be checked at the end.
    answer: String,
    /// Words that were told have become void, which a stream cannot take back.
    spoiled: bool,
}

impl Streamed {
    pub(super) fn new(heading: &Heading, notes: Notes) -> Self {
        Self {
            notes,
            chunks: Chunks::new(heading, notes.include_usage),
            transcript: Transcript::default(),
            begun: false,
            usage: None,
            answer: String::new(),
            spoiled: false,
        }
    }

    /// Text of the same field that stands side by side in a batch becomes one chunk.
    pub(super) fn feed(&mut self, events: impl Iterator<Item = Event>) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut pending: Option<(Field, String)> = None;
        for event in events {
            let (field, separator, text) = match event.kind {
                EventKind::Text(text) => {
                    let Some(separator) = self.transcript.admit_text(&text, self.notes) else {
                        continue;
                    };
                    (Field::Content, separator, text.text)
                }
                EventKind::Reasoning(reasoning) => {
                    let Some(separator) = self.transcript.admit_reasoning(&reasoning, self.notes)
                    else {
                        continue;
                    };
                    (Field::Reasoning, separator, reasoning.text)
                }
                EventKind::Usage(usage) => {
                    self.usage = Some(usage);
                    continue;
                }
                EventKind::Restarted(messages) => {
                    self.spoiled |= !messages.is_empty();
                    continue;
                }
                EventKind::Other(_) => continue,
            };
            if self.spoiled {
                continue;
            }
            match &mut pending {
                Some((last, told)) if *last == field => {
                    told.push_str(separator);
                    told.push_str(&text);
                }
                _ => {
                    self.tell(pending.take(), &mut frames);
                    let text = if separator.is_empty() {
                        text
                    } else {
                        [separator, &text].concat()
                    };
                    pending = Some((field, text));
                }
            }
        }
        self.tell(pending, &mut frames);
        frames
    }

    pub(super) fn finish(mut self, ending: Ending) -> Closing {
        let mut frames = Vec::new();
        let body = match self.conclude(ending) {
            Ok(reason) => {
                self.begin(&mut frames);
                frames.push(self.chunks.finish(reason));
                // A client cannot count on this chunk, since a stream may break: none is better than one without numbers.
                if let Some(usage) = self.usage.filter(|_| self.notes.include_usage) {
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

    /// Why the answer ends, if it ends well.
    fn conclude(&self, ending: Ending) -> Result<&'static str, Problem> {
        let completed = ending == Ending::Completed;
        let reason = finish_reason(ending)?;
        if self.spoiled {
            return Err(upstream(
                "stream_restarted",
                "the model's stream broke and its second telling differs from what was sent; send the request again",
            ));
        }
        if completed && self.notes.structure == Structure::Object {
            check_object(&self.answer)?;
        }
        Ok(reason)
    }

    fn tell(&mut self, pending: Option<(Field, String)>, frames: &mut Vec<Frame>) {
        let Some((field, text)) = pending else { return };
        self.begin(frames);
        frames.push(self.chunks.delta(field, &text));
        if field == Field::Content && self.notes.structure == Structure::Object {
            self.answer.push_str(&text);
        }
    }

    fn begin(&mut self, frames: &mut Vec<Frame>) {
        if !self.begun {
            self.begun = true;
            frames.push(self.chunks.role());
        }
    }
}
