//! Converts the decoder's types to those of WIT.

use airlock_wire::decode;
use serde_json::value::RawValue;

use airlock_types::wit::{EventKind, Notification, Phase, Usage};

/// A notification without a type of its own in WIT: its method and parameters.
pub(super) fn verbatim((method, params): (&str, &RawValue)) -> EventKind {
    EventKind::Other(Notification {
        method: method.to_owned(),
        params: params.get().to_owned(),
    })
}

/// The phase of a message.
pub(super) fn phase(phase: decode::MessagePhase) -> Phase {
    match phase {
        decode::MessagePhase::Commentary => Phase::Commentary,
        decode::MessagePhase::FinalAnswer => Phase::FinalAnswer,
    }
}

/// The tokens that a turn has used.
pub(super) fn usage(usage: decode::Usage) -> Usage {
    Usage {
        input: usage.input,
        cached: usage.cached,
        output: usage.output,
        reasoning: usage.reasoning,
    }
}
