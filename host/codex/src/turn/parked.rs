//! A turn that has called tools of the client and waits for what came of them.
//!
//! It gives its place to others meanwhile, and its task does not count the time. Codex itself waits without end
//! (0.169.0, recording `36b_client_tool_never_answered_45s`): whoever holds the turn here watches how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlock_wire::decode::ToolCall;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::{Permit, Shared, State, Turn};
use crate::retry_filter::RetryFilter;
use airlock_base::wake_flag::WakeFlag;
use airlock_types::wit::Usage;

/// How long Codex may take to ask for the results of calls that it has told.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// A turn that waits. Dropping it ends the turn.
#[derive(Debug)]
pub struct Parked(Turn);

/// What came of a call, as Codex takes it.
#[derive(Debug)]
pub struct Answer {
    /// The call's id.
    pub call: String,
    /// A `DynamicToolCallResponse`.
    pub(crate) result: Box<RawValue>,
}

/// A request of Codex's, and our answer.
pub(crate) type Given = (Box<RawValue>, Box<RawValue>);

/// What a turn with tools has besides.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Calls that Codex waits for: their ids, and those of its requests.
    open: Vec<(String, Box<RawValue>)>,
    /// What the turn's task is to answer.
    answers: Vec<Given>,
    /// What the turn, with tools or without, has used since it began or went on.
    used: Option<Usage>,
    /// Results that Codex has not asked for yet. 0.163.0 asks for one after the other, 0.169.0 for all at once.
    later: HashMap<String, Box<RawValue>>,
    /// The model's calls of which nothing has come yet.
    pending: Vec<String>,
    /// Whether the model has made any.
    made: bool,
    /// Whether the model's response is whole, with the calls that it made.
    whole: bool,
    /// Whether Codex has taken an answer.
    taken: bool,
    /// Codex was answered before the client: the turn cannot wait for it any more.
    probed: bool,
}

impl Turn {
    /// Has the turn wait, if it can.
    pub fn park(self) -> Option<Parked> {
        let mut state = self.shared.lock();
        let calls = &state.calls;
        if calls.probed || !calls.made || !calls.whole {
            return None;
        }
        state.permit = None;
        state.plain = false;
        drop(state);
        self.shared
            .progress
            .send_modify(|progress| progress.parked = true);
        Some(Parked(self)).filter(Parked::waits)
    }

    /// When Codex last said anything of it.
    pub fn last_received(&self) -> std::time::Instant {
        self.shared.last_received().into_std()
    }

    /// The tokens that it has used since it began or went on. None: Codex has not said.
    pub fn used(&self) -> Option<Usage> {
        self.shared.lock().calls.used
    }

    /// Set whenever the turn has output.
    pub fn wake(&self) -> Arc<WakeFlag> {
        self.shared.wake.clone()
    }
}

impl Parked {
    /// Whether the turn is still there.
    pub fn waits(&self) -> bool {
        let shared = &self.0.shared;
        let progress = *shared.progress.borrow();
        !progress.ended && !progress.abandoned && shared.lock().outcome.is_none()
    }

    /// Has the turn go on with these answers, in a place of its own, as if it had just begun. Codex may take `wait` to take
    /// them. None: the turn does not wait for just these, or its child went before it took any; the turn is gone then.
    pub async fn resume(
        self,
        answers: Vec<Answer>,
        permit: Permit,
        source: u32,
        wait: Duration,
    ) -> Option<Turn> {
        let shared = &self.0.shared;
        // Codex may ask for a result a little after it has said that the calls are all there (0.169.0).
        let mut progress = shared.progress();
        let whole = shared.is_whole(&answers)?;
        // Where these are all calls that there are, the others may be asked for once the first is answered (0.163.0).
        let enough = if whole { 1 } else { answers.len() };
        let called = progress.wait_for(|now| now.open >= enough || now.ended);
        timeout(ASK_WAIT, called).await.ok()?.ok()?;
        shared.go_on(answers, whole, permit, source)?;
        // Who says nothing for so long is ended by the turn's task.
        let taken = timeout(wait, shared.takes()).await;
        taken.unwrap_or(true).then_some(self.0)
    }
}

