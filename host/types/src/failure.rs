//! Failures of requests: a `Problem` for the client and a cause for the log.

use std::fmt;

use crate::wit::{Problem, ProblemKind};

/// A failure of a request. Only `problem` is sent to the client; `cause` goes to the log.
#[derive(Debug)]
pub struct Failure {
    /// All that the client may learn.
    pub problem: Problem,
    /// The cause, for the log alone.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind, with a stable code and a message for the client, and without a cause.
    pub fn new(kind: ProblemKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            problem: Problem {
                kind,
                code: Some(code.to_owned()),
                message: message.into(),
                param: None,
                retry_after_seconds: None,
            },
            cause: None,
        }
    }

    /// The failure of a request that still runs when the drain of a stopping gateway ends. The client may retry after 5 s.
    pub fn stopping() -> Self {
        let message = "the gateway is stopping; try again in a moment";
        Self::new(ProblemKind::Overloaded, "gateway_stopping", message).retry_after(5)
    }

    /// Sets the request's field at fault: `messages[2].content`.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.problem.param = Some(param.into());
        self
    }

    /// Sets the time after which the client may retry, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.problem.retry_after_seconds = Some(seconds);
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            cause: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        failure.problem
    }
}
