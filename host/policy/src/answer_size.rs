//! The bytes of a request, its events and its output so far. A limit that a large answer exceeds is not a fault of the policy,
//! because the client chooses how much the model writes.

use super::fault::Fault;
use super::request_size::{self, is_large};
use super::sandbox::SandboxLimits;
use airlock_types::events;
use airlock_types::wit::{Event, Frame};

/// The expected cost of an answer: CPU time for each byte and for each event, in nanoseconds, and memory in copies of the
/// answer. The shipped policy takes less (`session::tests::bounds` prints it). A higher cost is a fault of the policy.
const ANSWER_BYTE: u128 = 100;
const ANSWER_EVENT: u128 = 20_000;
const ANSWER_COPIES: usize = 16;

/// The expected bytes of output for each byte of the answer (JSON escapes a control character as six) and for each event. More
/// output is a fault of the policy.
const ESCAPED: usize = 8;
const FRAMED: usize = 1 << 10;

/// How many times one batch, and a whole answer, may repeat the request's body: the Responses API repeats instructions, tools
/// and metadata in three events.
const REPEATED: usize = 4;

/// The share of the memory, one in `RENDERED`, from which on a large request leaves too little for its answer.
const RENDERED: usize = 2;

/// The bytes of a request, its events and its output so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AnswerSize {
    /// Bytes of the request's body.
    body: usize,
    /// Bytes of the policy's memory after `render`.
    rendered: usize,
    /// Bytes that the model has written.
    answered: usize,
    /// Events.
    events: usize,
    /// Bytes of output.
    sent: usize,
}

impl AnswerSize {
    /// Sets the bytes of the request's body.
    pub(super) fn begin(&mut self, body: usize) {
        self.body = body;
    }

    /// Sets the bytes of the policy's memory after `render`.
    pub(super) fn rendered(&mut self, memory: usize) {
        self.rendered = memory;
    }

    /// Counts the events of a batch.
    pub(super) fn receive(&mut self, events: &[Event]) {
        let bytes: usize = events.iter().map(|event| events::size(&event.kind)).sum();
        self.answered = self.answered.saturating_add(bytes);
        self.events += events.len();
    }

    /// Counts the frames of `events` events, and a body of this many bytes.
    ///
    /// # Errors
    /// `Fault::TooLong`: the output exceeds these limits.
    pub(super) fn send(
        &mut self,
        frames: &[Frame],
        events: usize,
        body: usize,
        limits: &SandboxLimits,
    ) -> Result<(), Fault> {
        let length = |frame: &Frame| frame.data.len() + frame.event.as_ref().map_or(0, String::len);
        let bytes: usize = frames.iter().map(length).sum();
        self.sent = self.sent.saturating_add(bytes).saturating_add(body);
        let most = limits.event_bytes.saturating_mul(events.max(1));
        let fault = if bytes > most.saturating_add(self.repeated()) {
            format!("{bytes} bytes of frames for {events} events")
        } else if self.sent > limits.output_bytes {
            format!("{} bytes for one request", self.sent)
        } else {
            return Ok(());
        };
        Err(Fault::TooLong(fault))
    }

    /// Counts the frames that keep a silent stream alive. They are bounded each time, and not in total: the host requests them.
    ///
    /// # Errors
    /// `Fault::TooLong`: they exceed the limit of a batch.
    pub(super) fn keep_alive(&self, frames: &[Frame], limits: &SandboxLimits) -> Result<(), Fault> {
        let mut alone = Self { sent: 0, ..*self };
        alone.send(frames, 1, 0, limits)
    }

    /// The bytes of output that repeat the request.
    fn repeated(&self) -> usize {
        self.body.saturating_mul(REPEATED)
    }

