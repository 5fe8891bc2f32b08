//! The calls of the client's functions: collected as the model makes them, and sent to the client once the model's
//! response is complete. Used for streamed and collected replies.
//!
//! Codex reports each call in `rawResponseItem/completed` and the end of a response in `rawResponse/completed`. If
//! the model's stream breaks, that end never comes and the calls are repeated. So no call is sent before its response
//! is complete.

use serde::Deserialize;
use serde_json::Value;

use super::ending::FinishReason;
use super::heading::{ANSWER, Heading};
use super::strict::{self, StepBudget, ValidationError};
use crate::bindings::airlock::policy::types::{Ending, Notification, Problem};
use crate::bindings::exports::airlock::policy::translate::Handoff;
use crate::notes::PlanNotes;
use crate::problem::{turn_interrupted, upstream};
use crate::tools::{self, FunctionCall, ToolNotes};

/// The namespace that a model may put before a plain function. Codex (0.169) treats it as none.
const NAMESPACE: &str = "functions";

/// The most bytes of arguments that are parsed to see whether their turn can wait: parsed values take many times the
/// memory of their text.
const READ_AT_MOST: usize = 1024 * 1024;

/// The calls of one reply.
#[derive(Debug)]
pub(super) struct FunctionCalls {
    tools: ToolNotes,
    /// The request's id, from which the ids of calls are made if Codex reports none.
    request: String,
    /// The calls of the response in progress, by the client's names.
    calls: Vec<FunctionCall<'static>>,
    /// The response contains something else than distinct calls of the client's functions.
    irregular: bool,
    /// A response with calls is complete: no more events are received.
    complete: bool,
    /// Why the calls are not sent after all.
    strict_problem: Option<Problem>,
}

/// The fields of `rawResponseItem/completed` that are used.
#[derive(Deserialize)]
struct CompletedItemParams {
    item: CompletedItem,
}

#[derive(Deserialize)]
struct CompletedItem {
    r#type: String,
    namespace: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    call_id: Option<String>,
}

impl FunctionCalls {
    /// For the functions that the notes offer. A fan-out has none.
    pub(super) fn of(heading: &Heading, notes: &mut PlanNotes) -> Self {
        let tools = notes.tools.take().filter(|_| notes.fan_out.is_none());
        Self {
            tools: tools.unwrap_or_default(),
            request: heading.request_name().to_owned(),
            calls: Vec::new(),
            irregular: false,
            complete: false,
            strict_problem: None,
        }
    }

    /// Whether the model may make calls.
    pub(super) fn are_expected(&self) -> bool {
        !self.tools.offered.is_empty()
    }

    /// Whether a response with calls is complete. No event may be received after that.
    pub(super) fn are_complete(&self) -> bool {
        self.complete
    }

    /// Receives a notification about the answer's turn. True once a response with calls is complete: then they are to
    /// be handed off. After a response without calls the turn continues.
    pub(super) fn receive(&mut self, notification: &Notification) -> bool {
        if !self.are_expected() {
            return false;
        }
        match notification.method.as_str() {
            "rawResponseItem/completed" => self.receive_item(&notification.params),
            "rawResponse/completed" => self.end_response(),
            _ => {}
        }
        self.complete
    }

