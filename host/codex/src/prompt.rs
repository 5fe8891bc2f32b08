//! A plan in Codex's format: items to inject, the input of `turn/start`, and attachments as data URLs again. Pure.

mod conversation; // the part that the turns of a request share
mod items; // checks of the history's items
mod tools; // tools and their results in Codex's format

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

pub use self::conversation::Conversation;
pub(super) use self::conversation::Portion;
use self::conversation::{HistoryItem, portions};
use super::protocol::{DynamicTool, INPUT_CHARS, UserInput};
use airlock_attachments::Attachments;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, InputItem, ProblemKind};

/// How many times a plan may name all attachments.
const NAMED_AT_MOST: usize = 2;

/// The prompt of one turn.
#[derive(Debug)]
pub(super) struct Prompt {
    conversation: Arc<Conversation>,
    pub(super) model: Option<String>,
    pub(super) effort: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) verbosity: Option<String>,
    pub(super) instructions: Arc<str>,
    /// An item that follows the conversation's history.
    further: Option<HistoryItem>,
    pub(super) output_schema: Option<Box<RawValue>>,
    /// Whether the turn may call the conversation's tools.
    calls: bool,
    input: Vec<PromptInput>,
}

#[derive(Debug)]
enum PromptInput {
    Text(String),
    /// The attachment of this number.
    Image(u32),
}

impl Prompt {
    /// Converts a brief to Codex's format.
    ///
    /// # Errors
    /// The policy has written something that it must not; the failure is the policy's.
    pub(super) fn new(conversation: Arc<Conversation>, brief: Brief) -> Result<Self, Failure> {
        let attachments = &conversation.attachments;
        let mut expansion = AttachmentExpansion::of(attachments);
        let input = brief.input.into_iter().map(|item| match item {
            InputItem::Text(text) => Ok(PromptInput::Text(text)),
            InputItem::Attachment(number) => expansion
                .url(number)
                .map(|_fits| PromptInput::Image(number)),
        });
        let mut input = input.collect::<Result<Vec<_>, _>>()?;
        let mut further = None;
        let characters: usize = input.iter().map(PromptInput::characters).sum();
        if characters > INPUT_CHARS || input.iter().any(PromptInput::may_be_interpreted) {
            // The model sees an injected item exactly as it would see the input, and Codex does not interpret it.
            further = Some(HistoryItem::Plain(raw(&UserMessage::of(
                &input,
                attachments,
            ))?));
            input.clear();
        }
        let instructions = paragraphs(&conversation.instructions, &brief.instructions);
        // Codex sends the instructions as the first message (0.163.0, 0.169.0), so they suffice.
        let is_empty = instructions.is_empty() && conversation.history.is_empty();
        if is_empty && further.is_none() && input.is_empty() {
            return Err(policy_failure("the conversation and the brief are empty"));
        }
        let output_schema = match brief.output_schema {
            Some(schema) => Some(verbatim(schema)?),
            None => None,
        };
        let named = brief.model.or_else(|| conversation.model.clone());
        Ok(Self {
            model: named.map(|model| model.name),
            effort: brief.effort.map(|effort| effort.name),
            summary: brief.summary,
            verbosity: brief.verbosity,
            instructions,
            conversation,
            further,
            output_schema,
            calls: brief.tools,
            input,
        })
    }

    /// The items to inject, in portions for one call each.
    pub(super) fn portions(&self) -> impl Iterator<Item = Portion<'_>> {
        let items: Vec<&HistoryItem> = self
            .conversation
            .history
            .iter()
            .chain(&self.further)
            .collect();
        let sizes: Vec<usize> = items.iter().map(|item| item.bytes()).collect();
        let mut items = items.into_iter();
        portions(sizes)
            .into_iter()
            .map(move |(count, bytes)| Portion {
                items: items.by_ref().take(count).collect(),
                bytes,
                attachments: &self.conversation.attachments,
            })
    }

    /// The tools that the turn may call.
    pub(super) fn tools(&self) -> &[DynamicTool] {
        if self.calls {
            &self.conversation.tools
        } else {
            &[]
        }
    }

    /// The approximate bytes of the parameters of `thread/start`.
    pub(super) fn opening_bytes(&self) -> usize {
        let tools = self
            .tools()
            .iter()
            .map(|tool| tool.name.len() + tool.description.len() + tool.input_schema.get().len());
        self.instructions.len() + tools.sum::<usize>()
    }

    /// The approximate bytes of the parameters of `turn/start`.
    pub(super) fn input_bytes(&self) -> usize {
        let schema = self
            .output_schema
            .as_ref()
            .map_or(0, |schema| schema.get().len());
        let input = self.input().into_iter().map(|item| match item {
            UserInput::Text { text } => text.len(),
            UserInput::Image { url } => url.len(),
        });
        schema + input.sum::<usize>()
    }

    /// The input of `turn/start`. Empty if all of the conversation is injected.
    pub(super) fn input(&self) -> Vec<UserInput<'_>> {
        let items = self.input.iter().map(|item| match item {
            PromptInput::Text(text) => UserInput::Text { text },
            PromptInput::Image(number) => UserInput::Image {
                url: self
                    .conversation
                    .attachments
                    .url(*number)
                    .unwrap_or_default(),
            },
        });
        items.collect()
    }
}

