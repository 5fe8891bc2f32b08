//! The tool calls of a turn, and the results that are sent to Codex.

use std::collections::HashMap;

use airlock_wire::decode::ToolCallParams;
use serde_json::value::RawValue;

use super::SharedTurn;
use airlock_types::wit::Usage;

/// The result of a tool call, encoded for Codex.
#[derive(Debug)]
pub struct EncodedToolResult {
    /// The call's id.
    pub call: String,
    /// A `DynamicToolCallResponse`.
    pub(crate) result: Box<RawValue>,
}

/// The id of an `item/tool/call` request, and the result to respond with.
pub(crate) type ToolReply = (Box<RawValue>, Box<RawValue>);

/// The tool calls for one response to a client.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    /// Calls whose results Codex waits for: the call's id and the request's id.
    pub(super) open: Vec<(String, Box<RawValue>)>,
    /// Replies for the turn's task to send.
    pub(super) replies: Vec<ToolReply>,
    /// Results that Codex has not requested yet. Codex 0.163.0 requests one after the other, 0.169.0 all at once.
    pub(super) early_results: HashMap<String, Box<RawValue>>,
    /// Calls of the model without a result.
    pub(super) unanswered: Vec<String>,
    /// Whether the model has called a tool.
    pub(super) any: bool,
    /// Whether the model's response is complete, with all its calls.
    pub(super) response_complete: bool,
    /// Whether Codex has accepted a result.
    pub(super) result_accepted: bool,
    /// Codex was sent empty results (`SharedTurn::probe`): the turn cannot be parked any more.
    pub(super) probed: bool,
    /// The tokens that the turn, with tools or without, has used since it started or was resumed.
    pub(super) usage: Option<Usage>,
}

impl ToolCalls {
    /// Records that the model calls a tool. Its response goes on.
    pub(super) fn called(&mut self, call: &str) {
        self.unanswered.push(call.to_owned());
        self.any = true;
        self.response_complete = false;
    }

    /// Records that Codex sends the result of a call to the model. True: the call was probed, so the turn ends here.
    pub(super) fn returned(&mut self, call: &str) -> bool {
        self.unanswered.retain(|unanswered| unanswered != call);
        self.probed
    }

    /// Records that Codex has accepted a result.
    pub(super) fn result_accepted(&mut self) {
        self.result_accepted = true;
    }

    /// Records that the model's response is complete. True: its calls were probed, so the turn ends here.
    pub(super) fn response_completed(&mut self) -> bool {
        self.response_complete = true;
        self.probed
    }

    /// Sets the usage of all responses of the turn.
    pub(super) fn set_usage(&mut self, total: Usage) {
        self.usage = Some(total);
    }

    /// Adds the usage of one response, and returns the sum.
    pub(super) fn add_usage(&mut self, response: Usage) -> Usage {
        let sum = match self.usage {
            None => response,
            Some(before) => Usage {
                input: before.input.saturating_add(response.input),
                cached: before.cached.saturating_add(response.cached),
                output: before.output.saturating_add(response.output),
                reasoning: before.reasoning.saturating_add(response.reasoning),
            },
        };
        self.usage = Some(sum);
        sum
    }
}

impl SharedTurn {
    /// Records Codex's request for the result of a call. False: this turn has no tools, or the request is of another turn.
    pub(crate) fn tool_requested(&self, call: &ToolCallParams<'_>, request: &RawValue) -> bool {
        let mut state = self.lock();
        let id = state.id.as_deref();
        if !state.has_tools || id.is_some_and(|id| id != call.turn_id) {
            return false;
        }
        let calls = &mut state.calls;
        let call = call.call_id.clone().into_owned();
        let result = match calls.probed {
            // Once probed, the turn gets an empty result for every call.
            true => Some(empty_result()),
            false => calls.early_results.remove(&call),
        };
        let has_replies = result.is_some();
        match result {
            Some(result) => calls.replies.push((request.to_owned(), result)),
            None => calls.open.push((call, request.to_owned())),
        }
        let open_calls = calls.open.len();
        drop(state);
        self.progress.send_modify(|progress| {
            progress.open_calls = open_calls;
            progress.has_replies |= has_replies;
        });
        true
    }

    /// Responds to every open call with an empty result. Codex then reports what it does not report while it waits: whether
    /// the model's stream has ended incomplete (0.169.0). The turn ends with that report.
    ///
    /// False: the model's response is complete, so the reply should have parked or dropped the turn by now.
    pub(crate) fn probe(&self) -> bool {
        let mut state = self.lock();
        let calls = &mut state.calls;
        if calls.response_complete {
            return false;
        }
        calls.probed = true;
        let open = std::mem::take(&mut calls.open).into_iter();
        calls.replies = open.map(|(_, request)| (request, empty_result())).collect();
        drop(state);
        self.progress.send_modify(|progress| {
            progress.open_calls = 0;
            progress.has_replies = true;
        });
        true
    }

    /// Takes the replies to send to Codex, and whether the turn was resumed, which restarts its clock.
    pub(crate) fn take_replies(&self) -> (Vec<ToolReply>, bool) {
        self.progress
            .send_modify(|progress| progress.has_replies = false);
        let calls = &mut self.lock().calls;
        (std::mem::take(&mut calls.replies), !calls.probed)
    }
}

/// The result of a call that no client will provide.
fn empty_result() -> Box<RawValue> {
    RawValue::from_string(r#"{"contentItems":[],"success":false}"#.to_owned())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}
