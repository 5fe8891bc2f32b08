//! The calls of the client's functions: collected as the model makes them, and handed to the client once its response is
//! whole. Shared by both kinds of reply.
//!
//! Codex tells of each call in `rawResponseItem/completed` and of the end of a response in `rawResponse/completed`. Where
//! the model's stream breaks, that end never comes, and the calls come again. So none is told before its response is whole.

use serde::Deserialize;
use serde_json::Value;

use super::ending::interrupted;
use super::heading::{ANSWER, Heading};
use super::strict::{self, StepBudget, ValidationError};
use crate::bindings::airlock::policy::types::{Ending, Notification, Problem};
use crate::bindings::exports::airlock::policy::translate::Handoff;
use crate::notes::PlanNotes;
use crate::problem::upstream;
use crate::tools::{self, FunctionCall, ToolNotes};

/// The namespace that a model may put before a plain function. Codex (0.169) takes it for none.
const NAMESPACE: &str = "functions";

/// Bytes of arguments that are read to see whether their turn can wait: values take many times the room of their text.
const READ_AT_MOST: usize = 1024 * 1024;

/// The calls of one reply.
#[derive(Debug)]
pub(super) struct FunctionCalls {
    tools: ToolNotes,
    /// The request's name, for ids that Codex does not give.
    request: String,
    /// What the response in progress has called so far: the client's functions, by the client's names.
    calls: Vec<FunctionCall<'static>>,
    /// Something else than a call of the client's, or than a call told once, is in the response.
    odd: bool,
    /// A response with calls is whole: what it holds is told, and there is no more.
    whole: bool,
    /// Why the calls are not told after all.
    unmet: Option<Problem>,
}

/// Of `rawResponseItem/completed`, what matters here.
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
    /// Of the functions that the notes offer. A fan-out has none.
    pub(super) fn of(heading: &Heading, notes: &mut PlanNotes) -> Self {
        let tools = notes.tools.take().filter(|_| notes.fan_out.is_none());
        let request = heading.id.strip_prefix("chatcmpl-").unwrap_or(&heading.id);
        Self {
            tools: tools.unwrap_or_default(),
            request: request.to_owned(),
            calls: Vec::new(),
            odd: false,
            whole: false,
            unmet: None,
        }
    }

    /// Whether there may be calls.
    pub(super) fn are_expected(&self) -> bool {
        !self.tools.offered.is_empty()
    }

    /// Whether a response with calls is whole. Nothing is to be heard after that.
    pub(super) fn are_whole(&self) -> bool {
        self.whole
    }

    /// Takes in what Codex says of the answer's turn. True once a response with calls is whole: then they are to be handed
    /// off. A response without any leaves the turn going.
    pub(super) fn receive(&mut self, notification: &Notification) -> bool {
        if !self.are_expected() {
            return false;
        }
        match notification.method.as_str() {
            "rawResponseItem/completed" => self.receive_item(&notification.params),
            "rawResponse/completed" => self.end(),
            _ => {}
        }
        self.whole
    }

    fn receive_item(&mut self, params: &str) {
        let Ok(CompletedItemParams { item }) = serde_json::from_str(params) else {
            self.odd = true;
            return;
        };
        match item.r#type.as_str() {
            "function_call" => {}
            // The stream broke: what was called until then is all there will be, and Codex waits for none of it.
            "function_call_output" => {
                self.odd = true;
                return self.end();
            }
            _ => return,
        }
        let ours = item
            .namespace
            .is_none_or(|namespace| namespace == NAMESPACE);
        let name = item.name.filter(|_| ours);
        let Some(offered) = name.and_then(|name| self.tools.called(&name)) else {
            // Codex answers this one.
            self.odd = true;
            return;
        };
        let call = FunctionCall {
            id: item.call_id.unwrap_or_default().into(),
            name: offered.name.clone().into(),
            arguments: item.arguments.unwrap_or_default().into(),
        };
        self.add(call);
    }

    /// There is no more of this response. One without calls leaves the turn going.
    fn end(&mut self) {
        self.whole = !self.calls.is_empty();
        self.odd &= self.whole;
    }

    /// A call that is told again takes the place of the first telling. Whether Codex waits for both is not known.
    fn add(&mut self, call: FunctionCall<'static>) {
        let before = self.calls.len();
        self.calls
            .retain(|earlier| earlier.id.is_empty() || earlier.id != call.id);
        self.odd |= self.calls.len() < before;
        self.calls.push(call);
    }

    /// Hands the calls to the client. `text` is the digest of what was told as content; None where that is void, and then
    /// no call is told.
    pub(super) fn hand_off(&mut self, text: Option<String>) -> Handoff {
        let nameless = self.calls.iter().any(|call| call.id.is_empty());
        self.name_nameless();
        let cut = self.tools.single && self.calls.len() > 1;
        if cut {
            self.calls.truncate(1);
        }
        let steps = StepBudget::default();
        self.unmet = self
            .calls
            .iter()
            .find_map(|call| self.unmet_by(call, &steps));
        if self.unmet.is_some() || text.is_none() {
            self.calls.clear();
        }
        let readable = self.calls.iter().all(|call| is_json(&call.arguments));
        let stays = readable && !(self.calls.is_empty() || self.odd || nameless || cut);
        let key = text
            .filter(|_| stays)
            .map(|text| tools::key(&self.tools.conversation, &text, &self.calls));
        Handoff {
            source: ANSWER,
            key,
        }
    }

    /// Gives ids to calls that have none: clients match results by them.
    fn name_nameless(&mut self) {
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

    /// What is wrong with the arguments of a call that must satisfy a schema.
    fn unmet_by(&self, call: &FunctionCall<'_>, steps: &StepBudget) -> Option<Problem> {
        let offered = self.tools.offered.iter();
        let schema = offered
            .filter(|offered| offered.name == call.name)
            .find_map(|offered| offered.strict.as_deref())?;
        let name = &call.name;
        Some(match strict::check(schema, &call.arguments, steps).err()? {
            ValidationError::Violation(fault) => upstream(
                "strict_unmet",
                &format!(
                    "the model called `{name}` with arguments that its `strict` schema does not allow: {fault}; send the request again"
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

    /// The calls that the client is told. None before they are whole.
    pub(super) fn complete(&self) -> &[FunctionCall<'static>] {
        if self.whole { &self.calls } else { &[] }
    }

    /// Why the answer ends, where `reason` is what the ending alone says.
    pub(super) fn conclude(
        &self,
        ending: &Ending,
        reason: &'static str,
    ) -> Result<&'static str, Problem> {
        if let Some(problem) = &self.unmet {
            return Err(problem.clone());
        }
        match ending {
            Ending::Completed | Ending::HandedOff if !self.complete().is_empty() => {
                Ok("tool_calls")
            }
            Ending::HandedOff => Err(interrupted()),
            Ending::Completed if self.tools.required => Err(upstream(
                "tool_choice_unmet",
                "the model answered without the function call that `tool_choice` asks for; send the request again, or allow an answer in words with `tool_choice: \"auto\"`",
            )),
            Ending::Completed | Ending::Incomplete(_) | Ending::Interrupted | Ending::Failed(_) => {
                Ok(reason)
            }
        }
    }
}

/// As Codex reads arguments: whole values, no deeper than serde goes, and no half of a surrogate pair.
fn is_json(text: &str) -> bool {
    text.len() <= READ_AT_MOST && serde_json::from_str::<Value>(text).is_ok()
}
