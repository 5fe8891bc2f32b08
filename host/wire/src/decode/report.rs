//! What is told of a turn.

use std::borrow::Cow;

use serde::Deserialize;

use super::TurnError;

/// What a notification says about a turn.
#[derive(Debug)]
pub enum Report<'a> {
    /// It begins.
    TurnStarted {
        /// Its id.
        turn: Cow<'a, str>,
    },
    /// A message begins. It has no text yet.
    MessageStarted {
        /// The message's id, as of all items.
        item: Cow<'a, str>,
        /// What it is for.
        phase: Option<Phase>,
    },
    /// A piece of a message.
    MessageDelta {
        /// The message's id.
        item: Cow<'a, str>,
        /// What is added.
        text: Cow<'a, str>,
    },
    /// A message is whole.
    MessageCompleted {
        /// The message's id.
        item: Cow<'a, str>,
        /// What it is for.
        phase: Option<Phase>,
        /// All of it.
        text: Cow<'a, str>,
    },
    /// A message as the model wrote it. Codex cuts parts out of what the three reports above carry (0.169.0:
    /// `<oai-mem-citation>`); this comes after `MessageCompleted`, and also of messages that we injected.
    RawMessage {
        /// The message's id, the same as in `MessageStarted`.
        item: Cow<'a, str>,
        /// All of it.
        text: Cow<'a, str>,
    },
    /// The model wrote an item of a type that Codex does not know, and so drops.
    UnknownItem,
    /// A piece of the model's reasoning.
    ReasoningDelta {
        /// The reasoning's id.
        item: Cow<'a, str>,
        /// Which part of it.
        index: u32,
        /// Whether it is the reasoning itself, and not a summary of it.
        raw: bool,
        /// What is added.
        text: Cow<'a, str>,
    },
    /// Some of the model's reasoning is whole.
    ReasoningCompleted {
        /// The reasoning's id.
        item: Cow<'a, str>,
        /// Its summary, part by part.
        summary: Vec<String>,
    },
    /// What we said ourselves, images and all, or what is told besides.
    Echo,
    /// Codex has taken what came of a call.
    Taken,
    /// The model called a tool.
    Called {
        /// The call's id.
        call: Cow<'a, str>,
    },
    /// What came of a call goes to the model.
    Returned {
        /// The call's id.
        call: Cow<'a, str>,
    },
    /// A response of the model is whole, and what it used.
    Responded(Option<Usage>),
    /// Codex begins to summarise the conversation, because it no longer fits.
    Compacting,
    /// What the thread has used so far. It comes once for each of the model's responses.
    Usage(Usage),
    /// The model's stream broke; Codex asks it again.
    Retrying(TurnError),
    /// Announces the failure that `TurnCompleted` will bring.
    Failing,
    /// It has ended.
    TurnCompleted {
        /// How.
        status: Status,
        /// Why, where it failed.
        error: Option<TurnError>,
    },
    /// What we do not know, or what is not as we know it.
    Other,
}

impl Report<'_> {
    /// Whether the model itself says something.
    pub fn is_of_model(&self) -> bool {
        matches!(
            self,
            Self::MessageStarted { .. }
                | Self::MessageDelta { .. }
                | Self::MessageCompleted { .. }
                | Self::ReasoningDelta { .. }
                | Self::ReasoningCompleted { .. }
                | Self::Called { .. }
                | Self::Responded(_)
        )
    }

    /// Whether it says all that anybody wants to know. Other notifications may have to be passed on verbatim.
    pub fn says_all(&self) -> bool {
        !matches!(
            self,
            Self::Called { .. } | Self::Returned { .. } | Self::Responded(_) | Self::Other
        )
    }
}

/// How Codex says that a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// It came to its end.
    Completed,
    /// It was told to end.
    Interrupted,
    /// It could not go on.
    Failed,
    /// In a way that we do not know.
    #[serde(other)]
    Unknown,
}

/// What a message is for, where the model says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// On the way to the answer.
    Commentary,
    /// The answer.
    FinalAnswer,
}

impl Phase {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "commentary" => Some(Self::Commentary),
            "final_answer" => Some(Self::FinalAnswer),
            _ => None,
        }
    }
}

/// Tokens used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Those that the model read.
    pub input: u64,
    /// Of `input`, those read from the model's cache.
    pub cached: u64,
    /// Those that the model wrote.
    pub output: u64,
    /// Of `output`, those spent on reasoning.
    pub reasoning: u64,
}