impl Shared {
    /// Whether Codex has ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress.borrow().ended
    }

    /// A turn that waits for its client is wanted no more. One that has gone on meanwhile is.
    pub(crate) fn abandon_parked(&self) {
        self.progress.send_if_modified(|progress| {
            progress.abandoned |= progress.parked;
            progress.parked
        });
    }

    /// Whether these are the answers to the very calls that the model has made. None: some call would have none.
    fn is_whole(&self, answers: &[Answer]) -> Option<bool> {
        let state = self.lock();
        let pending = &state.calls.pending;
        let is_given = |call: &String| answers.iter().any(|answer| answer.call == *call);
        let whole = answers.len() == pending.len();
        pending.iter().all(is_given).then_some(whole)
    }

    /// None: these are not the answers to what Codex asks. `whole`: it will ask for those that it has not asked for. None also where
    /// it is too late for them.
    fn go_on(&self, answers: Vec<Answer>, whole: bool, permit: Permit, source: u32) -> Option<()> {
        let mut state = self.lock();
        let given = answers.into_iter();
        let mut results: HashMap<String, Box<RawValue>> =
            given.map(|answer| (answer.call, answer.result)).collect();
        let open = std::mem::take(&mut state.calls.open).into_iter();
        let answers = open.map(|(call, request)| Some((request, results.remove(&call)?)));
        let answers = answers.collect::<Option<Vec<_>>>()?;
        if answers.is_empty() || !(whole || results.is_empty()) {
            return None;
        }
        state.begin_again();
        state.permit = Some(permit);
        state.source = source;
        state.calls.answers = answers;
        state.calls.later = results;
        drop(state);
        // Its child may have been told to leave just now.
        let mut goes_on = false;
        self.progress.send_modify(|progress| {
            goes_on = !progress.abandoned && !progress.ended;
            if goes_on {
                progress.parked = false;
                progress.open = 0;
                progress.answers = true;
            }
        });
        goes_on.then_some(())
    }

    /// Waits until Codex has taken an answer. False: its child went without a word.
    async fn takes(&self) -> bool {
        loop {
            let woken = self.wake.notified();
            let (taken, over) = {
                let state = self.lock();
                let taken = state.calls.taken || !state.queue.is_empty();
                (taken, state.outcome.is_some())
            };
            if taken || over {
                return taken || !self.progress.borrow().ended;
            }
            woken.await;
        }
    }

    /// Codex asks for the result of a call. False: this turn has no tools, or is not the one that asks.
    pub(crate) fn called(&self, call: &ToolCall<'_>, request: &RawValue) -> bool {
        let mut state = self.lock();
        let ours = state.turn.as_deref();
        if !self.tools || ours.is_some_and(|ours| ours != call.turn_id) {
            return false;
        }
        let calls = &mut state.calls;
        let id = call.call_id.clone().into_owned();
        let known = match calls.probed {
            // Whoever got nothing for one call gets nothing for the next.
            true => Some(nothing()),
            false => calls.later.remove(&id),
        };
        let answered = known.is_some();
        match known {
            Some(result) => calls.answers.push((request.to_owned(), result)),
            None => calls.open.push((id, request.to_owned())),
        }
        let open = calls.open.len();
        drop(state);
        self.progress.send_modify(|progress| {
            progress.open = open;
            progress.answers |= answered;
        });
        true
    }

    /// When Codex last said anything of the turn.
    pub(crate) fn last_received(&self) -> Instant {
        self.lock().last_received
    }

    /// The calls have stood open for long. Where the model's response is whole, whoever hears of the turn should have taken
    /// it by now, and has not: false.
    ///
    /// Else Codex is given something for every call. It says what it hides while it waits: whether the model's stream is
    /// over without being whole (0.169.0). Whatever it does next, the turn ends there.
    pub(crate) fn probe(&self) -> bool {
        let mut state = self.lock();
        let calls = &mut state.calls;
        if calls.whole {
            return false;
        }
        calls.probed = true;
        let open = std::mem::take(&mut calls.open).into_iter();
        calls.answers = open.map(|(_, request)| (request, nothing())).collect();
        drop(state);
        self.progress.send_modify(|progress| {
            progress.open = 0;
            progress.answers = true;
        });
        true
    }

    /// What the turn's task is to answer: Codex's requests and our results. With them, whether the turn goes on, and so has
    /// all of its time again.
    pub(crate) fn answers(&self) -> (Vec<Given>, bool) {
        self.progress
            .send_modify(|progress| progress.answers = false);
        let calls = &mut self.lock().calls;
        (std::mem::take(&mut calls.answers), !calls.probed)
    }
}

impl State {
    /// What was told belongs to a request that is over.
    fn begin_again(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.largest = 0;
        self.retry_filter = RetryFilter::default();
        self.unread = false;
        self.calls = Calls::default();
        // What follows is another response to a client.
        self.upstream.begin(Instant::now());
    }
}

/// The answer to a call whose answer nobody will read.
fn nothing() -> Box<RawValue> {
    RawValue::from_string(r#"{"contentItems":[],"success":false}"#.to_owned())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl Calls {
    /// The model calls a tool: its response goes on.
    pub(super) fn called(&mut self, call: &str) {
        self.pending.push(call.to_owned());
        self.made = true;
        self.whole = false;
    }

    /// Something has come of a call. True: of one that was probed, and the turn ends here.
    pub(super) fn returned(&mut self, call: &str) -> bool {
        self.pending.retain(|pending| pending != call);
        self.probed
    }

    /// Codex has taken an answer.
    pub(super) fn taken(&mut self) {
        self.taken = true;
    }

    /// The model's response is whole. True: the turn ends here.
    pub(super) fn responded(&mut self) -> bool {
        self.whole = true;
        self.probed
    }

    /// All responses of a turn without tools have used so much.
    pub(super) fn spent(&mut self, all: Usage) {
        self.used = Some(all);
    }

    /// Counts a response of the model.
    pub(super) fn count(&mut self, response: Usage) -> Usage {
        let sum = match self.used {
            None => response,
            Some(before) => Usage {
                input: before.input.saturating_add(response.input),
                cached: before.cached.saturating_add(response.cached),
                output: before.output.saturating_add(response.output),
                reasoning: before.reasoning.saturating_add(response.reasoning),
            },
        };
        self.used = Some(sum);
        sum
    }
}

#[cfg(test)]
mod tests;
