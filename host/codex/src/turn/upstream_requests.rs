//! A turn's requests to the model: how many it has made, and since when a response is awaited. Pure.
//!
//! Codex does not report its requests, so they are counted by responses. `thread/tokenUsage/updated` follows each response
//! whose usage the model reports, and `rawResponse/completed` each response of a thread with raw events (0.163.0, 0.169.0). If
//! the model calls a tool that it was not offered, Codex answers the call itself and reports nothing else.

use airlock_wire::decode::TurnError;
use tokio::time::Instant;

/// The requests to the model for one response to a client.
#[derive(Debug, Default)]
pub(super) struct UpstreamRequests {
    /// Responses that `thread/tokenUsage/updated` has counted.
    usages: usize,
    /// Responses that `rawResponse/completed` has counted.
    raw: usize,
    /// Usages still to come for responses to the client's previous request: Codex reports the usage of a turn that waits for
    /// tools only when the turn goes on.
    owed: usize,
    /// The response in progress has a message, so it may be the last.
    message: bool,
    /// The turn has begun, and so has sent a request.
    begun: bool,
    /// Since when a response is awaited. None: the model is answering, or has received no request.
    awaited: Option<Instant>,
    /// Why Codex repeated the request, while the response to the repetition is awaited.
    error: Option<TurnError>,
}

impl UpstreamRequests {
    /// Records that the turn begins, or goes on with the client's results.
    pub(super) fn begin(&mut self, now: Instant) {
        *self = Self {
            owed: self.owed + self.raw.saturating_sub(self.usages),
            begun: true,
            awaited: Some(now),
            ..Self::default()
        };
    }

    /// Records output of the model. True: a response was awaited, and this is its beginning.
    pub(super) fn answered(&mut self) -> bool {
        let awaited = self.awaited.take().is_some();
        if awaited {
            self.error = None;
            self.message = false;
        }
        awaited
    }

    /// Records that the response in progress has a message.
    pub(super) fn has_message(&mut self) {
        self.message = true;
    }

    /// Records the usage of a complete response. True: this is the first report of that response.
    pub(super) fn used(&mut self, now: Instant) -> bool {
        if self.owed > 0 {
            self.owed -= 1;
            return false;
        }
        self.usages += 1;
        // The raw event of the same response was counted before.
        if self.usages <= self.raw {
            return false;
        }
        let awaited = self.answered();
        self.awaited = Some(now);
        awaited
    }

    /// Records the raw event of a complete response.
    pub(super) fn responded(&mut self, now: Instant) {
        self.raw += 1;
        self.awaited = Some(now);
    }

    /// Whether the turn makes more than `limit` requests. A response without a message has a call that Codex answers by itself,
    /// so another request follows.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        let made = self.usages.max(self.raw);
        made > limit || (made == limit && !self.message)
    }

    /// Records that Codex repeats the request because of this error.
    pub(super) fn retried(&mut self, error: TurnError, now: Instant) {
        self.awaited.get_or_insert(now);
        self.error = Some(error);
    }

    /// Since when a response is awaited.
    pub(super) fn awaited_since(&self) -> Option<Instant> {
        self.awaited
    }

    /// Whether the model has sent a part of its response, and will send more.
    pub(super) fn is_answering(&self) -> bool {
        self.begun && self.awaited.is_none()
    }

    /// Why Codex repeated the request that is awaited.
    pub(super) fn error(&self) -> Option<&TurnError> {
        self.error.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as many responses, of which the last has a message, and returns for each whether it exceeds the limit.
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
        assert!(!requests.answered(), "no request was sent yet");
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
