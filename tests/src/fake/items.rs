//! A turn's items: messages and reasoning, which start, grow by deltas, and complete.

use serde_json::{Value, json};

use super::notifier::TurnNotifier;
use super::shapes;

/// Deltas of a burst in one write.
const BURST_BATCH: usize = 256;

/// The items of one turn. At most one is open.
pub(super) struct Items {
    notifier: TurnNotifier,
    open: Option<OpenItem>,
    /// The last message that was completed.
    last: Option<Value>,
    created: usize,
    deltas: u64,
}

struct OpenItem {
    id: String,
    started: u64,
    kind: ItemKind,
}

enum ItemKind {
    Message {
        text: String,
        phase: Option<&'static str>,
        /// The model's text, if Codex cut something out of it.
        written: Option<String>,
    },
    Reasoning {
        summary: Vec<String>,
        raw: String,
    },
}

impl OpenItem {
    fn shape(&self, completed: Option<u64>) -> Value {
        match &self.kind {
            ItemKind::Message { text, phase, .. } => {
                shapes::agent_message(&self.id, text, *phase, self.started, completed)
            }
            ItemKind::Reasoning { summary, raw } => {
                shapes::reasoning(&self.id, summary, raw, self.started, completed)
            }
        }
    }

    async fn emit_raw(&self, notifier: &TurnNotifier) {
        let (item, passed) = match &self.kind {
            ItemKind::Message {
                text,
                phase,
                written,
            } => (
                shapes::raw_message(&self.id, written.as_ref().unwrap_or(text), *phase),
                json!({"content_item_kinds": ["unknown"]}),
            ),
            ItemKind::Reasoning { summary, raw } => {
                (shapes::raw_reasoning(&self.id, summary, raw), json!({}))
            }
        };
        notifier.raw_item(item, passed).await;
    }
}

impl Items {
    pub(super) fn new(notifier: TurnNotifier) -> Self {
        Self {
            notifier,
            open: None,
            last: None,
            created: 0,
            deltas: 0,
        }
    }

    /// Text deltas so far.
    pub(super) fn deltas(&self) -> u64 {
        self.deltas
    }

    pub(super) fn last(&self) -> Option<Value> {
        self.last.clone()
    }

    pub(super) async fn user_message(&mut self, input: &[Value]) {
        let id = self.id("user");
        let passed = json!({"create_time": shapes::seconds(), "content_item_kinds": ["user.text"],
            "content_item_metadata": [{"provenance": {"type": "user"}}]});
        let raw = shapes::raw_user(&format!("msg_{id}"), input);
        self.notifier.raw_item(raw, passed).await;
        let started = shapes::now();
        let item = shapes::user_message(&id, input, started, None);
        self.notifier.item_started(item).await;
        let item = shapes::user_message(&id, input, started, Some(shapes::now()));
        self.notifier.item_completed(item).await;
    }

    pub(super) async fn message(&mut self, phase: Option<&'static str>) {
        self.close().await;
        let id = self.id("msg");
        self.start(
            id,
            ItemKind::Message {
                text: String::new(),
                phase,
                written: None,
            },
        )
        .await;
    }

    pub(super) async fn text(&mut self, delta: &str) {
        self.ensure_message().await;
        let id = self.append(delta);
        self.notifier
            .notify(
                "item/agentMessage/delta",
                json!({"itemId": id, "delta": delta}),
            )
            .await;
    }

    /// Sets the model's text of the open message.
    pub(super) fn written(&mut self, whole: &str) {
        if let Some(OpenItem {
            kind: ItemKind::Message { written, .. },
            ..
        }) = &mut self.open
        {
            *written = Some(whole.to_owned());
        }
    }

    pub(super) async fn whole(&mut self, whole: &str, phase: Option<&'static str>) {
        self.message(phase).await;
        if let Some(OpenItem {
            kind: ItemKind::Message { text, .. },
            ..
        }) = &mut self.open
        {
            whole.clone_into(text);
        }
        self.close().await;
    }

