//! Reasoning, and summaries of it, as the Responses API streams them.

use serde_json::{Value, json};

use super::{OpenOutput, ResponseStream};

impl ResponseStream {
    pub(super) async fn reasoning(&mut self, delta: &str, is_raw: bool) {
        if !matches!(&self.open, Some(OpenOutput::Reasoning { .. })) {
            self.close().await;
            let id = self.item_id("rs");
            let item = json!({"id": &id, "type": "reasoning", "summary": []});
            let index = self.output.len();
            self.event(
                "response.output_item.added",
                json!({"output_index": index, "item": item}),
            )
            .await;
            self.open = Some(OpenOutput::Reasoning {
                id,
                summary: String::new(),
                raw: String::new(),
                encrypted: None,
            });
        }
        let Some(OpenOutput::Reasoning {
            id, summary, raw, ..
        }) = &mut self.open
        else {
            return;
        };
        let id = id.clone();
        if is_raw {
            raw.push_str(delta);
            self.part(
                "response.reasoning_text.delta",
                &id,
                json!({"content_index": 0, "delta": delta}),
            )
            .await;
            return;
        }
        let first = summary.is_empty();
        summary.push_str(delta);
        if first {
            let part = json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}});
            self.part("response.reasoning_summary_part.added", &id, part)
                .await;
        }
        let delta = json!({"summary_index": 0, "delta": delta});
        self.part("response.reasoning_summary_text.delta", &id, delta)
            .await;
    }

    pub(super) fn encrypted(&mut self, content: &str) {
        if let Some(OpenOutput::Reasoning { encrypted, .. }) = &mut self.open {
            *encrypted = Some(content.to_owned());
        }
    }

    pub(super) async fn reasoned(&mut self, id: &str, summary: &str, raw: &str) -> Value {
        let mut item = json!({"id": id, "type": "reasoning", "summary": []});
        let part = json!({"type": "summary_text", "text": summary});
        if !summary.is_empty() {
            self.part(
                "response.reasoning_summary_text.done",
                id,
                json!({"summary_index": 0, "text": summary}),
            )
            .await;
            let done = json!({"summary_index": 0, "part": &part});
            self.part("response.reasoning_summary_part.done", id, done)
                .await;
        }
        if let Some(members) = item.as_object_mut() {
            if !summary.is_empty() {
                members.insert("summary".to_owned(), json!([part]));
            }
            if !raw.is_empty() {
                members.insert(
                    "content".to_owned(),
                    json!([{"type": "reasoning_text", "text": raw}]),
                );
            }
        }
        item
    }
}
