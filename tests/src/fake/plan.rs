//! What a scripted turn does, step by step.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Gate;

/// A turn as the test wants it: steps in order, and how it ends.
#[derive(Clone, Debug, Default)]
pub struct TurnPlan {
    pub(super) steps: Vec<Step>,
    /// Waits here before `turn/started`. Until then `turn/interrupt` fails, as with Codex.
    pub(super) start: Option<Gate>,
    /// The response to `turn/start` comes where a `Step::Respond` stands, or never.
    pub(super) late_response: bool,
    pub(super) deaf: bool,
    pub(super) usage: UsageReport,
    pub(super) ending: Ending,
    /// The process ends right after the turn, with this code.
    pub(super) exit: Option<i32>,
}

/// Tokens of one upstream request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Of `input`, those from the cache.
    pub cached: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Of `output`, those of reasoning.
    pub reasoning: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A delta of the open message; opens one if none is.
    Text(String),
    /// Ends the open message and opens another.
    Message(Option<&'static str>),
    /// Ends the open message.
    EndMessage,
    /// What the model wrote of the open message, where Codex cut something out of it.
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
    /// The response of the model is whole.
    EndResponse,
    /// So many deltas of so many bytes, as fast as they can be written.
    Burst {
        count: usize,
        bytes: usize,
    },
    /// A notification with these parameters, `threadId` and `turnId` added.
    Notify(String, Value),
    /// Bytes as they are, and the end of a line.
    Line(Vec<u8>),
    /// The stream broke: the open item is dropped, and Codex says that it will try again.
    Reconnect(Value),
    /// A server request. The turn waits for its answer.
    Ask(String, Value),
    Hold(Gate),
    Pause(Duration),
    Respond,
    Hang,
    Exit(i32),
}

/// What the turn says about tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UsageReport {
    /// For each response of the model 100 of input, and one of output for each delta and each call.
    #[default]
    AtTheEnd,
    /// What the steps say, which may be nothing.
    AsScripted,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Ending {
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
        self.step(Step::Text(delta.to_owned()))
    }

    /// Ends the current message and starts another, in `phase`: None, `commentary` or `final_answer`.
    #[must_use]
    pub fn message(self, phase: Option<&'static str>) -> Self {
        self.step(Step::Message(phase))
    }

    /// Ends the current message.
    #[must_use]
    pub fn end_message(self) -> Self {
        self.step(Step::EndMessage)
    }

    /// What the model wrote of the current message: its deltas are what Codex left of that.
    #[must_use]
    pub fn written(self, whole: &str) -> Self {
        self.step(Step::Written(whole.to_owned()))
    }

    /// Drops the current message, which is never completed: Codex could not read what the model wrote.
    #[must_use]
    pub fn drop_message(self) -> Self {
        self.step(Step::DropMessage)
    }

    /// A message that arrives in one item, without deltas.
    #[must_use]
    pub fn whole(self, text: impl Into<String>, phase: Option<&'static str>) -> Self {
        self.step(Step::Whole(text.into(), phase))
    }

    /// A piece of the summary of the model's reasoning.
    #[must_use]
    pub fn reasoning(self, delta: &str) -> Self {
        self.step(Step::Reasoning {
            text: delta.to_owned(),
            raw: false,
        })
    }

    /// A further part of that summary.
    #[must_use]
    pub fn reasoning_part(self) -> Self {
        self.step(Step::ReasoningPart)
    }

    /// A piece of the reasoning itself.
    #[must_use]
    pub fn raw_reasoning(self, delta: &str) -> Self {
        self.step(Step::Reasoning {
            text: delta.to_owned(),
            raw: true,
        })
    }

    /// Usage of one upstream request, here. Several add up, and replace the one at the end. After calls it is told once
    /// they are answered, as Codex does.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = UsageReport::AsScripted;
        self.step(Step::Usage(usage))
    }

    /// The model calls a tool, in the response that it is telling. Several in a row are one batch. What follows other than
    /// calls is the next response, and waits until the calls are answered. `arguments` need not be JSON. A `*` in the id
    /// becomes a number that no other call has.
    #[must_use]
    pub fn call(self, id: &str, name: &str, arguments: impl Into<String>) -> Self {
        self.step(Step::Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.into(),
        })
    }

    /// The model's response ends here, and the next begins once its calls are answered.
    #[must_use]
    pub fn respond(self) -> Self {
        self.step(Step::EndResponse)
    }

    /// No usage at all, as when the upstream reports none.
    #[must_use]
    pub fn no_usage(mut self) -> Self {
        self.usage = UsageReport::AsScripted;
        self
    }

    /// `count` deltas of `bytes` each, without a pause.
    #[must_use]
    pub fn burst(self, count: usize, bytes: usize) -> Self {
        self.step(Step::Burst { count, bytes })
    }

    /// Another notification of this turn.
    #[must_use]
    pub fn notify(self, method: &str, params: Value) -> Self {
        self.step(Step::Notify(method.to_owned(), params))
    }

    /// A line as it is, JSON or not.
    #[must_use]
    pub fn line(self, line: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Line(line.into()))
    }

    /// The upstream's stream broke with this HTTP status, if any, and Codex asks again.
    #[must_use]
    pub fn reconnect(self, status: Option<u16>) -> Self {
        self.step(Step::Reconnect(
            json!({"responseStreamDisconnected": {"httpStatusCode": status}}),
        ))
    }

    /// A request to the gateway. The turn goes on when it is answered, however that may be.
    #[must_use]
    pub fn ask(self, method: &str, params: Value) -> Self {
        self.step(Step::Ask(method.to_owned(), params))
    }

    /// Waits until the test opens the gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Hold(gate.clone()))
    }

    /// Lets this time pass, as a model does between two words. For what is measured at a model's pace.
    #[must_use]
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Goes on for ever: only an interrupt ends it.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// The process ends here, once everything before is written.
    #[must_use]
    pub fn exit(self, code: i32) -> Self {
        self.step(Step::Exit(code))
    }

    /// The turn fails: `info` is Codex's `codexErrorInfo`.
    #[must_use]
    pub fn fail(mut self, info: impl Into<Value>, message: &str) -> Self {
        self.ending = Ending::Failed {
            info: info.into(),
            message: message.to_owned(),
        };
        self
    }

    /// The process ends right after the turn.
    #[must_use]
    pub fn then_exit(mut self, code: i32) -> Self {
        self.exit = Some(code);
        self
    }

    /// `turn/start` is answered here, after the notifications before.
    #[must_use]
    pub fn respond_here(mut self) -> Self {
        self.late_response = true;
        self.step(Step::Respond)
    }

    /// `turn/start` is never answered.
    #[must_use]
    pub fn never_respond(mut self) -> Self {
        self.late_response = true;
        self
    }

    /// `turn/started` waits for the gate.
    #[must_use]
    pub fn start_at(mut self, gate: &Gate) -> Self {
        self.start = Some(gate.clone());
        self
    }

    /// `turn/interrupt` is neither obeyed nor answered.
    #[must_use]
    pub fn ignore_interrupt(mut self) -> Self {
        self.deaf = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
