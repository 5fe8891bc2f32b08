//! What all turns of a request share: its conversation as items to inject, and the attachments that they name.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::items::{self, ATTACHMENT, HistoryCheck, PART_LISTS, attachment_of, parts};
use super::{AttachmentExpansion, policy_failure, raw, tools, url, verbatim};
use crate::protocol::DynamicTool;
use crate::turn::EncodedToolResult;
use airlock_attachments::Attachments;
use airlock_base::memory::MemoryShare;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, InputItem, Selection, Tool, ToolResult};

/// Bytes of items that one `thread/inject_items` carries (0.169.0 took 4 MiB). An item is never cut.
pub(super) const INJECT_BYTES: usize = 2 << 20;

/// What all turns of a request share: held once, however many they are, and its attachments with it.
#[derive(Debug)]
pub struct Conversation {
    /// The model of turns that name none of their own.
    pub(crate) model: Option<Selection>,
    pub(super) instructions: Arc<str>,
    pub(super) history: Vec<HistoryItem>,
    /// What turns may call whose brief says so.
    pub(super) tools: Vec<DynamicTool>,
    /// The first attachment that the history names.
    pub(super) image: Option<u32>,
    pub(super) attachments: Attachments,
    /// The conversation's share of what all bodies may take up, given back with the conversation itself.
    _memory: MemoryShare,
}

/// An item of the history.
#[derive(Debug)]
pub(super) enum HistoryItem {
    Plain(Box<RawValue>),
    /// It names attachments, whose place they take only when it is sent, so that they are not held twice.
    Illustrated {
        item: Value,
        /// Bytes without the attachments, and with them.
        own: usize,
        bytes: usize,
    },
}

impl Conversation {
    /// Puts the shared part of a plan into Codex's terms. Fails on what a policy must not write: that is its fault.
    pub fn new(
        model: Option<Selection>,
        instructions: String,
        history: Vec<String>,
        tools: Vec<Tool>,
        attachments: Attachments,
    ) -> Result<Self, Failure> {
        let mut image = None;
        let mut written = Vec::with_capacity(history.len());
        let mut expansion = AttachmentExpansion::of(&attachments);
        let mut checked = HistoryCheck::default();
        for text in history {
            checked.push(&text)?;
            let names_any = text.contains(ATTACHMENT);
            if !names_any && !items::has_media(&text) {
                written.push(HistoryItem::Plain(verbatim(text)?));
                continue;
            }
            let mut bytes = text.len();
            let item: Value =
                serde_json::from_str(&text).map_err(|error| policy_failure(error.to_string()))?;
            items::check_parts(&item)?;
            if !names_any {
                written.push(HistoryItem::Plain(verbatim(text)?));
                continue;
            }
            for number in parts(&item).filter_map(attachment_of) {
                image.get_or_insert(number);
                bytes += expansion.url(number)?.len();
            }
            let own = text.len();
            written.push(HistoryItem::Illustrated { item, own, bytes });
        }
        checked.finish()?;
        Ok(Self {
            model,
            instructions: instructions.into(),
            history: written,
            tools: tools::specs(tools)?,
            image,
            attachments,
            _memory: MemoryShare::default(),
        })
    }

    /// The same, with the memory that it takes up.
    pub fn with_memory(self, memory: MemoryShare) -> Self {
        Self {
            _memory: memory,
            ..self
        }
    }

    /// Bytes that it takes up, about.
    pub fn bytes(&self) -> usize {
        let history: usize = self.history.iter().map(HistoryItem::held).sum();
        history + self.attachments.bytes() + self.instructions.len()
    }

    /// Whether turns may be given tools.
    pub(crate) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// What came of the calls of a turn that waits for it.
    pub fn tool_results(&self, results: &[ToolResult]) -> Result<Vec<EncodedToolResult>, Failure> {
        tools::tool_results(results, &self.attachments)
    }

    /// Refuses images of a brief that models cannot see: before any turn begins, where there are several.
    pub fn check_images(&self, brief: &Brief) -> Result<(), Failure> {
        brief.input.iter().try_for_each(|item| match item {
            InputItem::Attachment(number) => self.attachments.expect_image(*number),
            InputItem::Text(_) => Ok(()),
        })
    }

    /// Where an attachment stood in the request.
    pub(crate) fn path(&self, attachment: u32) -> Option<&str> {
        self.attachments.path(attachment)
    }
}

impl HistoryItem {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(item) => item.get().len(),
            Self::Illustrated { bytes, .. } => *bytes,
        }
    }

    /// Bytes without the attachments.
    fn held(&self) -> usize {
        match self {
            Self::Plain(item) => item.get().len(),
            Self::Illustrated { own, .. } => *own,
        }
    }

    /// As it is sent.
    fn written(&self, attachments: &Attachments) -> Result<Cow<'_, RawValue>, Failure> {
        let mut item = match self {
            Self::Plain(item) => return Ok(Cow::Borrowed(item)),
            Self::Illustrated { item, .. } => item.clone(),
        };
        for member in PART_LISTS {
            // Not by index, which panics where a policy wrote something that is no object.
            let parts = item.get_mut(member).and_then(Value::as_array_mut);
            for part in parts.into_iter().flatten() {
                if let Some(number) = attachment_of(part) {
                    part["image_url"] = url(attachments, number)?.into();
                }
            }
        }
        raw(&item).map(Cow::Owned)
    }
}

/// Some items of a history.
pub(crate) struct Portion<'a> {
    pub(super) items: Vec<&'a HistoryItem>,
    /// Of all of them, about.
    pub(crate) bytes: usize,
    pub(super) attachments: &'a Attachments,
}

impl<'a> Portion<'a> {
    /// The items as they are sent: not made before there is room for them.
    pub(crate) fn written(&self) -> Result<Vec<Cow<'a, RawValue>>, Failure> {
        let items = self.items.iter();
        items.map(|item| item.written(self.attachments)).collect()
    }
}

/// How many items of these sizes each portion has, and how many bytes.
pub(super) fn portions(sizes: Vec<usize>) -> Vec<(usize, usize)> {
    let mut portions: Vec<(usize, usize)> = Vec::new();
    for size in sizes {
        match portions.last_mut() {
            Some((count, bytes)) if *bytes + size <= INJECT_BYTES => {
                *count += 1;
                *bytes += size;
            }
            _ => portions.push((1, size)),
        }
    }
    portions
}