    fn receive_item(&mut self, params: &str) {
        let Ok(CompletedItemParams { item }) = serde_json::from_str(params) else {
            self.irregular = true;
            return;
        };
        match item.r#type.as_str() {
            "function_call" => {}
            // The stream broke: no more calls follow, and Codex waits for none of them.
            "function_call_output" => {
                self.irregular = true;
                return self.end_response();
            }
            _ => return,
        }
        let ours = item
            .namespace
            .is_none_or(|namespace| namespace == NAMESPACE);
        let name = item.name.filter(|_| ours);
        let Some(offered) = name.and_then(|name| self.tools.by_upstream_name(&name)) else {
            // Codex answers this call itself.
            self.irregular = true;
            return;
        };
        let call = FunctionCall {
            id: item.call_id.unwrap_or_default().into(),
            name: offered.name.clone().into(),
            arguments: item.arguments.unwrap_or_default().into(),
        };
        self.add(call);
    }

    /// Ends the response. If it has no calls, the turn continues.
    fn end_response(&mut self) {
        self.complete = !self.calls.is_empty();
        self.irregular &= self.complete;
    }

    /// Adds a call. A repeated call replaces the first one; it is unknown whether Codex waits for both.
    fn add(&mut self, call: FunctionCall<'static>) {
        let before = self.calls.len();
        self.calls
            .retain(|earlier| earlier.id.is_empty() || earlier.id != call.id);
        self.irregular |= self.calls.len() < before;
        self.calls.push(call);
    }

    /// Hands the calls to the client. `text` is the digest of the content that was sent; None if that is void, and
    /// then no call is sent.
    pub(super) fn hand_off(&mut self, text: Option<String>) -> Handoff {
        let without_id = self.calls.iter().any(|call| call.id.is_empty());
        self.assign_ids();
        let truncated = self.tools.single && self.calls.len() > 1;
        if truncated {
            self.calls.truncate(1);
        }
        let steps = StepBudget::default();
        self.strict_problem = self
            .calls
            .iter()
            .find_map(|call| self.check_strict(call, &steps));
        if self.strict_problem.is_some() || text.is_none() {
            self.calls.clear();
        }
        let readable = self.calls.iter().all(|call| is_json(&call.arguments));
        let can_wait =
            readable && !(self.calls.is_empty() || self.irregular || without_id || truncated);
        let key = text
            .filter(|_| can_wait)
            .map(|text| tools::key(&self.tools.conversation, &text, &self.calls));
        Handoff {
            source: ANSWER,
            key,
        }
    }

    /// Gives ids to calls that have none: clients match results by id.
    fn assign_ids(&mut self) {
        for index in 0..self.calls.len() {
            if self.calls.get(index).is_none_or(|call| !call.id.is_empty()) {
                continue;
            }
            let mut id = format!("call_{}_{index}", self.request);
            while self.calls.iter().any(|call| call.id == id) {
                id.push('_');
            }
            if let Some(call) = self.calls.get_mut(index) {
                call.id = id.into();
            }
        }
    }

    /// Why the arguments of a call do not satisfy its schema, if it has one.
    fn check_strict(&self, call: &FunctionCall<'_>, steps: &StepBudget) -> Option<Problem> {
        let offered = self.tools.offered.iter();
        let schema = offered
            .filter(|offered| offered.name == call.name)
            .find_map(|offered| offered.strict.as_deref())?;
        let name = &call.name;
        Some(match strict::check(schema, &call.arguments, steps).err()? {
            ValidationError::Violation(violation) => upstream(
                "strict_unmet",
                &format!(
                    "the model called `{name}` with arguments that its `strict` schema does not allow: {violation}; send the request again"
                ),
            ),
            ValidationError::Unchecked => upstream(
                "strict_unchecked",
                &format!(
                    "the model called `{name}` with arguments that take too long to check against its `strict` schema: make the schema simpler, or leave out `strict`"
                ),
            ),
        })
    }

    /// The calls that are sent to the client. None before the response is complete.
    pub(super) fn to_send(&self) -> &[FunctionCall<'static>] {
        if self.complete { &self.calls } else { &[] }
    }

    /// The reason of the response's end, where `reason` is that of the ending alone.
    pub(super) fn conclude(
        &self,
        ending: &Ending,
        reason: FinishReason,
    ) -> Result<FinishReason, Problem> {
        if let Some(problem) = &self.strict_problem {
            return Err(problem.clone());
        }
        match ending {
            Ending::Completed | Ending::HandedOff if !self.to_send().is_empty() => {
                Ok(FinishReason::Calls)
            }
            Ending::HandedOff => Err(turn_interrupted()),
            Ending::Completed if self.tools.required => Err(upstream(
                "tool_choice_unmet",
                "the model answered without the function call that `tool_choice` requires; send the request again, or allow a text answer with `tool_choice: \"auto\"`",
            )),
            Ending::Completed | Ending::Incomplete(_) | Ending::Interrupted | Ending::Failed(_) => {
                Ok(reason)
            }
        }
    }
}

/// Whether Codex can parse the arguments: values within serde's depth, without lone surrogates.
fn is_json(text: &str) -> bool {
    text.len() <= READ_AT_MOST && serde_json::from_str::<Value>(text).is_ok()
}
