//! What a turn asks of the model: how many requests it has made, and since when the model owes it an answer. Pure.
//!
//! Codex reports no request to the model as such. `thread/tokenUsage/updated` follows each response whose usage the model
//! reports, and `rawResponse/completed` each response of a thread with raw events (0.163.0, 0.169.0). Where Codex answers a
//! call itself, because the model called what it was not offered, nothing else is reported.

use airlock_wire::decode::TurnError;
use tokio::time::Instant;

/// The requests to the model for one response to a client.
#[derive(Debug, Default)]
pub(super) struct UpstreamRequests {
    /// Responses that `thread/tokenUsage/updated` has counted.
    usages: usize,
    /// Responses that `rawResponse/completed` has counted.
    raw: usize,
    /// Usages still to come of responses to an earlier request of the client: of a turn that waits for its client's tools,
    /// Codex reports the usage only when it goes on.
    owed: usize,
    /// The response in progress has a message: it may be the last.
    message: bool,
    /// The turn has begun, so the model has been asked.
    begun: bool,
    /// Since when the model is awaited. None: it is answering, or not asked.
    awaited: Option<Instant>,
    /// Why Codex asks the model again, while it is awaited.
    error: Option<TurnError>,
}

impl UpstreamRequests {
    /// The turn begins, or goes on with what its client has brought.
    pub(super) fn begin(&mut self, now: Instant) {
        *self = Self {
            owed: self.owed + self.raw.saturating_sub(self.usages),
            begun: true,
            awaited: Some(now),
            ..Self::default()
        };
    }

    /// The model has sent something. True: it was awaited.
    pub(super) fn answered(&mut self) -> bool {
        let awaited = self.awaited.take().is_some();
        if awaited {
            self.error = None;
            self.message = false;
        }
        awaited
    }

    /// The model has sent some of a message.
    pub(super) fn has_message(&mut self) {
        self.message = true;
    }

    /// A response is whole, by its usage. True: the model was awaited, so this is the first of that response.
    pub(super) fn used(&mut self, now: Instant) -> bool {
        if self.owed > 0 {
            self.owed -= 1;
            return false;
        }
        self.usages += 1;
        // The raw event of the same response has come before.
        if self.usages <= self.raw {
            return false;
        }
        let awaited = self.answered();
        self.awaited = Some(now);
        awaited
    }

    /// A response is whole, by its raw event.
    pub(super) fn responded(&mut self, now: Instant) {
        self.raw += 1;
        self.awaited = Some(now);
    }

    /// Whether the turn has made as many requests as it may, and goes on. A response without a message is a call that Codex
    /// answers by itself, so another request follows.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        let made = self.usages.max(self.raw);
        made > limit || (made == limit && !self.message)
    }

    /// Codex asks the model again.
    pub(super) fn retried(&mut self, error: TurnError, now: Instant) {
        self.awaited.get_or_insert(now);
        self.error = Some(error);
    }

    /// Since when the model is awaited.
    pub(super) fn awaited_since(&self) -> Option<Instant> {
        self.awaited
    }

    /// Whether the model has sent some of an answer, and will send more.
    pub(super) fn is_answering(&self) -> bool {
        self.begun && self.awaited.is_none()
    }

    /// Why Codex has asked it again since.
    pub(super) fn error(&self) -> Option<&TurnError> {
        self.error.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests of a turn that makes this many before the last response has a message, and whether each response is
    /// taken for one too many.
    fn exceeded(
        requests: &mut UpstreamRequests,
        raw: bool,
        limit: usize,
        responses: usize,
    ) -> Vec<bool> {
        let now = Instant::now();
        let mut exceeded = Vec::new();
        for response in 1..=responses {
            if response == responses {
                requests.answered();
                requests.has_message();
            }
            if raw {
                requests.answered();
                requests.responded(now);
            }
            requests.used(now);
            exceeded.push(requests.exceeds(limit));
        }
        exceeded
    }

    #[test]
    fn as_many_responses_as_are_allowed_may_come_before_the_answer_ends() {
        for raw in [true, false] {
            let mut requests = UpstreamRequests::default();
            requests.begin(Instant::now());
            assert_eq!(exceeded(&mut requests, raw, 3, 3), [false, false, false]);
            requests.begin(Instant::now());
            assert_eq!(
                exceeded(&mut requests, raw, 3, 4),
                [false, false, true, true]
            );
        }
    }

    #[test]
    fn a_model_is_awaited_from_each_request_to_its_first_event() {
        let now = Instant::now();
        let mut requests = UpstreamRequests::default();
        assert!(!requests.answered(), "nothing was asked yet");
        assert!(!requests.is_answering());
        requests.begin(now);
        assert_eq!(requests.awaited_since(), Some(now));
        assert!(!requests.is_answering());
        assert!(requests.answered() && !requests.answered());
        assert_eq!(requests.awaited_since(), None);
        assert!(requests.is_answering());
        requests.responded(now);
        assert!(!requests.used(now), "it is of the same response");
        assert_eq!(requests.awaited_since(), Some(now));
        assert!(requests.used(now), "a response of nothing but a call");
        requests.begin(now);
        requests.responded(now);
        requests.begin(now);
        assert!(!requests.used(now), "it is of a response before");
        assert!(requests.used(now));
    }
}
