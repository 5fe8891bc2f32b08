//! The calls that wait for an answer. Pure: no I/O, no clock.

use std::collections::HashMap;

use airlock_wire::decode::RpcError;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

/// What Codex answered: a result, or an error of its own.
pub(super) type Answer = Result<Box<RawValue>, RpcError>;

/// The calls of one connection, by our own ids. Codex numbers its requests independently: those never come here.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    closed: bool,
}

impl Pending {
    /// A new call's id and its answer; `None` once the connection has closed.
    pub(super) fn open(&mut self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        if self.closed {
            return None;
        }
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.calls.insert(self.next, sender);
        Some((self.next, receiver))
    }

    /// Hands an answer to its call. False if nobody waits for it (any more).
    pub(super) fn settle(&mut self, id: u64, answer: Answer) -> bool {
        self.calls
            .remove(&id)
            .is_some_and(|call| call.send(answer).is_ok())
    }

    /// Gives up a call.
    pub(super) fn forget(&mut self, id: u64) {
        self.calls.remove(&id);
    }

    /// Fails every waiting call, and every later one.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.calls.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn answers_find_their_call_in_any_order() {
        let mut pending = Pending::default();
        let (first, mut one) = pending.open().unwrap();
        let (second, mut two) = pending.open().unwrap();
        assert_ne!(first, second);
        assert!(pending.settle(second, Ok(raw("2"))));
        assert!(pending.settle(first, Ok(raw("1"))));
        assert_eq!(one.try_recv().unwrap().unwrap().get(), "1");
        assert_eq!(two.try_recv().unwrap().unwrap().get(), "2");
    }

    #[test]
    fn an_answer_nobody_waits_for_is_reported_and_harmless() {
        let mut pending = Pending::default();
        let (id, _kept) = pending.open().unwrap();
        pending.forget(id);
        assert!(!pending.settle(id, Ok(raw("1"))));
        assert!(!pending.settle(999, Ok(raw("1"))));
    }

    #[test]
    fn closing_fails_those_who_wait_and_those_who_come() {
        let mut pending = Pending::default();
        let (_, mut waiting) = pending.open().unwrap();
        pending.close();
        assert!(waiting.try_recv().is_err());
        assert!(pending.open().is_none());
    }
}