    pub(super) async fn reasoning(&mut self, delta: &str, is_raw: bool) {
        if !matches!(
            &self.open,
            Some(OpenItem {
                kind: ItemKind::Reasoning { .. },
                ..
            })
        ) {
            self.close().await;
            let id = self.id("rs");
            self.start(
                id,
                ItemKind::Reasoning {
                    summary: Vec::new(),
                    raw: String::new(),
                },
            )
            .await;
        }
        if !is_raw && self.parts() == 0 {
            self.reasoning_part().await;
        }
        let Some(OpenItem {
            id,
            kind: ItemKind::Reasoning { summary, raw },
            ..
        }) = &mut self.open
        else {
            return;
        };
        if is_raw {
            raw.push_str(delta);
            let params = json!({"itemId": id, "delta": delta, "contentIndex": 0});
            self.notifier
                .notify("item/reasoning/textDelta", params)
                .await;
        } else {
            let index = summary.len().saturating_sub(1);
            if let Some(part) = summary.last_mut() {
                part.push_str(delta);
            }
            let params = json!({"itemId": id, "delta": delta, "summaryIndex": index});
            self.notifier
                .notify("item/reasoning/summaryTextDelta", params)
                .await;
        }
    }

    pub(super) async fn reasoning_part(&mut self) {
        let Some(OpenItem {
            id,
            kind: ItemKind::Reasoning { summary, .. },
            ..
        }) = &mut self.open
        else {
            return;
        };
        summary.push(String::new());
        let params = json!({"itemId": id, "summaryIndex": summary.len() - 1});
        self.notifier
            .notify("item/reasoning/summaryPartAdded", params)
            .await;
    }

    /// Emits `count` deltas of `bytes` each, many to a write.
    pub(super) async fn burst(&mut self, count: usize, bytes: usize) {
        self.ensure_message().await;
        let text = "abcdefghijklmnopqrstuvwxyz"
            .chars()
            .cycle()
            .take(bytes)
            .collect::<String>();
        for start in (0..count).step_by(BURST_BATCH) {
            let mut batch = Vec::new();
            for _ in start..count.min(start + BURST_BATCH) {
                let id = self.append(&text);
                // The text needs no escaping, so the line is formatted directly.
                let line = format!(
                    "{{\"method\":\"item/agentMessage/delta\",\"params\":{{\"threadId\":\"{}\",\"turnId\":\"{}\",\
                     \"itemId\":\"{id}\",\"delta\":\"{text}\"}},\"emittedAtMs\":{}}}\n",
                    self.notifier.thread,
                    self.notifier.turn,
                    shapes::now()
                );
                batch.extend_from_slice(line.as_bytes());
            }
            self.notifier.output.bytes(batch).await;
        }
    }

    /// Completes the open item, if any.
    pub(super) async fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let item = open.shape(Some(shapes::now()));
        if let ItemKind::Message { .. } = open.kind {
            self.last = Some(item.clone());
        }
        self.notifier.item_completed(item).await;
        open.emit_raw(&self.notifier).await;
    }

    /// Drops the open item, which is never completed.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// Starts a message unless one is open.
    async fn ensure_message(&mut self) {
        if !matches!(
            &self.open,
            Some(OpenItem {
                kind: ItemKind::Message { .. },
                ..
            })
        ) {
            self.message(None).await;
        }
    }

    /// Appends to the open message, and returns its ID.
    fn append(&mut self, delta: &str) -> String {
        let Some(OpenItem {
            id,
            kind: ItemKind::Message { text, .. },
            ..
        }) = &mut self.open
        else {
            return String::new();
        };
        text.push_str(delta);
        self.deltas += 1;
        id.clone()
    }

    fn parts(&self) -> usize {
        match &self.open {
            Some(OpenItem {
                kind: ItemKind::Reasoning { summary, .. },
                ..
            }) => summary.len(),
            _ => 0,
        }
    }

    async fn start(&mut self, id: String, kind: ItemKind) {
        let open = OpenItem {
            id,
            started: shapes::now(),
            kind,
        };
        self.notifier.item_started(open.shape(None)).await;
        self.open = Some(open);
    }

    fn id(&mut self, kind: &str) -> String {
        self.created += 1;
        format!("{kind}_{}_{}", self.notifier.turn, self.created)
    }
}
