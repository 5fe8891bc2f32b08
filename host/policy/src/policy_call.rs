//! Calls into a policy as values, which shadows repeat and tapes keep, and the queue to observers of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use airlock_types::events;
use airlock_types::wit::{
    Action, Admission, Closing, Context, Ending, Event, Frame, Load, Loaded, ObjectChange, Outcome,
    Output, Plan, Problem, Request, StoredItem, Verdict,
};

/// The most calls that wait for an observer.
const CALLS: usize = 256;

/// The most bytes of waiting calls, by a rough count.
const BYTES: usize = 4 << 20;

/// A call with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyCall {
    /// `render`
    Render(Request),
    /// `decide`
    Decide(Load),
    /// `reply.constructor`. The notes are those of the same policy's plan.
    Open(Context),
    /// `reply.feed`: one batch.
    Feed(Vec<Event>),
    /// `reply.keep-alive`
    KeepAlive,
    /// `reply.finish`
    Finish(Ending),
    /// `panel.constructor`
    Convene(Context, u32),
    /// `panel.wake`
    Wake(u64),
    /// `panel.settle`
    Settle(u32, Outcome, u64),
    /// `panel.judged`
    Judged(Outcome, u64),
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// `render` returned a plan.
    Plan(Box<Plan>),
    /// `render` returned another action than a plan.
    Action(Box<Action>),
    /// `render` refused the request.
    Refused(Problem),
    /// `decide` returned.
    Admission(Admission),
    /// A constructor returned a reply or panel.
    Ready,
    /// `feed` or `keep-alive` returned.
    Output(Output),
    /// `finish` returned.
    Closing(Closing),
    /// A function of the panel returned.
    Verdict(Verdict),
    /// The call failed by the policy's fault.
    Fault(String),
}

impl PolicyCall {
    /// The call's name: `feed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Render(_) => "render",
            Self::Decide(_) => "decide",
            Self::Open(_) => "open",
            Self::Feed(_) => "feed",
            Self::KeepAlive => "keep_alive",
            Self::Finish(_) => "finish",
            Self::Convene(..) => "convene",
            Self::Wake(_) => "wake",
            Self::Settle(..) => "settle",
            Self::Judged(..) => "judged",
        }
    }

    /// The call's size in bytes, by a rough count.
    pub(super) fn size(&self) -> usize {
        let length =
            |outcome: &Outcome| -> usize { outcome.messages.iter().map(|it| it.text.len()).sum() };
        match self {
            Self::Render(request) => request.body.len() + loaded_bytes(request.loaded.as_ref()),
            Self::Feed(batch) => batch.iter().map(|event| events::cost(&event.kind)).sum(),
            Self::Settle(_, outcome, _) | Self::Judged(outcome, _) => length(outcome),
            Self::Open(context) | Self::Convene(context, _) => context.notes.len(),
            Self::Decide(_) | Self::KeepAlive | Self::Finish(_) | Self::Wake(_) => 64,
        }
    }
}

impl CallResult {
    /// The result without the policy's private data: its notes, and the keys of its turns.
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        match &mut shown {
            Self::Plan(plan) => {
                plan.notes.clear();
                if let Some(resume) = &mut plan.resume {
                    resume.key.clear();
                }
            }
            Self::Output(output) => {
                if let Some(handoff) = &mut output.handoff {
                    handoff.key = handoff.key.take().map(|_| String::new());
                }
            }
            Self::Action(_)
            | Self::Refused(_)
            | Self::Admission(_)
            | Self::Ready
            | Self::Closing(_)
            | Self::Verdict(_)
            | Self::Fault(_) => {}
        }
        shown
    }

    /// The frames of the result.
    pub fn frames(&self) -> &[Frame] {
        match self {
            Self::Output(output) => &output.frames,
            Self::Closing(closing) => &closing.frames,
            Self::Action(action) => match action.as_ref() {
                Action::Respond(response) => &response.frames,
                Action::Load(_) | Action::Run(_) | Action::Follow(_) | Action::Stop(_) => &[],
            },
            Self::Plan(_)
            | Self::Refused(_)
            | Self::Admission(_)
            | Self::Ready
            | Self::Verdict(_)
            | Self::Fault(_) => &[],
        }
    }

    /// The result's size in bytes, by a rough count.
    fn size(&self) -> usize {
        let frames: usize = self.frames().iter().map(|frame| frame.data.len()).sum();
        frames
            + match self {
                Self::Plan(plan) => {
                    let history: usize = plan.history.iter().map(String::len).sum();
                    let object = plan.object.as_ref();
                    history
                        + object.map_or(0, |object| object.head.len() + item_bytes(&object.items))
                }
                Self::Action(action) => match action.as_ref() {
                    Action::Respond(response) => {
                        response.body.len() + change_bytes(&response.changes)
                    }
                    _ => 64,
                },
                Self::Closing(closing) => {
                    let object = closing.object.as_ref();
                    closing.body.as_ref().map_or(0, String::len)
                        + object.map_or(0, |end| end.head.len() + item_bytes(&end.items))
                }
                Self::Refused(_)
                | Self::Admission(_)
                | Self::Ready
                | Self::Output(_)
                | Self::Verdict(_)
                | Self::Fault(_) => 64,
            }
    }
}

