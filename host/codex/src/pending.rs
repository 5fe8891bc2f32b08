//! Calls that await a response. Pure: no I/O, no clock.

use std::collections::HashMap;

use airlock_wire::decode::RpcError;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

/// The result or the error of a response.
pub(super) type RpcResult = Result<Box<RawValue>, RpcError>;

/// The pending calls of one connection, by the gateway's ids. Codex numbers its own requests independently.
#[derive(Debug, Default)]
pub(super) struct PendingCalls {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<RpcResult>>,
    closed: bool,
}

impl PendingCalls {
    /// Adds a call, and returns its id and the receiver of its response. None: the connection is closed.
    pub(super) fn open(&mut self) -> Option<(u64, oneshot::Receiver<RpcResult>)> {
        if self.closed {
            return None;
        }
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.calls.insert(self.next, sender);
        Some((self.next, receiver))
    }

    /// Delivers a response to its call. False: no such call is pending.
    pub(super) fn settle(&mut self, id: u64, response: RpcResult) -> bool {
        self.calls
            .remove(&id)
            .is_some_and(|call| call.send(response).is_ok())
    }

    /// Removes a call.
    pub(super) fn forget(&mut self, id: u64) {
        self.calls.remove(&id);
    }

    /// Fails every pending call, and every later one.
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
    fn responses_find_their_call_in_any_order() {
        let mut pending = PendingCalls::default();
        let (first, mut one) = pending.open().unwrap();
        let (second, mut two) = pending.open().unwrap();
        assert_ne!(first, second);
        assert!(pending.settle(second, Ok(raw("2"))));
        assert!(pending.settle(first, Ok(raw("1"))));
        assert_eq!(one.try_recv().unwrap().unwrap().get(), "1");
        assert_eq!(two.try_recv().unwrap().unwrap().get(), "2");
    }

    #[test]
    fn an_unexpected_response_is_reported() {
        let mut pending = PendingCalls::default();
        let (id, _receiver) = pending.open().unwrap();
        pending.forget(id);
        assert!(!pending.settle(id, Ok(raw("1"))));
        assert!(!pending.settle(999, Ok(raw("1"))));
    }

    #[test]
    fn closing_fails_pending_and_later_calls() {
        let mut pending = PendingCalls::default();
        let (_, mut waiting) = pending.open().unwrap();
        pending.close();
        assert!(waiting.try_recv().is_err());
        assert!(pending.open().is_none());
    }
}
