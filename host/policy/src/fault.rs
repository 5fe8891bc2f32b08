//! The failures of calls into a policy, and the client's errors for them.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use airlock_types::failure::Failure;
use airlock_types::wit::ProblemKind;

/// `Retry-After`, in seconds, of a request that found no free sandbox.
const RETRY_SECONDS: u32 = 1;

/// Why a call into a policy has no usable result. Every later call of its session fails.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The policy crashed, or broke the rules of the component model.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// The policy exceeded the time of a call or request.
    #[error("the policy used up its time")]
    TimedOut,
    /// The policy trapped after it was refused memory.
    #[error("the policy used up its memory")]
    OutOfMemory,
    /// The policy's result breaks the contract.
    #[error("the policy broke its contract: {0}")]
    Contract(String),
    /// The policy exceeded a limit of output.
    #[error("the policy gave out too much: {0}")]
    TooLong(String),
    /// A limit was exceeded because the answer is large, which is not a fault of the policy. With the client's message.
    #[error("{0}, over a large answer")]
    AnswerTooLarge(Box<Fault>, String),
    /// Every sandbox is in use.
    #[error("no sandbox is free: {0}")]
    Exhausted(String),
}

impl Fault {
    /// The fault of an error of the engine. `refused`: whether the sandbox was refused memory.
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

/// Whether the result of a call exceeds the fuel for host calls. wasmtime 48 does not export the error's type.
fn is_too_much(error: &wasmtime::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}

impl Fault {
    /// The label of its metric. `None` if it is not a fault of the policy.
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
