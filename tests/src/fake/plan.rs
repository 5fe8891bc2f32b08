//! The plan of a scripted turn: its steps and its ending.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Gate;

/// The steps of a turn, in order, and its ending.
#[derive(Clone, Debug, Default)]
pub struct TurnPlan {
    pub(super) steps: Vec<TurnStep>,
    /// `turn/started` waits for this gate. Until then `turn/interrupt` fails, as with Codex.
    pub(super) start: Option<Gate>,
    /// The response to `turn/start` is sent at `TurnStep::Respond`, or never.
    pub(super) late_response: bool,
    pub(super) ignores_interrupt: bool,
    pub(super) usage: UsageReport,
    pub(super) ending: TurnEnding,
    /// The process exits right after the turn, with this code.
    pub(super) exit: Option<i32>,
}

/// Tokens of one upstream request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Cached tokens among `input`.
    pub cached: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Reasoning tokens among `output`.
    pub reasoning: u64,
}

#[derive(Clone, Debug)]
pub(super) enum TurnStep {
    /// A delta of the open message. Starts one if none is open.
    Text(String),
    /// Ends the open message, and starts another.
    Message(Option<&'static str>),
    /// Ends the open message.
    EndMessage,
    /// The model's text of the open message, out of which Codex cut something.
    Written(String),
    /// Drops the open message: it is never completed.
    DropMessage,
    /// A message without deltas.
    Whole(String, Option<&'static str>),
    Reasoning {
        text: String,
        raw: bool,
    },
    /// A further part of the reasoning's summary.
    ReasoningPart,
    Usage(Usage),
    /// The model calls a tool.
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    /// The model's response ends.
    EndResponse,
    /// Deltas as fast as they can be written.
    Burst {
        count: usize,
        bytes: usize,
    },
    /// A notification with these parameters, to which `threadId` and `turnId` are added.
    Notify(String, Value),
    /// Bytes followed by a line feed.
    Line(Vec<u8>),
    /// The model's stream broke: the open item is dropped, and Codex announces a retry.
    Reconnect(Value),
    /// A server request. The turn waits for its response.
    Request(String, Value),
    Hold(Gate),
    Pause(Duration),
    Respond,
    Hang,
    Exit(i32),
}

/// How the turn reports tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UsageReport {
    /// For each response of the model: 100 input tokens, and an output token for each delta and each call.
    #[default]
    AtTheEnd,
    /// Where the steps say so, and not otherwise.
    AsScripted,
}

#[derive(Clone, Debug, Default)]
pub(super) enum TurnEnding {
    #[default]
    Completed,
    Failed {
        info: Value,
        message: String,
    },
}

impl TurnPlan {
    /// A delta of the current message.
    #[must_use]
    pub fn text(self, delta: &str) -> Self {
        self.step(TurnStep::Text(delta.to_owned()))
    }

    /// Ends the current message, and starts another in `phase`: `None`, `commentary` or `final_answer`.
    #[must_use]
    pub fn message(self, phase: Option<&'static str>) -> Self {
        self.step(TurnStep::Message(phase))
    }

    /// Ends the current message.
    #[must_use]
    pub fn end_message(self) -> Self {
        self.step(TurnStep::EndMessage)
    }

    /// Sets the model's text of the current message, whose deltas are what Codex left of it.
    #[must_use]
    pub fn written(self, whole: &str) -> Self {
        self.step(TurnStep::Written(whole.to_owned()))
    }

    /// Drops the current message, which is never completed: Codex could not parse the model's text.
    #[must_use]
    pub fn drop_message(self) -> Self {
        self.step(TurnStep::DropMessage)
    }

    /// A message without deltas.
    #[must_use]
    pub fn whole(self, text: impl Into<String>, phase: Option<&'static str>) -> Self {
        self.step(TurnStep::Whole(text.into(), phase))
    }

    /// A delta of the reasoning summary.
    #[must_use]
    pub fn reasoning(self, delta: &str) -> Self {
        self.step(TurnStep::Reasoning {
            text: delta.to_owned(),
            raw: false,
        })
    }

    /// Starts another part of the reasoning summary.
    #[must_use]
    pub fn reasoning_part(self) -> Self {
        self.step(TurnStep::ReasoningPart)
    }

