//! The fake's threads and the turns that run in them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::plan::Usage;

/// All threads of a process. Clones are the same threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads(Arc<Mutex<HashMap<String, Thread>>>);

/// A loaded thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) subscribed: bool,
    pub(super) running: Option<Running>,
    /// What the user said last, in items that were injected.
    pub(super) said: String,
    /// What the model was told to be.
    pub(super) instructions: String,
    pub(super) model: String,
    /// Names of the tools that the client brought.
    pub(super) tools: Vec<String>,
    /// The client wants raw events.
    pub(super) raw: bool,
    /// Tokens of all its turns.
    pub(super) total: Usage,
    /// Those of the last response that reported any.
    pub(super) last: Option<Usage>,
}

/// The turn that runs in a thread.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) turn: String,
    /// Until `turn/started` there is no turn to interrupt.
    pub(super) started: bool,
    pub(super) deaf: bool,
    /// Ids of the interrupts that the turn's end answers.
    pub(super) interrupts: Vec<Value>,
    pub(super) cancel: CancellationToken,
}

impl Threads {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Thread>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the turn that runs in a thread, if one does.
    pub(super) fn running<T>(
        &self,
        thread: &str,
        change: impl FnOnce(&mut Running) -> T,
    ) -> Option<T> {
        Some(change(self.lock().get_mut(thread)?.running.as_mut()?))
    }

    /// The turn is over: whoever wanted it interrupted is still to be answered.
    pub(super) fn finish(&self, thread: &str) -> Vec<Value> {
        let mut threads = self.lock();
        let running = threads
            .get_mut(thread)
            .and_then(|thread| thread.running.take());
        running
            .map(|running| running.interrupts)
            .unwrap_or_default()
    }
}

/// Requests of ours that the client has not answered yet. Clones are the same requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
}

impl Asked {
    /// A new request's id, from 0 as with Codex, and where its answer will be.
    pub(super) fn open(&self) -> (u64, oneshot::Receiver<Value>) {
        let (answer, answered) = oneshot::channel();
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = asked.next;
        asked.next += 1;
        asked.waiting.insert(id, answer);
        (id, answered)
    }

    pub(super) fn settle(&self, message: Value) {
        let Some(id) = message.get("id").and_then(Value::as_u64) else {
            return;
        };
        let waiting = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .remove(&id);
        if let Some(waiting) = waiting {
            // The turn that asked may have ended.
            let _ = waiting.send(message);
        }
    }
}
