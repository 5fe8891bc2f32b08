//! What Codex tells, in the boundary's words.

use airlock_wire::decode;

use crate::wit::{Phase, Usage};

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
