//! A turn's items: messages and reasoning, opened, told in deltas and completed.

use serde_json::{Value, json};

use super::shapes;
use super::teller::Teller;

/// Deltas of a burst that are written at once.
const BURST_BATCH: usize = 256;

/// The items of one turn. At most one is open.
pub(super) struct Items {
    teller: Teller,
    open: Option<Open>,
    /// The last message that was completed.
    last: Option<Value>,
    made: usize,
    deltas: u64,
}

struct Open {
    id: String,
    started: u64,
    kind: Kind,
}

enum Kind {
    Message {
        text: String,
        phase: Option<&'static str>,
        /// What the model wrote, where that is more than the text.
        written: Option<String>,
    },
    Reasoning {
        summary: Vec<String>,
        raw: String,
    },
}

impl Open {
    fn shape(&self, completed: Option<u64>) -> Value {
        match &self.kind {
            Kind::Message { text, phase, .. } => {
                shapes::agent_message(&self.id, text, *phase, self.started, completed)
            }
            Kind::Reasoning { summary, raw } => {
                shapes::reasoning(&self.id, summary, raw, self.started, completed)
            }
        }
    }

    async fn tell_raw(&self, teller: &Teller) {
        let (item, passed) = match &self.kind {
            Kind::Message {
                text,
                phase,
                written,
            } => (
                shapes::raw_message(&self.id, written.as_ref().unwrap_or(text), *phase),
                json!({"content_item_kinds": ["unknown"]}),
            ),
            Kind::Reasoning { summary, raw } => {
                (shapes::raw_reasoning(&self.id, summary, raw), json!({}))
            }
        };
        teller.raw_item(item, passed).await;
    }
}

impl Items {
    pub(super) fn new(teller: Teller) -> Self {
        Self {
            teller,
            open: None,
            last: None,
            made: 0,
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
        self.teller.raw_item(raw, passed).await;
        let started = shapes::now();
        let item = shapes::user_message(&id, input, started, None);
        self.teller.item_started(item).await;
        let item = shapes::user_message(&id, input, started, Some(shapes::now()));
        self.teller.item_completed(item).await;
    }

    pub(super) async fn message(&mut self, phase: Option<&'static str>) {
        self.close().await;
        let id = self.id("msg");
        self.start(
            id,
            Kind::Message {
                text: String::new(),
                phase,
                written: None,
            },
        )
        .await;
    }

    pub(super) async fn text(&mut self, delta: &str) {
        self.talk().await;
        let id = self.grow(delta);
        self.teller
            .notify(
                "item/agentMessage/delta",
                json!({"itemId": id, "delta": delta}),
            )
            .await;
    }

    /// What the model wrote of the open message.
    pub(super) fn written(&mut self, whole: &str) {
        if let Some(Open {
            kind: Kind::Message { written, .. },
            ..
        }) = &mut self.open
        {
            *written = Some(whole.to_owned());
        }
    }

    pub(super) async fn whole(&mut self, whole: &str, phase: Option<&'static str>) {
        self.message(phase).await;
        if let Some(Open {
            kind: Kind::Message { text, .. },
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
            Some(Open {
                kind: Kind::Reasoning { .. },
                ..
            })
        ) {
            self.close().await;
            let id = self.id("rs");
            self.start(
                id,
                Kind::Reasoning {
                    summary: Vec::new(),
                    raw: String::new(),
                },
            )
            .await;
        }
        if !is_raw && self.parts() == 0 {
            self.reasoning_part().await;
        }
        let Some(Open {
            id,
            kind: Kind::Reasoning { summary, raw },
            ..
        }) = &mut self.open
        else {
            return;
        };
        if is_raw {
            raw.push_str(delta);
            let params = json!({"itemId": id, "delta": delta, "contentIndex": 0});
            self.teller.notify("item/reasoning/textDelta", params).await;
        } else {
            let index = summary.len().saturating_sub(1);
            if let Some(part) = summary.last_mut() {
                part.push_str(delta);
            }
            let params = json!({"itemId": id, "delta": delta, "summaryIndex": index});
            self.teller
                .notify("item/reasoning/summaryTextDelta", params)
                .await;
        }
    }

    pub(super) async fn reasoning_part(&mut self) {
        let Some(Open {
            id,
            kind: Kind::Reasoning { summary, .. },
            ..
        }) = &mut self.open
        else {
            return;
        };
        summary.push(String::new());
        let params = json!({"itemId": id, "summaryIndex": summary.len() - 1});
        self.teller
            .notify("item/reasoning/summaryPartAdded", params)
            .await;
    }

    /// `count` deltas of `bytes` each, many to a write.
    pub(super) async fn burst(&mut self, count: usize, bytes: usize) {
        self.talk().await;
        let text = "abcdefghijklmnopqrstuvwxyz"
            .chars()
            .cycle()
            .take(bytes)
            .collect::<String>();
        for start in (0..count).step_by(BURST_BATCH) {
            let mut batch = Vec::new();
            for _ in start..count.min(start + BURST_BATCH) {
                let id = self.grow(&text);
                // The text needs no escaping, so a line is put together by hand: this is the benchmark's hot loop.
                let line = format!(
                    "{{\"method\":\"item/agentMessage/delta\",\"params\":{{\"threadId\":\"{}\",\"turnId\":\"{}\",\
                     \"itemId\":\"{id}\",\"delta\":\"{text}\"}},\"emittedAtMs\":{}}}\n",
                    self.teller.thread,
                    self.teller.turn,
                    shapes::now()
                );
                batch.extend_from_slice(line.as_bytes());
            }
            self.teller.output.bytes(batch).await;
        }
    }

    /// Completes the open item, if any.
    pub(super) async fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let item = open.shape(Some(shapes::now()));
        if let Kind::Message { .. } = open.kind {
            self.last = Some(item.clone());
        }
        self.teller.item_completed(item).await;
        open.tell_raw(&self.teller).await;
    }

    /// Forgets the open item: it is never completed.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// Sees to it that a message is open.
    async fn talk(&mut self) {
        if !matches!(
            &self.open,
            Some(Open {
                kind: Kind::Message { .. },
                ..
            })
        ) {
            self.message(None).await;
        }
    }

    /// Adds to the open message. Returns its id.
    fn grow(&mut self, delta: &str) -> String {
        let Some(Open {
            id,
            kind: Kind::Message { text, .. },
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
            Some(Open {
                kind: Kind::Reasoning { summary, .. },
                ..
            }) => summary.len(),
            _ => 0,
        }
    }

    async fn start(&mut self, id: String, kind: Kind) {
        let open = Open {
            id,
            started: shapes::now(),
            kind,
        };
        self.teller.item_started(open.shape(None)).await;
        self.open = Some(open);
    }

    fn id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}_{}_{}", self.teller.turn, self.made)
    }
}
