//! Threads of a process, the turns that run in them, and pending server requests.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::plan::Usage;

/// All threads of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads(Arc<Mutex<HashMap<String, Thread>>>);

/// A loaded thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) subscribed: bool,
    pub(super) running: Option<Running>,
    /// The text of the last injected message of the user.
    pub(super) injected_text: String,
    /// The base instructions.
    pub(super) instructions: String,
    pub(super) model: String,
    /// Names of its dynamic tools.
    pub(super) tools: Vec<String>,
    /// Whether the client requested raw events.
    pub(super) raw: bool,
    /// Usage of all its turns.
    pub(super) total: Usage,
    /// Usage of the last response that reported any.
    pub(super) last: Option<Usage>,
}

/// The turn that runs in a thread.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) turn: String,
    /// Whether `turn/started` was sent. Before that, interrupts fail.
    pub(super) started: bool,
    pub(super) ignores_interrupt: bool,
    /// IDs of the interrupts that are responded to when the turn ends.
    pub(super) interrupts: Vec<Value>,
    pub(super) cancel: CancellationToken,
}

impl Threads {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Thread>> {
        self.0.lock()
    }

    /// Applies `change` to the turn that runs in a thread, if there is one.
    pub(super) fn running<T>(
        &self,
        thread: &str,
        change: impl FnOnce(&mut Running) -> T,
    ) -> Option<T> {
        Some(change(self.lock().get_mut(thread)?.running.as_mut()?))
    }

    /// Removes the turn that has ended, and returns the IDs of interrupts that still need a response.
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

/// Server requests without a response yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerRequests(Arc<Mutex<PendingRequests>>);

#[derive(Debug, Default)]
struct PendingRequests {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
}

impl ServerRequests {
    /// Registers a request. Returns its ID, which counts from 0 as with Codex, and the receiver of the response.
    pub(super) fn register(&self) -> (u64, oneshot::Receiver<Value>) {
        let (answer, answered) = oneshot::channel();
        let mut requests = self.0.lock();
        let id = requests.next;
        requests.next += 1;
        requests.waiting.insert(id, answer);
        (id, answered)
    }

    pub(super) fn resolve(&self, message: Value) {
        let Some(id) = message.get("id").and_then(Value::as_u64) else {
            return;
        };
        let waiting = self.0.lock().waiting.remove(&id);
        if let Some(waiting) = waiting {
            // The turn that sent the request may have ended.
            let _ = waiting.send(message);
        }
    }
}