impl From<&Result<Action, Problem>> for CallResult {
    fn from(rendered: &Result<Action, Problem>) -> Self {
        match rendered {
            Ok(Action::Run(plan)) => Self::Plan(Box::new(plan.clone())),
            Ok(action) => Self::Action(Box::new(action.clone())),
            Err(problem) => Self::Refused(problem.clone()),
        }
    }
}

impl From<&Admission> for CallResult {
    fn from(admission: &Admission) -> Self {
        Self::Admission(admission.clone())
    }
}

impl From<&()> for CallResult {
    fn from((): &()) -> Self {
        Self::Ready
    }
}

impl From<&Output> for CallResult {
    fn from(output: &Output) -> Self {
        Self::Output(output.clone())
    }
}

impl From<&Closing> for CallResult {
    fn from(closing: &Closing) -> Self {
        Self::Closing(closing.clone())
    }
}

impl From<&Verdict> for CallResult {
    fn from(verdict: &Verdict) -> Self {
        Self::Verdict(verdict.clone())
    }
}

/// The bytes of loaded objects and items.
pub(super) fn loaded_bytes(loaded: Option<&Loaded>) -> usize {
    let Some(Loaded { objects, items }) = loaded else {
        return 0;
    };
    let of_objects = objects
        .iter()
        .map(|object| object.head.len() + item_bytes(&object.items));
    of_objects.sum::<usize>() + item_bytes(items)
}

fn item_bytes(items: &[StoredItem]) -> usize {
    let bytes = |item: &StoredItem| item.id.len() + item.text.len();
    items.iter().map(bytes).sum()
}

/// The bytes of changes to stored objects.
pub(super) fn change_bytes(changes: &[ObjectChange]) -> usize {
    let bytes = |change: &ObjectChange| match change {
        ObjectChange::Put(object) => object.head.len() + item_bytes(&object.items),
        ObjectChange::ReplaceHead((_, head)) => head.len(),
        ObjectChange::Append((_, items)) => item_bytes(items),
        ObjectChange::RemoveItem(_) | ObjectChange::Delete(_) => 64,
    };
    changes.iter().map(bytes).sum()
}

/// A call and its result, shared by all observers.
#[derive(Clone, Debug)]
pub(crate) struct RecordedCall(Arc<(PolicyCall, CallResult)>);

impl RecordedCall {
    /// A call and its result.
    pub(super) fn new(call: PolicyCall, result: CallResult) -> Self {
        Self(Arc::new((call, result)))
    }

    /// The call.
    pub(crate) fn call(&self) -> &PolicyCall {
        &self.0.0
    }

    /// The result.
    pub(crate) fn result(&self) -> &CallResult {
        &self.0.1
    }

    fn size(&self) -> usize {
        self.call().size() + self.result().size()
    }
}

/// The session's end of the queue. It never waits: the queue ends when it is full.
pub struct Observer {
    calls: mpsc::Sender<RecordedCall>,
    shared: Arc<QueueState>,
}

/// The observer's end of the queue: the session's calls, in order.
pub(crate) struct Observed {
    calls: mpsc::Receiver<RecordedCall>,
    shared: Arc<QueueState>,
}

struct QueueState {
    /// Bytes of the waiting calls.
    bytes: AtomicUsize,
    /// The bound of these bytes. A single call may exceed it.
    most: usize,
    /// Whether the queue ended because it was full.
    overflowed: AtomicBool,
}

/// A queue from a session to an observer, bounded to 256 calls and 4 MiB.
pub(crate) fn observer() -> (Observer, Observed) {
    observer_of(BYTES)
}

/// The same with another bound in bytes.
pub(crate) fn observer_of(most: usize) -> (Observer, Observed) {
    let (sender, receiver) = mpsc::channel(CALLS);
    let shared = Arc::new(QueueState {
        bytes: AtomicUsize::new(0),
        most,
        overflowed: AtomicBool::new(false),
    });
    let observer = Observer {
        calls: sender,
        shared: shared.clone(),
    };
    let observed = Observed {
        calls: receiver,
        shared,
    };
    (observer, observed)
}

impl Observer {
    /// Sends a call. Returns false if the observer is gone or too slow.
    pub(super) fn send(&self, recorded: &RecordedCall) -> bool {
        let size = recorded.size();
        let waiting = self.shared.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(size) <= self.shared.most;
        let taken = fits && self.calls.try_send(recorded.clone()).is_ok();
        if !taken {
            self.shared.overflowed.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Observed {
    /// Waits for the next call. `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<RecordedCall> {
        let recorded = self.calls.recv().await?;
        self.shared
            .bytes
            .fetch_sub(recorded.size(), Ordering::Relaxed);
        Some(recorded)
    }

    /// Whether calls are missing because the queue was full. Valid after the last call.
    pub(crate) fn has_gaps(&self) -> bool {
        self.shared.overflowed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_holds_as_many_bytes_as_it_is_made_for() {
        let call = |bytes: usize| {
            let context = Context {
                id: String::new(),
                arrived: 0,
                dialect: String::new(),
                model: String::new(),
                notes: "n".repeat(bytes),
                seed: String::new(),
            };
            RecordedCall::new(PolicyCall::Open(context), CallResult::Ready)
        };
        for (queue, most) in [(observer(), BYTES), (observer_of(4 * BYTES), 4 * BYTES)] {
            let (observer, observed) = queue;
            assert!(observer.send(&call(most / 2)) && observer.send(&call(most / 2 - 1000)));
            assert!(!observed.has_gaps());
            assert!(!observer.send(&call(1000)) && observed.has_gaps());
        }
    }
}
