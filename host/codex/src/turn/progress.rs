//! What others than its reply must know of a turn.

/// What a notification told, besides of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnNotice {
    Turn,
    /// The model took the account's credentials.
    AccountTaken,
    /// It did not.
    AccountRefused,
}

/// What the turn's task must know of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Codex has begun: from here on it can be interrupted.
    pub(crate) started: bool,
    /// Codex has ended it.
    pub(crate) ended: bool,
    /// Nobody wants it any more.
    pub(crate) abandoned: bool,
    /// It waits for its client.
    pub(crate) parked: bool,
    /// Calls whose results Codex waits for.
    pub(crate) open: usize,
    /// There are answers to give to Codex.
    pub(crate) answers: bool,
    /// How often the model has begun to answer a request.
    pub(crate) answered: u32,
    /// How often one of its responses was whole.
    pub(crate) responded: u32,
    /// How often Codex has reported a request to the model that failed.
    pub(crate) failed: u32,
    /// The turn was stopped because it made too many requests to the model.
    pub(crate) loops: bool,
}
