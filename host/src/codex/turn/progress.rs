//! What others than its reply must know of a turn.

/// What a notification told, besides of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codex) enum TurnNotice {
    Turn,
    /// The model took the account's credentials.
    AccountTaken,
    /// It did not.
    AccountRefused,
}

/// What the turn's task must know of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::codex) struct Progress {
    /// Codex has begun: from here on it can be interrupted.
    pub(in crate::codex) started: bool,
    /// Codex has ended it.
    pub(in crate::codex) ended: bool,
    /// Nobody wants it any more.
    pub(in crate::codex) abandoned: bool,
    /// It waits for its client.
    pub(in crate::codex) parked: bool,
    /// Calls whose results Codex waits for.
    pub(in crate::codex) open: usize,
    /// There are answers to give to Codex.
    pub(in crate::codex) answers: bool,
    /// How often the model has begun to answer a request.
    pub(in crate::codex) answered: u32,
    /// How often one of its responses was whole.
    pub(in crate::codex) responded: u32,
    /// How often Codex has reported a request to the model that failed.
    pub(in crate::codex) failed: u32,
    /// The turn was stopped because it made too many requests to the model.
    pub(in crate::codex) loops: bool,
}
