//! What Codex tells, in the boundary's words.

use airlock_wire::decode;
use serde_json::value::RawValue;

use crate::wit::{EventKind, Notification, Phase, Usage};

/// What has no words of its own: a notification's method and parameters.
pub(super) fn verbatim((method, params): (&str, &RawValue)) -> EventKind {
    EventKind::Other(Notification {
        method: method.to_owned(),
        params: params.get().to_owned(),
    })
}

impl From<decode::Phase> for Phase {
    fn from(phase: decode::Phase) -> Self {
        match phase {
            decode::Phase::Commentary => Self::Commentary,
            decode::Phase::FinalAnswer => Self::FinalAnswer,
        }
    }
}

impl From<decode::Usage> for Usage {
    fn from(usage: decode::Usage) -> Self {
        Self {
            input: usage.input,
            cached: usage.cached,
            output: usage.output,
            reasoning: usage.reasoning,
        }
    }
}