    /// A delta of the raw reasoning.
    #[must_use]
    pub fn raw_reasoning(self, delta: &str) -> Self {
        self.step(TurnStep::Reasoning {
            text: delta.to_owned(),
            raw: true,
        })
    }

    /// Reports usage of one upstream request here. Several add up, and replace the default report at the end. After calls
    /// it is reported once they have results, as Codex does.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = UsageReport::AsScripted;
        self.step(TurnStep::Usage(usage))
    }

    /// The model calls a tool in its current response. Consecutive calls are one batch. Any other step begins the next
    /// response, and waits for the calls' results. `arguments` need not be JSON. A `*` in the ID becomes a unique number.
    #[must_use]
    pub fn call(self, id: &str, name: &str, arguments: impl Into<String>) -> Self {
        self.step(TurnStep::Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.into(),
        })
    }

    /// Ends the model's response. The next begins once its calls have results.
    #[must_use]
    pub fn respond(self) -> Self {
        self.step(TurnStep::EndResponse)
    }

    /// Reports no usage, as when the upstream reports none.
    #[must_use]
    pub fn no_usage(mut self) -> Self {
        self.usage = UsageReport::AsScripted;
        self
    }

    /// Emits `count` deltas of `bytes` each, without a pause.
    #[must_use]
    pub fn burst(self, count: usize, bytes: usize) -> Self {
        self.step(TurnStep::Burst { count, bytes })
    }

    /// Emits any notification of this turn.
    #[must_use]
    pub fn notify(self, method: &str, params: Value) -> Self {
        self.step(TurnStep::Notify(method.to_owned(), params))
    }

    /// Writes a line unchanged, JSON or not.
    #[must_use]
    pub fn line(self, line: impl Into<Vec<u8>>) -> Self {
        self.step(TurnStep::Line(line.into()))
    }

    /// The upstream's stream broke with this HTTP status, if any, and Codex retries.
    #[must_use]
    pub fn reconnect(self, status: Option<u16>) -> Self {
        self.step(TurnStep::Reconnect(
            json!({"responseStreamDisconnected": {"httpStatusCode": status}}),
        ))
    }

    /// Sends a server request to the gateway. The turn continues after any response.
    #[must_use]
    pub fn ask(self, method: &str, params: Value) -> Self {
        self.step(TurnStep::Request(method.to_owned(), params))
    }

    /// Waits until the gate is open.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(TurnStep::Hold(gate.clone()))
    }

    /// Sleeps, for measurements at a model's pace.
    #[must_use]
    pub fn pause(self, time: Duration) -> Self {
        self.step(TurnStep::Pause(time))
    }

    /// Runs until it is interrupted.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(TurnStep::Hang)
    }

    /// The process exits here, once all previous output is written.
    #[must_use]
    pub fn exit(self, code: i32) -> Self {
        self.step(TurnStep::Exit(code))
    }

    /// The turn fails. `info` is Codex's `codexErrorInfo`.
    #[must_use]
    pub fn fail(mut self, info: impl Into<Value>, message: &str) -> Self {
        self.ending = TurnEnding::Failed {
            info: info.into(),
            message: message.to_owned(),
        };
        self
    }

    /// The process exits right after the turn.
    #[must_use]
    pub fn then_exit(mut self, code: i32) -> Self {
        self.exit = Some(code);
        self
    }

    /// Sends the response to `turn/start` here, after the previous notifications.
    #[must_use]
    pub fn respond_here(mut self) -> Self {
        self.late_response = true;
        self.step(TurnStep::Respond)
    }

    /// Never responds to `turn/start`.
    #[must_use]
    pub fn never_respond(mut self) -> Self {
        self.late_response = true;
        self
    }

    /// Delays `turn/started` until the gate is open.
    #[must_use]
    pub fn start_at(mut self, gate: &Gate) -> Self {
        self.start = Some(gate.clone());
        self
    }

    /// Ignores `turn/interrupt`, and never responds to it.
    #[must_use]
    pub fn ignore_interrupt(mut self) -> Self {
        self.ignores_interrupt = true;
        self
    }

    fn step(mut self, step: TurnStep) -> Self {
        self.steps.push(step);
        self
    }
}
