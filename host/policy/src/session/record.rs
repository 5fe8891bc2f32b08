//! Records calls into the policy: observers see them, and the release counts their faults.

use super::Session;
use crate::answer_size;
use crate::fault::Fault;
use crate::policy_call::{CallResult, PolicyCall, RecordedCall};

impl Session {
    /// Shows a call to the observers, and counts its fault.
    pub(super) fn record<T>(
        &mut self,
        outcome: Result<T, Fault>,
        policy_call: impl FnOnce() -> PolicyCall,
    ) -> Result<T, Fault>
    where
        CallResult: for<'a> From<&'a T>,
    {
        self.notify(&outcome, policy_call);
        self.count_fault(outcome)
    }

    pub(super) fn notify<T>(
        &mut self,
        outcome: &Result<T, Fault>,
        policy_call: impl FnOnce() -> PolicyCall,
    ) where
        CallResult: for<'a> From<&'a T>,
    {
        if self.observers.is_empty() {
            return;
        }
        let result = match outcome {
            Ok(value) => CallResult::from(value),
            Err(fault) => CallResult::Fault(fault.to_string()),
        };
        let recorded = RecordedCall::new(policy_call(), result);
        self.observers.retain(|observer| observer.send(&recorded));
    }

    /// Counts a fault against the release, unless the size of the answer explains it.
    pub(super) fn count_fault<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.map_err(|fault| {
            self.release.meter().failed(fault.kind());
            let health = self.release.health();
            if !self.answer_size.explains(&fault, self.release.allowance()) {
                health.failed(&fault, self.client, None);
                return fault;
            }
            health.overtaxed(&fault);
            let message = answer_size::too_large(&fault, self.release.allowance());
            Fault::AnswerTooLarge(Box::new(fault), message)
        })
    }
}
