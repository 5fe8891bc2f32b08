//! How a policy fails, and what a client hears of it.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// Seconds after which a request that found no free sandbox may come back.
const RETRY_SECONDS: u32 = 1;

/// A call into a policy that did not give a usable answer. After one, its session is good for nothing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It crashed, or broke the rules of the boundary itself.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// It took longer than a call may.
    #[error("the policy used up its time")]
    TimedOut,
    /// It was refused memory, and did not survive that.
    #[error("the policy used up its memory")]
    OutOfMemory,
    /// It answered, but not what the contract asks for.
    #[error("the policy broke its contract: {0}")]
    Contract(String),
    /// It said more than it may.
    #[error("the policy gave out too much: {0}")]
    TooLong(String),
    /// One of its limits ran out over a large answer, and the message for the client. No fault of the policy.
    #[error("{0}, over a large answer")]
    AnswerTooLarge(Box<Fault>, String),
    /// Every sandbox is in use.
    #[error("no sandbox is free: {0}")]
    Exhausted(String),
}

impl Fault {
    /// What an error of the engine means. `refused`: this sandbox has asked for more memory than it may have.
    pub(super) fn from_error(error: &wasmtime::Error, refused: bool) -> Self {
        if let Some(limit) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            return Fault::Exhausted(limit.to_string());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Fault::TimedOut,
            _ if refused || is_too_much(error) => Fault::OutOfMemory,
            _ => Fault::Trapped(format!("{error:?}")),
        }
    }
}

/// Whether the policy handed out more than its memory could hold. wasmtime 48 keeps the error's type to itself.
fn is_too_much(error: &wasmtime::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}

impl Fault {
    /// A word for counting. None: the policy is not to blame.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Fault::Trapped(_) => Some("trap"),
            Fault::TimedOut => Some("timeout"),
            Fault::OutOfMemory => Some("memory"),
            Fault::Contract(_) => Some("contract"),
            Fault::TooLong(_) => Some("output"),
            Fault::AnswerTooLarge(cause, _) => cause.kind(),
            Fault::Exhausted(_) => None,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let failure = match &fault {
            Fault::AnswerTooLarge(_, message) => {
                Failure::new(ProblemKind::Upstream, "answer_too_large", message.clone())
            }
            Fault::Exhausted(_) => Failure::new(
                ProblemKind::Overloaded,
                "gateway_busy",
                "The gateway serves as many requests as it can. Try again in a moment.",
            )
            .retry_after(RETRY_SECONDS),
            Fault::Trapped(_)
            | Fault::TimedOut
            | Fault::OutOfMemory
            | Fault::Contract(_)
            | Fault::TooLong(_) => Failure::new(
                ProblemKind::Internal,
                "policy_failed",
                "The gateway's policy failed on this request. The log has the cause under the request's id.",
            ),
        };
        failure.because(fault)
    }
}
