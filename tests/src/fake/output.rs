//! The output of a scripted Codex: lines in order, in batches of one write each.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::shapes;

/// Batches in the queue. When it is full, turns wait.
const BATCHES: usize = 64;

/// An instruction to the process.
#[derive(Debug)]
pub enum OutputAction {
    /// Write these bytes to standard output.
    Bytes(Vec<u8>),
    /// Exit with this code.
    Exit(i32),
}

/// The queue of a process's output. Clones write to the same process. Writes to a process that has exited are ignored.
#[derive(Clone, Debug)]
pub struct Output {
    queue: mpsc::Sender<OutputAction>,
    /// Notifications that the client opted out of.
    muted: Arc<Mutex<HashSet<String>>>,
}

impl Output {
    /// The queue and its receiver.
    pub fn new() -> (Self, mpsc::Receiver<OutputAction>) {
        let (queue, written) = mpsc::channel(BATCHES);
        (
            Self {
                queue,
                muted: Arc::default(),
            },
            written,
        )
    }

    /// Writes bytes unchanged.
    pub async fn bytes(&self, bytes: Vec<u8>) {
        // It fails only if the process has exited.
        let _ = self.queue.send(OutputAction::Bytes(bytes)).await;
    }

    pub(super) async fn exit(&self, code: i32) {
        let _ = self.queue.send(OutputAction::Exit(code)).await;
    }

    pub(super) fn mute(&self, methods: impl IntoIterator<Item = String>) {
        self.muted.lock().extend(methods);
    }

    pub(super) async fn result(&self, id: &Value, result: Value) {
        self.line(&json!({"id": id, "result": result})).await;
    }

    pub(super) async fn error(&self, id: &Value, code: i64, message: &str) {
        self.line(&json!({"error": {"code": code, "message": message}, "id": id}))
            .await;
    }

    pub(super) async fn request(&self, id: u64, method: &str, params: &Value) {
        self.line(&json!({"method": method, "id": id, "params": params}))
            .await;
    }

    pub(super) async fn notify(&self, method: &str, params: Value) {
        if !self.mutes(method) {
            self.line(&json!({"method": method, "params": params, "emittedAtMs": shapes::now()}))
                .await;
        }
    }

    pub(super) fn mutes(&self, method: &str) -> bool {
        self.muted.lock().contains(method)
    }

    async fn line(&self, message: &Value) {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        self.bytes(line).await;
    }
}
