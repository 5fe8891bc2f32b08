//! What the scripted model answers: steps of a stream and how it ends, or an HTTP status in its place.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use super::Call;
use crate::Gate;
use crate::fake::Usage;

/// One answer of the model.
#[derive(Clone, Debug)]
pub struct ModelAnswer {
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    pub(super) usage: Option<Usage>,
    pub(super) refusal: Option<Refusal>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Text(String),
    Message(Option<&'static str>),
    Whole(String),
    Refusal {
        text: String,
        streamed: bool,
    },
    /// An output item as it is.
    Item(Value),
    /// So many deltas, one each time that the interval is over.
    Paced {
        count: usize,
        interval: Duration,
    },
    Reasoning {
        text: String,
        raw: bool,
    },
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    Hold(Gate),
    Hang,
}

#[derive(Clone, Debug)]
pub(super) enum Ending {
    Completed,
    Incomplete {
        reason: &'static str,
    },
    Failed {
        code: &'static str,
    },
    ErrorEvent {
        code: &'static str,
    },
    /// The connection breaks in the middle of the body.
    Disconnect,
    /// The body ends where more was to come.
    Eof,
}

/// An HTTP error in place of a stream.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// What tells a request from others.
#[derive(Clone, Debug)]
pub(super) enum Sign {
    /// The user's last message contains this.
    Said(String),
    /// The instructions contain this.
    Instructed(String),
    /// The conversation ends with results, and this call's is among them.
    Answered(String),
    /// The user's last message contains this, and so many calls follow it.
    Round(String, usize),
}

impl Sign {
    fn is_in(&self, call: &Call) -> bool {
        match self {
            Self::Said(needle) => call.said().contains(needle),
            Self::Instructed(needle) => call.instructions().contains(needle),
            Self::Answered(id) => call.brings(id),
            Self::Round(needle, made) => call.said().contains(needle) && call.made() == *made,
        }
    }
}

/// The answers of a model: those for certain questions, a queue, and one for the rest.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) matching: Vec<(Sign, ModelAnswer)>,
    pub(super) next: VecDeque<ModelAnswer>,
    pub(super) otherwise: Option<ModelAnswer>,
}

impl Answers {
    pub(super) fn take(&mut self, call: &Call) -> ModelAnswer {
        if let Some((_, answer)) = self.matching.iter().find(|(sign, _)| sign.is_in(call)) {
            return answer.clone();
        }
        let next = self.next.pop_front().or_else(|| self.otherwise.clone());
        next.unwrap_or_else(|| ModelAnswer::words(&format!("You said: {}", call.said())))
    }
}

impl ModelAnswer {
    /// An answer of nothing yet, which completes.
    pub fn new() -> Self {
        let usage = Usage {
            input: 100,
            output: 5,
            ..Usage::default()
        };
        Self {
            steps: Vec::new(),
            ending: Ending::Completed,
            usage: Some(usage),
            refusal: None,
        }
    }

    /// One message, a word a delta.
    pub fn words(text: &str) -> Self {
        text.split_inclusive(' ').fold(Self::new(), Self::text)
    }

    /// An HTTP error. `code` stands in the error as its code and its type.
    pub fn status(status: u16, code: &str) -> Self {
        let body =
            json!({"error": {"message": format!("scripted {status}"), "type": code, "code": code}});
        Self {
            refusal: Some(Refusal {
                status,
                headers: Vec::new(),
                body,
            }),
            ..Self::new()
        }
    }

    /// An HTTP 400 that names a field of the request, as the Responses API does.
    pub fn refused(param: &str, message: &str) -> Self {
        let mut answer = Self::status(400, "invalid_value");
        if let Some(refusal) = &mut answer.refusal {
            refusal.body = json!({"error": {"message": message, "type": "invalid_request_error",
                "param": param, "code": "invalid_value"}});
        }
        answer
    }

    /// A header of that HTTP error.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Some(refusal) = &mut self.refusal {
            refusal.headers.push((name, value.to_owned()));
        }
        self
    }

    /// A delta of the current message.
    #[must_use]
    pub fn text(self, delta: &str) -> Self {
        self.step(Step::Text(delta.to_owned()))
    }

    /// Ends the current message and starts another, in `phase`: None, `commentary` or `final_answer`.
    #[must_use]
    pub fn message(self, phase: Option<&'static str>) -> Self {
        self.step(Step::Message(phase))
    }

    /// `count` deltas of one word, the next each time that `interval` is over, as a model speaks. Only for what is
    /// measured: a test waits for what happens, not for time.
    #[must_use]
    pub fn paced(self, count: usize, interval: Duration) -> Self {
        self.step(Step::Paced { count, interval })
    }

    /// A message without deltas.
    #[must_use]
    pub fn whole(self, text: impl Into<String>) -> Self {
        self.step(Step::Whole(text.into()))
    }

    /// A refusal as a further part of the current message, or of a new one; in a delta for each word, or whole.
    #[must_use]
    pub fn refusal(self, text: &str, streamed: bool) -> Self {
        self.step(Step::Refusal {
            text: text.to_owned(),
            streamed,
        })
    }

    /// An output item as it is: only its beginning and its end are streamed.
    #[must_use]
    pub fn item(self, item: Value) -> Self {
        self.step(Step::Item(item))
    }

    /// A piece of the summary of the reasoning.
    #[must_use]
    pub fn reasoning(self, delta: &str) -> Self {
        self.step(Step::Reasoning {
            text: delta.to_owned(),
            raw: false,
        })
    }

    /// A piece of the reasoning itself.
    #[must_use]
    pub fn raw_reasoning(self, delta: &str) -> Self {
        self.step(Step::Reasoning {
            text: delta.to_owned(),
            raw: true,
        })
    }

    /// A call of a tool. Several in a row are one batch. `arguments` need not be JSON.
    #[must_use]
    pub fn call(self, id: &str, name: &str, arguments: impl Into<String>) -> Self {
        self.step(Step::Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.into(),
        })
    }

    /// Waits until the test opens the gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Hold(gate.clone()))
    }

    /// Says no more, and does not end.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// The tokens that it reports: 100 and 5 where nothing is said.
    #[must_use]
    pub fn usage(mut self, usage: Option<Usage>) -> Self {
        self.usage = usage;
        self
    }

    /// It stops short: `max_output_tokens` or `content_filter`.
    #[must_use]
    pub fn incomplete(mut self, reason: &'static str) -> Self {
        self.ending = Ending::Incomplete { reason };
        self
    }

    /// It ends with `response.failed`.
    #[must_use]
    pub fn failed(mut self, code: &'static str) -> Self {
        self.ending = Ending::Failed { code };
        self
    }

    /// It ends with an `error` event.
    #[must_use]
    pub fn error_event(mut self, code: &'static str) -> Self {
        self.ending = Ending::ErrorEvent { code };
        self
    }

    /// The connection breaks in the middle.
    #[must_use]
    pub fn disconnect(mut self) -> Self {
        self.ending = Ending::Disconnect;
        self
    }

    /// The stream ends without an ending.
    #[must_use]
    pub fn eof(mut self) -> Self {
        self.ending = Ending::Eof;
        self
    }

    /// How many calls it makes.
    pub(super) fn calls(&self) -> usize {
        let is_call = |step: &&Step| matches!(step, Step::Call { .. });
        self.steps.iter().filter(is_call).count()
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Default for ModelAnswer {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusal {
    pub(super) fn response(&self) -> Result<Response<Body>> {
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", "application/json");
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        Ok(response.body(Body::from(self.body.to_string()))?)
    }
}
