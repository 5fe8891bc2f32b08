//! Reports of a turn, which are the content of a thread's notifications.

use std::borrow::Cow;

use serde::Deserialize;

use super::TurnError;

/// The content of a thread's notification.
#[derive(Debug)]
pub enum TurnReport<'a> {
    /// The turn starts.
    TurnStarted {
        /// The turn's id.
        turn: Cow<'a, str>,
    },
    /// A message starts. It has no text yet.
    MessageStarted {
        /// The item's id.
        item: Cow<'a, str>,
        /// The message's purpose.
        phase: Option<MessagePhase>,
    },
    /// A piece of a message.
    MessageDelta {
        /// The item's id.
        item: Cow<'a, str>,
        /// The text to append.
        text: Cow<'a, str>,
    },
    /// A message is complete.
    MessageCompleted {
        /// The item's id.
        item: Cow<'a, str>,
        /// The message's purpose.
        phase: Option<MessagePhase>,
        /// The whole text.
        text: Cow<'a, str>,
    },
    /// A message exactly as the model wrote it, which follows `MessageCompleted`. Codex cuts parts out of the three reports
    /// above (0.169.0: `<oai-mem-citation>`). Also sent for injected messages.
    RawMessage {
        /// The item's id, as in `MessageStarted`.
        item: Cow<'a, str>,
        /// The whole text.
        text: Cow<'a, str>,
        /// Whether the text has annotations, such as the sources of a web search.
        annotated: bool,
    },
    /// Reasoning or a web search exactly as the model sent it. Also sent for injected items.
    RawItem,
    /// The model sent an item of a type that is unknown to Codex, which drops the item.
    UnknownItem,
    /// A piece of the model's reasoning.
    ReasoningDelta {
        /// The item's id.
        item: Cow<'a, str>,
        /// The part's index.
        index: u32,
        /// Whether this is the reasoning itself. Otherwise it is a summary.
        raw: bool,
        /// The text to append.
        text: Cow<'a, str>,
    },
    /// A reasoning item is complete.
    ReasoningCompleted {
        /// The item's id.
        item: Cow<'a, str>,
        /// The summary's parts.
        summary: Vec<String>,
    },
    /// A repetition of the gateway's own input, or a duplicate of another report.
    Echo,
    /// Codex has accepted the result of a tool call.
    ToolResultAccepted,
    /// The model called a tool.
    ToolCalled {
        /// The call's id.
        call: Cow<'a, str>,
    },
    /// Codex sends the result of a call to the model.
    ToolReturned {
        /// The call's id.
        call: Cow<'a, str>,
    },
    /// A response of the model is complete, with the tokens that it used.
    ResponseCompleted(Option<Usage>),
    /// Codex starts to summarise the conversation, as it does not fit the model any more.
    Compacting,
    /// The thread's usage so far. Reported once for each response of the model.
    Usage(Usage),
    /// The model's stream broke, and Codex repeats the request.
    Retrying(TurnError),
    /// Announces the failure that `TurnCompleted` will report.
    Failing,
    /// The turn has ended.
    TurnCompleted {
        /// How the turn ended.
        status: TurnStatus,
        /// Why the turn failed. None: it did not fail, or Codex reports no error.
        error: Option<TurnError>,
    },
    /// An unknown notification, or one of an unknown shape.
    Other,
}

impl TurnReport<'_> {
    /// Whether this reports output of the model.
    pub fn is_of_model(&self) -> bool {
        matches!(
            self,
            Self::MessageStarted { .. }
                | Self::MessageDelta { .. }
                | Self::MessageCompleted { .. }
                | Self::ReasoningDelta { .. }
                | Self::ReasoningCompleted { .. }
                | Self::ToolCalled { .. }
                | Self::ResponseCompleted(_)
        )
    }

    /// Whether the report replaces its notification. Otherwise the notification may be passed on verbatim.
    pub fn is_self_contained(&self) -> bool {
        !matches!(
            self,
            Self::RawMessage {
                annotated: true,
                ..
            } | Self::RawItem
                | Self::ToolCalled { .. }
                | Self::ToolReturned { .. }
                | Self::ResponseCompleted(_)
                | Self::Other
        )
    }
}

/// A turn's final status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TurnStatus {
    /// The turn ran to its end.
    Completed,
    /// The turn was interrupted.
    Interrupted,
    /// The turn failed.
    Failed,
    /// An unknown status.
    #[serde(other)]
    Unknown,
}

/// The purpose of a message, if the model states one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePhase {
    /// A remark before the answer.
    Commentary,
    /// The answer.
    FinalAnswer,
}

impl MessagePhase {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "commentary" => Some(Self::Commentary),
            "final_answer" => Some(Self::FinalAnswer),
            _ => None,
        }
    }
}

/// Numbers of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens that the model read.
    pub input: u64,
    /// Tokens of `input` that were cached.
    pub cached: u64,
    /// Tokens that the model wrote.
    pub output: u64,
    /// Tokens of `output` that are reasoning.
    pub reasoning: u64,
}
