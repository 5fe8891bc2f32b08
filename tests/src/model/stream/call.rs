//! A call of a tool as the Responses API streams it.

use serde_json::json;

use super::ResponseStream;

impl ResponseStream {
    pub(super) async fn call(&mut self, id: &str, name: &str, arguments: &str) {
        self.close().await;
        let own = self.item_id("fc");
        let item = |status: &str, arguments: &str| {
            json!({"id": own, "type": "function_call", "status": status, "arguments": arguments,
                "call_id": id, "name": name})
        };
        let index = self.output.len();
        let begun = json!({"output_index": index, "item": item("in_progress", "")});
        self.event("response.output_item.added", begun).await;
        let delta = json!({"delta": arguments});
        self.part("response.function_call_arguments.delta", &own, delta)
            .await;
        let whole = json!({"arguments": arguments});
        self.part("response.function_call_arguments.done", &own, whole)
            .await;
        let done = item("completed", arguments);
        self.event(
            "response.output_item.done",
            json!({"output_index": index, "item": &done}),
        )
        .await;
        self.output.push(done);
    }
}
