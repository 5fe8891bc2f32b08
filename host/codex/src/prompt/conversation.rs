//! The part of a plan that all turns of a request share: items to inject, and the attachments that they name.

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

/// Bytes of items in one `thread/inject_items` (0.169.0 accepted 4 MiB). A single item may be larger, as items are never cut.
pub(super) const INJECT_BYTES: usize = 2 << 20;

/// The part of a plan that all turns of a request share. It is in memory once, with its attachments.
#[derive(Debug)]
pub struct Conversation {
    /// The model of turns whose brief names none.
    pub(crate) model: Option<Selection>,
    pub(super) instructions: Arc<str>,
    pub(super) history: Vec<HistoryItem>,
    /// The tools of turns whose brief allows tools.
    pub(super) tools: Vec<DynamicTool>,
    /// The first attachment that the history names.
    pub(super) image: Option<u32>,
    pub(super) attachments: Attachments,
    /// The conversation's share of the memory budget of all bodies, released with the conversation.
    _memory: MemoryShare,
}

/// An item of the history.
#[derive(Debug)]
pub(super) enum HistoryItem {
    Plain(Box<RawValue>),
    /// An item that names attachments. They are inserted only when the item is sent, so that they are in memory once.
    Illustrated {
        item: Value,
        /// Bytes without the attachments, and with them.
        own: usize,
        bytes: usize,
    },
}

impl Conversation {
    /// Converts the shared part of a plan to Codex's format.
    ///
    /// # Errors
    /// The policy has written something that it must not; the failure is the policy's.
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

    /// Makes the conversation hold its share of the memory budget.
    pub fn with_memory(self, memory: MemoryShare) -> Self {
        Self {
            _memory: memory,
            ..self
        }
    }

    /// The approximate bytes of the conversation in memory.
    pub fn bytes(&self) -> usize {
        let history: usize = self.history.iter().map(HistoryItem::held).sum();
        history + self.attachments.bytes() + self.instructions.len()
    }

    /// Whether the conversation has tools.
    pub(crate) fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Encodes the results of tool calls for a parked turn.
    ///
    /// # Errors
    /// A result names an attachment that does not exist or is not an image.
    pub fn tool_results(&self, results: &[ToolResult]) -> Result<Vec<EncodedToolResult>, Failure> {
        tools::tool_results(results, &self.attachments)
    }

    /// Checks the images of a brief, before any turn begins.
    ///
    /// # Errors
    /// An attachment is not an image that models accept.
    pub fn check_images(&self, brief: &Brief) -> Result<(), Failure> {
        brief.input.iter().try_for_each(|item| match item {
            InputItem::Attachment(number) => self.attachments.expect_image(*number),
            InputItem::Text(_) => Ok(()),
        })
    }

    /// The path of an attachment in the client's request.
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

    /// The item as it is sent, with its attachments.
    fn written(&self, attachments: &Attachments) -> Result<Cow<'_, RawValue>, Failure> {
        let mut item = match self {
            Self::Plain(item) => return Ok(Cow::Borrowed(item)),
            Self::Illustrated { item, .. } => item.clone(),
        };
        for member in PART_LISTS {
            // `get_mut`, as an index panics if the policy wrote something other than an object.
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
    /// The approximate bytes of all items.
    pub(crate) bytes: usize,
    pub(super) attachments: &'a Attachments,
}

impl<'a> Portion<'a> {
    /// The items as they are sent. Called once memory is reserved for them.
    pub(crate) fn written(&self) -> Result<Vec<Cow<'a, RawValue>>, Failure> {
        let items = self.items.iter();
        items.map(|item| item.written(self.attachments)).collect()
    }
}

/// The number of items and the bytes of each portion, for items of these sizes.
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
