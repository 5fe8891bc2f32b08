//! Notifications of a turn, with its thread and turn ID, and raw events if the client requested them.

use serde_json::{Value, json};

use super::output::Output;
use super::plan::Usage;
use super::shapes;

/// Writes the notifications and requests of one turn.
#[derive(Clone, Debug)]
pub(super) struct TurnNotifier {
    pub(super) thread: String,
    pub(super) turn: String,
    pub(super) output: Output,
    /// The thread was started with `experimentalRawEvents`.
    pub(super) raw: bool,
}

impl TurnNotifier {
    pub(super) async fn notify(&self, method: &str, params: Value) {
        self.output.notify(method, self.ours(params)).await;
    }

    /// Sends a server request.
    pub(super) async fn request(&self, id: u64, method: &str, params: Value) {
        self.output.request(id, method, &self.ours(params)).await;
    }

    pub(super) async fn item_started(&self, item: Value) {
        let at = item.get("startedAtMs").cloned();
        self.notify("item/started", json!({"item": item, "startedAtMs": at}))
            .await;
    }

    pub(super) async fn item_completed(&self, item: Value) {
        let at = item.get("completedAtMs").cloned();
        let params = json!({"item": item, "contentTokenCount": null, "completedAtMs": at});
        self.notify("item/completed", params).await;
    }

    /// Emits an item in the form of the model's API. `passed` is Codex's metadata besides the turn ID.
    pub(super) async fn raw_item(&self, mut item: Value, passed: Value) {
        if !self.raw {
            return;
        }
        let mut noted = json!({"turn_id": self.turn});
        if let (Some(noted), Value::Object(passed)) = (noted.as_object_mut(), passed) {
            noted.extend(passed);
        }
        if let Some(members) = item.as_object_mut() {
            members.insert(
                "internal_chat_message_metadata_passthrough".to_owned(),
                noted,
            );
        }
        self.notify("rawResponseItem/completed", json!({"item": item}))
            .await;
    }

    /// Emits the end of a response of the model.
    pub(super) async fn raw_response(&self, id: &str, usage: Option<Usage>) {
        if self.raw {
            self.notify("rawResponse/completed", shapes::response(id, usage))
                .await;
        }
    }

    /// Adds the thread and turn ID to parameters.
    fn ours(&self, mut params: Value) -> Value {
        if let Some(members) = params.as_object_mut() {
            members.insert("threadId".to_owned(), json!(self.thread));
            members.insert("turnId".to_owned(), json!(self.turn));
        }
        params
    }
}