/// The shared instructions and the brief's, with a blank line between them.
fn paragraphs(shared: &Arc<str>, own: &str) -> Arc<str> {
    match (shared.is_empty(), own.is_empty()) {
        (_, true) => shared.clone(),
        (true, false) => own.into(),
        (false, false) => [shared, "\n\n", own].concat().into(),
    }
}

impl PromptInput {
    /// Whether Codex may interpret some of the text as the input of `turn/start`: 0.163.0 and 0.169.0 look for skills (`$name`,
    /// `[$name](path)`) and plugins (`@name`), and add these to the conversation. The other characters begin paths, commands,
    /// tags and links, which another version may look for.
    fn may_be_interpreted(&self) -> bool {
        let begins = |byte: u8| matches!(byte, b'$' | b'@' | b'/' | b'!' | b'#' | b'<' | b'[');
        match self {
            PromptInput::Text(text) => text.bytes().any(begins),
            PromptInput::Image(_) => false,
        }
    }

    fn characters(&self) -> usize {
        match self {
            PromptInput::Text(text) => text.chars().count(),
            PromptInput::Image(_) => 0,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "message")]
struct UserMessage<'a> {
    role: &'static str,
    content: Vec<UserMessagePart<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum UserMessagePart<'a> {
    InputText { text: &'a str },
    InputImage { image_url: Option<&'a str> },
}

impl<'a> UserMessage<'a> {
    fn of(input: &'a [PromptInput], attachments: &'a Attachments) -> Self {
        let parts = input.iter().map(|item| match item {
            PromptInput::Text(text) => UserMessagePart::InputText { text },
            PromptInput::Image(number) => UserMessagePart::InputImage {
                image_url: attachments.url(*number),
            },
        });
        Self {
            role: "user",
            content: parts.collect(),
        }
    }
}

/// Bytes of a brief, without attachments.
pub fn brief_bytes(brief: &Brief) -> usize {
    let texts = brief.input.iter().map(|item| match item {
        InputItem::Text(text) => text.len(),
        InputItem::Attachment(_) => 0,
    });
    let schema = brief.output_schema.as_ref().map_or(0, String::len);
    texts.sum::<usize>() + brief.instructions.len() + schema
}

/// The first attachment that a turn would show to its model.
pub(super) fn first_attachment(conversation: &Conversation, brief: &Brief) -> Option<u32> {
    let own = brief.input.iter().find_map(|item| match item {
        InputItem::Attachment(number) => Some(*number),
        InputItem::Text(_) => None,
    });
    conversation.image.or(own)
}

/// JSON of a policy, verbatim, which keeps the order of members. It must be one line, as messages to Codex are lines: a line
/// break would end the gateway's message and begin one of the policy's.
fn verbatim(json: String) -> Result<Box<RawValue>, Failure> {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        return Err(policy_failure("JSON of more than one line"));
    }
    RawValue::from_string(json).map_err(|error| policy_failure(error.to_string()))
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    serde_json::value::to_raw_value(value).map_err(|error| policy_failure(error.to_string()))
}

fn url(attachments: &Attachments, number: u32) -> Result<&str, Failure> {
    attachments
        .url(number)
        .ok_or_else(|| policy_failure("an attachment that does not exist"))
}

/// The budget of bytes for attachments, each of which a policy may name repeatedly.
struct AttachmentExpansion<'a> {
    attachments: &'a Attachments,
    left: usize,
}

impl<'a> AttachmentExpansion<'a> {
    fn of(attachments: &'a Attachments) -> Self {
        let left = attachments.bytes().saturating_mul(NAMED_AT_MOST);
        Self { attachments, left }
    }

    /// The data URL of an attachment that is shown as an image.
    ///
    /// # Errors
    /// There is no such attachment, it is not an image, or the budget is exhausted.
    fn url(&mut self, number: u32) -> Result<&'a str, Failure> {
        let url = url(self.attachments, number)?;
        self.attachments.expect_image(number)?;
        let left = self.left.checked_sub(url.len());
        self.left = left.ok_or_else(|| policy_failure("attachments are named too often"))?;
        Ok(url)
    }
}

fn policy_failure(cause: impl Into<String>) -> Failure {
    Failure::new(
        ProblemKind::Internal,
        "policy_failed",
        "the gateway's policy could not handle the request",
    )
    .because(cause.into())
}

#[cfg(test)]
mod tests;