    /// Whether this size explains that these limits were exceeded, so that it is not a fault of the policy.
    pub(super) fn explains(&self, fault: &Fault, limits: &SandboxLimits) -> bool {
        let received = self.body.saturating_add(self.answered);
        let bytes = received as u128 * ANSWER_BYTE;
        let all = bytes + self.events as u128 * ANSWER_EVENT;
        match fault {
            Fault::TimedOut => {
                bytes >= limits.call_time.as_nanos() || all >= limits.request_time.as_nanos()
            }
            Fault::OutOfMemory => {
                received.saturating_mul(ANSWER_COPIES) >= limits.memory_bytes
                    || is_large(self.body)
                        && self.rendered.saturating_mul(RENDERED) >= limits.memory_bytes
            }
            Fault::TooLong(_) => {
                let repeated = self.answered.saturating_add(self.repeated());
                let escaped = repeated.saturating_mul(ESCAPED);
                self.sent <= escaped.saturating_add(self.events.saturating_mul(FRAMED))
            }
            _ => false,
        }
    }
}

/// The client's message for an answer over which the release's limits ran out.
pub(super) fn too_large(fault: &Fault, limits: &SandboxLimits) -> String {
    let bound = request_size::bound(fault, limits);
    format!(
        "The answer is too large for this gateway's policy, which may {bound}. Ask for a shorter one."
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_runs_out_over_an_answer_is_its_cost_where_the_limits_have_no_room_for_it() {
        let limits = SandboxLimits {
            request_time: Duration::from_secs(1),
            memory_bytes: 16 << 20,
            call_time: Duration::from_millis(100),
            event_bytes: 1,
            output_bytes: 1,
        };
        let explains = |answered, events, sent, fault: &Fault| {
            let size = AnswerSize {
                answered,
                events,
                sent,
                ..AnswerSize::default()
            };
            size.explains(fault, &limits)
        };
        let [time, memory] = [Fault::TimedOut, Fault::OutOfMemory];
        let output = Fault::TooLong(String::new());
        for (received, events, sent, fault, expected) in [
            (1_000_000, 1, 0, &time, true),
            (999_999, 1, 0, &time, false),
            (0, 50_000, 0, &time, true),
            (0, 49_999, 0, &time, false),
            (1 << 20, 1, 0, &memory, true),
            ((1 << 20) - 1, 100_000, 0, &memory, false),
            (10, 2, 10 * ESCAPED + 2 * FRAMED, &output, true),
            (10, 2, 10 * ESCAPED + 2 * FRAMED + 1, &output, false),
            (
                usize::MAX,
                usize::MAX,
                1,
                &Fault::Trapped(String::new()),
                false,
            ),
        ] {
            let found = explains(received, events, sent, fault);
            assert_eq!(found, expected, "{received} {events} {sent} {fault}");
        }
        let large = |rendered| AnswerSize {
            body: 64 << 10,
            rendered,
            sent: 1,
            ..AnswerSize::default()
        };
        assert!(large(8 << 20).explains(&memory, &limits));
        assert!(!large((8 << 20) - 1).explains(&memory, &limits));
        let repeating = |sent| AnswerSize {
            sent,
            ..large(8 << 20)
        };
        let most = (64 << 10) * REPEATED * ESCAPED;
        assert!(repeating(most).explains(&output, &limits));
        assert!(!repeating(most + 1).explains(&output, &limits));
    }

    #[test]
    fn a_batch_may_repeat_the_request_and_keep_alives_do_not_add_up() {
        let limits = SandboxLimits {
            request_time: Duration::from_secs(1),
            memory_bytes: 16 << 20,
            call_time: Duration::from_millis(100),
            event_bytes: 10,
            output_bytes: 60,
        };
        let frames = |bytes: usize| {
            [Frame {
                event: None,
                data: "x".repeat(bytes),
                number: None,
            }]
        };
        let mut size = AnswerSize::default();
        size.begin(5);
        let most = 10 + 5 * REPEATED;
        for _ in 0..10 {
            size.keep_alive(&frames(most), &limits).unwrap();
        }
        assert!(size.keep_alive(&frames(most + 1), &limits).is_err());
        size.send(&frames(most), 1, 0, &limits).unwrap();
        assert!(size.send(&frames(most + 1), 1, 0, &limits).is_err());
        assert!(size.send(&frames(1), 1, 0, &limits).is_err(), "in total");
    }
}
