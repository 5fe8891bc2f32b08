//! Refusals, as the Responses API streams them: a content part of their own kind.

use serde_json::json;

use super::{OpenOutput, ResponseStream};

impl ResponseStream {
    pub(super) async fn refusal(&mut self, text: &str, streamed: bool) {
        if !matches!(&self.open, Some(OpenOutput::Message { .. })) {
            self.message(None).await;
        }
        let Some(OpenOutput::Message { item, refusal, .. }) = &mut self.open else {
            return;
        };
        let id = item
            .get("id")
            .and_then(|id| id.as_str())
            .unwrap_or_default()
            .to_owned();
        *refusal = Some(text.to_owned());
        let part = json!({"type": "refusal", "refusal": ""});
        self.part(
            "response.content_part.added",
            &id,
            json!({"content_index": 1, "part": part}),
        )
        .await;
        if streamed {
            for delta in text.split_inclusive(' ') {
                let delta = json!({"content_index": 1, "delta": delta});
                self.part("response.refusal.delta", &id, delta).await;
            }
        }
        let done = json!({"content_index": 1, "refusal": text});
        self.part("response.refusal.done", &id, done).await;
    }
}
