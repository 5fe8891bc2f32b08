//! Scripted answers of the model: the steps and ending of a stream, or an HTTP error.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use super::ModelRequest;
use crate::Gate;
use crate::fake::Usage;

/// A scripted answer of the model.
#[derive(Clone, Debug)]
pub struct ModelAnswer {
    pub(super) steps: Vec<AnswerStep>,
    pub(super) ending: AnswerEnding,
    pub(super) usage: Option<Usage>,
    pub(super) refusal: Option<HttpRefusal>,
}

#[derive(Clone, Debug)]
pub(super) enum AnswerStep {
    Text(String),
    Message(Option<&'static str>),
    Whole(String),
    Refusal {
        text: String,
        streamed: bool,
    },
    /// Any output item.
    Item(Value),
    /// Deltas at an interval.
    Paced {
        count: usize,
        interval: Duration,
    },
    Reasoning {
        text: String,
        raw: bool,
    },
    /// The encrypted content of the current reasoning.
    Encrypted(String),
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    Hold(Gate),
    Hang,
}

#[derive(Clone, Debug)]
pub(super) enum AnswerEnding {
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
    /// The connection breaks within the body.
    Disconnect,
    /// The body ends without a final event.
    Eof,
}

/// An HTTP error in place of a stream.
#[derive(Clone, Debug)]
pub(super) struct HttpRefusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// Selects requests.
#[derive(Clone, Debug)]
pub(super) enum RequestMatcher {
    /// The user's last message contains this.
    UserText(String),
    /// The instructions contain this.
    Instructions(String),
    /// The conversation ends with results, and this call's is among them.
    Answered(String),
    /// The user's last message contains this, and is followed by this many calls.
    Round(String, usize),
}

impl RequestMatcher {
    fn matches(&self, request: &ModelRequest) -> bool {
        match self {
            Self::UserText(needle) => request.user_text().contains(needle),
            Self::Instructions(needle) => request.instructions().contains(needle),
            Self::Answered(id) => request.brings(id),
            Self::Round(needle, made) => {
                request.user_text().contains(needle) && request.calls_since_user() == *made
            }
        }
    }
}

/// The answers of a model: those for selected requests, a queue, and a default.
#[derive(Debug, Default)]
pub(super) struct AnswerQueue {
    pub(super) matching: Vec<(RequestMatcher, ModelAnswer)>,
    pub(super) next: VecDeque<ModelAnswer>,
    pub(super) otherwise: Option<ModelAnswer>,
}

impl AnswerQueue {
    pub(super) fn take(&mut self, request: &ModelRequest) -> ModelAnswer {
        if let Some((_, answer)) = self
            .matching
            .iter()
            .find(|(matcher, _)| matcher.matches(request))
        {
            return answer.clone();
        }
        let next = self.next.pop_front().or_else(|| self.otherwise.clone());
        next.unwrap_or_else(|| ModelAnswer::words(&format!("You said: {}", request.user_text())))
    }
}

impl ModelAnswer {
    /// An empty answer that completes.
    pub fn new() -> Self {
        let usage = Usage {
            input: 100,
            output: 5,
            ..Usage::default()
        };
        Self {
            steps: Vec::new(),
            ending: AnswerEnding::Completed,
            usage: Some(usage),
            refusal: None,
        }
    }

    /// A message with a delta for each word.
    pub fn words(text: &str) -> Self {
        text.split_inclusive(' ').fold(Self::new(), Self::text)
    }

    /// An HTTP error. `code` is the error's code and type.
    pub fn status(status: u16, code: &str) -> Self {
        let body =
            json!({"error": {"message": format!("scripted {status}"), "type": code, "code": code}});
        Self {
            refusal: Some(HttpRefusal {
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

    /// Adds a header to the HTTP error.
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
        self.step(AnswerStep::Text(delta.to_owned()))
    }

    /// Ends the current message, and starts another in `phase`: `None`, `commentary` or `final_answer`.
    #[must_use]
    pub fn message(self, phase: Option<&'static str>) -> Self {
        self.step(AnswerStep::Message(phase))
    }

    /// `count` deltas of one word, one per `interval`. For measurements only: tests wait for events, not for time.
    #[must_use]
    pub fn paced(self, count: usize, interval: Duration) -> Self {
        self.step(AnswerStep::Paced { count, interval })
    }

    /// A message without deltas.
    #[must_use]
    pub fn whole(self, text: impl Into<String>) -> Self {
        self.step(AnswerStep::Whole(text.into()))
    }

    /// A refusal as another part of the current message, or of a new one, with a delta for each word if `streamed`.
    #[must_use]
    pub fn refusal(self, text: &str, streamed: bool) -> Self {
        self.step(AnswerStep::Refusal {
            text: text.to_owned(),
            streamed,
        })
    }

    /// Any output item, without deltas.
    #[must_use]
    pub fn item(self, item: Value) -> Self {
        self.step(AnswerStep::Item(item))
    }

    /// A delta of the reasoning summary.
    #[must_use]
    pub fn reasoning(self, delta: &str) -> Self {
        self.step(AnswerStep::Reasoning {
            text: delta.to_owned(),
            raw: false,
        })
    }

    /// A delta of the raw reasoning.
    #[must_use]
    pub fn raw_reasoning(self, delta: &str) -> Self {
        self.step(AnswerStep::Reasoning {
            text: delta.to_owned(),
            raw: true,
        })
    }

    /// The encrypted content of the current reasoning, which the item has once it is complete.
    #[must_use]
    pub fn encrypted(self, content: &str) -> Self {
        self.step(AnswerStep::Encrypted(content.to_owned()))
    }

    /// A tool call. Consecutive calls are one batch. `arguments` need not be JSON.
    #[must_use]
    pub fn call(self, id: &str, name: &str, arguments: impl Into<String>) -> Self {
        self.step(AnswerStep::Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.into(),
        })
    }

    /// Waits until the gate is open.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(AnswerStep::Hold(gate.clone()))
    }

    /// Sends nothing more, and does not end.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(AnswerStep::Hang)
    }

    /// Sets the reported usage. The default is 100 input and 5 output tokens.
    #[must_use]
    pub fn usage(mut self, usage: Option<Usage>) -> Self {
        self.usage = usage;
        self
    }

    /// Ends with `response.incomplete` for this reason: `max_output_tokens` or `content_filter`.
    #[must_use]
    pub fn incomplete(mut self, reason: &'static str) -> Self {
        self.ending = AnswerEnding::Incomplete { reason };
        self
    }

    /// Ends with `response.failed`.
    #[must_use]
    pub fn failed(mut self, code: &'static str) -> Self {
        self.ending = AnswerEnding::Failed { code };
        self
    }

    /// Ends with an `error` event.
    #[must_use]
    pub fn error_event(mut self, code: &'static str) -> Self {
        self.ending = AnswerEnding::ErrorEvent { code };
        self
    }

    /// Breaks the connection within the body.
    #[must_use]
    pub fn disconnect(mut self) -> Self {
        self.ending = AnswerEnding::Disconnect;
        self
    }

    /// Ends the body without a final event.
    #[must_use]
    pub fn eof(mut self) -> Self {
        self.ending = AnswerEnding::Eof;
        self
    }

    /// The number of its tool calls.
    pub(super) fn calls(&self) -> usize {
        let is_call = |step: &&AnswerStep| matches!(step, AnswerStep::Call { .. });
        self.steps.iter().filter(is_call).count()
    }

    fn step(mut self, step: AnswerStep) -> Self {
        self.steps.push(step);
        self
    }
}

impl Default for ModelAnswer {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpRefusal {
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
