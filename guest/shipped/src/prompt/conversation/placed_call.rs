//! Calls with their place in the request, and the errors of calls and results that do not match.

use crate::tools::FunctionCall;

/// The position of a call or result in the request, for the path of an error: its message, and its index within that
/// message. A dialect whose items are not grouped uses the first alone.
pub(in crate::prompt) type ItemPosition = (usize, usize);

/// A call of a conversation.
pub(super) struct PlacedCall<'de> {
    pub(super) call: FunctionCall<'de>,
    /// Its id upstream, if that is not the client's.
    pub(super) upstream: Option<String>,
    pub(super) position: ItemPosition,
    pub(super) answered: bool,
}

impl PlacedCall<'_> {
    /// The call's id upstream.
    pub(super) fn upstream_id(&self) -> &str {
        self.upstream.as_deref().unwrap_or(&self.call.id)
    }
}

/// A call without a result, or a result without a call. The dialect words it and gives the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prompt) struct CallMismatch {
    pub(in crate::prompt) position: ItemPosition,
    pub(in crate::prompt) kind: CallMismatchKind,
}

/// What is wrong with a call or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::prompt) enum CallMismatchKind {
    /// The call has the id of another call that has no result yet.
    DuplicateCall,
    /// The call has no result.
    MissingResult,
    /// No call before the result has its id.
    MissingCall,
    /// The call of the last reply has a result already.
    DuplicateResult,
    /// The call of an earlier reply has a result already.
    LateResult,
}

impl CallMismatchKind {
    /// Whether the error's position is a call's. Otherwise it is a result's.
    pub(in crate::prompt) fn is_of_call(self) -> bool {
        matches!(self, Self::DuplicateCall | Self::MissingResult)
    }
}
