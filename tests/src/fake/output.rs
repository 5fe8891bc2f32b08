//! What the fake writes: lines in order, a batch at a time, each batch one write.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::shapes;

/// Batches that may wait to be written. Beyond that a turn waits, as a fake need not be faster than its pipe.
const BATCHES: usize = 64;

/// Something for the process to do.
#[derive(Debug)]
pub enum Out {
    /// Write this.
    Bytes(Vec<u8>),
    /// Exit with this code.
    Exit(i32),
}

/// The way to the gateway. Clones write to the same process. Writing to a process that is gone does nothing.
#[derive(Clone, Debug)]
pub struct Output {
    queue: mpsc::Sender<Out>,
    /// Notifications that the client opted out of.
    muted: Arc<Mutex<HashSet<String>>>,
}

impl Output {
    /// The way, and what comes out of it.
    pub fn new() -> (Self, mpsc::Receiver<Out>) {
        let (queue, written) = mpsc::channel(BATCHES);
        (
            Self {
                queue,
                muted: Arc::default(),
            },
            written,
        )
    }

    /// Writes bytes as they are.
    pub async fn bytes(&self, bytes: Vec<u8>) {
        // A process that is gone reads nothing, and its turns end with it.
        let _ = self.queue.send(Out::Bytes(bytes)).await;
    }

    pub(super) async fn exit(&self, code: i32) {
        let _ = self.queue.send(Out::Exit(code)).await;
    }

    pub(super) fn mute(&self, methods: impl IntoIterator<Item = String>) {
        self.muted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(methods);
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
        self.muted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(method)
    }

    async fn line(&self, message: &Value) {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        self.bytes(line).await;
    }
}
