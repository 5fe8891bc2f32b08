//! The pump: the loop that feeds the events of a request's turns to the policy and returns the policy's frames.
//!
//! The pump is a value, not a task: its owner polls it. Dropping it drops the session and the turns, which interrupts them.

mod absorb; // new events, for the reply and the panel
mod first_token; // the time to the first token
mod piece; // its output
mod sequence; // sequence numbers
mod wait; // waiting for events

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, timeout_at};
use tracing::Span;

use self::first_token::FirstToken;
pub use self::piece::StreamPiece;
use self::piece::{is_visible, record_ending};
pub(super) use self::sequence::SequenceNumbers;
use super::fan_out::FanOut;
use super::objects::ObjectRecorder;
use super::parked_turns::ParkedTurns;
use super::turn_set::TurnSet;
use airlock_codex::Turn;
use airlock_metrics::RequestMetrics;
use airlock_policy::{Fault, Session};
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Closing, Ending, Event, Frame, Handoff, Problem};

/// The most that one call of `feed` passes to the policy, by the events' cost in bytes. The policy needs several times as
/// much memory.
const FEED_BYTES: usize = 1 << 20;

/// The state of one response.
pub(super) struct Pump {
    session: Session,
    /// Empty once all have ended or were stopped.
    turns: TurnSet,
    /// None: the request's one turn is the answer. Boxed: most requests have none.
    fan_out: Option<Box<FanOut>>,
    /// Events that the policy has not received.
    batch: Vec<Event>,
    /// How the answer ended. The policy receives it after the last event.
    ending: Option<Ending>,
    sequence: SequenceNumbers,
    /// Frames from before the response's headers.
    early_frames: Vec<Frame>,
    early_closing: Option<Closing>,
    /// Why the panel failed. The response fails with it once the frames before it are sent.
    fault: Option<Fault>,
    /// Why the turn failed, for the log.
    cause: Option<Box<dyn Error + Send + Sync>>,
    parked_turns: ParkedTurns,
    /// Stores the response. Boxed: most responses are not stored.
    recorder: Option<Box<ObjectRecorder>>,
    /// The turn to park, with its key, once the answer is complete.
    to_park: Option<(String, Turn)>,
    streaming: bool,
    first_token: FirstToken,
    heartbeat: Duration,
    /// When the last piece was sent.
    last_sent: Instant,
    /// One timer for all waits: its deadline is checked when it fires, and not reset with each piece.
    heartbeat_timer: Option<Pin<Box<Sleep>>>,
    /// A buffer for new events, empty between calls. It keeps its capacity.
    fresh: Vec<Event>,
    /// The request's span.
    span: Span,
    done: bool,
}

/// The result of one step: frames, or the end of the response.
enum PumpStep {
    Frames(Vec<Frame>),
    Closed(Closing),
}

impl Pump {
    /// A pump from these turns through this session, whose reply is open. `metrics`: those of the request. None: the response
    /// is not streamed.
    pub(super) fn new(
        session: Session,
        turns: TurnSet,
        parked_turns: ParkedTurns,
        metrics: Option<RequestMetrics>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            session,
            turns,
            fan_out: None,
            // Nearly always one event arrives.
            batch: Vec::with_capacity(1),
            ending: None,
            fault: None,
            sequence: SequenceNumbers::default(),
            early_frames: Vec::new(),
            early_closing: None,
            cause: None,
            parked_turns,
            recorder: None,
            to_park: None,
            streaming: metrics.is_some(),
            first_token: FirstToken::new(metrics),
            heartbeat,
            last_sent: Instant::now(),
            heartbeat_timer: None,
            fresh: Vec::with_capacity(1),
            span: Span::current(),
            done: false,
        }
    }

    /// Adds the fan-out that owns the turns, whose panel is convened, and its first events.
    #[must_use]
    pub(super) fn with_fan_out(mut self, fan_out: FanOut, opened: Vec<Event>) -> Self {
        self.fan_out = Some(Box::new(fan_out));
        self.batch = opened;
        self
    }

    /// Stores the response with this recorder.
    #[must_use]
    pub(super) fn with_recorder(mut self, recorder: ObjectRecorder) -> Self {
        self.recorder = Some(Box::new(recorder));
        self
    }

    /// Waits for the first text, the first reasoning or the end of the answer, at most this long.
    ///
    /// # Errors
    /// The request failed before its first output. The model's own refusals come about a second after Codex has accepted a
    /// turn.
    pub(super) async fn until_first_output(mut self, wait: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + wait;
        while !self.batch.iter().any(is_visible) {
            if self.can_step() {
                match self.step().await? {
                    PumpStep::Frames(mut frames) => self.early_frames.append(&mut frames),
                    PumpStep::Closed(closing) => {
                        if let Err(problem) = closing.body {
                            return Err(self.failure(problem));
                        }
                        self.early_closing = Some(closing);
                        break;
                    }
                }
            // Cancel safe: what has arrived stays in the batch. After the timeout, the response goes on as a stream.
            } else if timeout_at(deadline, self.receive()).await.is_err() {
                break;
            }
        }
        self.last_sent = Instant::now();
        Ok(self)
    }

    /// Runs to the end, and returns the body of the complete response.
    pub(super) async fn collect(mut self) -> Result<String, Failure> {
        loop {
            if !self.can_step() {
                self.receive().await;
            } else if let PumpStep::Closed(closing) = self.step().await? {
                return closing.body.map_err(|problem| self.failure(problem));
            }
        }
    }

    /// The next piece of the stream, or None at its end. Not cancel safe: the body polls one future to completion.
    pub(super) async fn next(&mut self) -> Option<StreamPiece> {
        loop {
            if self.done {
                return None;
            }
            if let Some(piece) = self.next_ready().await {
                return Some(piece);
            }
            if self.wait().await {
                let piece = match self.keep_alive().await {
                    Ok(frames) if frames.is_empty() => StreamPiece::Heartbeat,
                    Ok(frames) => StreamPiece::Frames(frames),
                    Err(fault) => self.broken(fault),
                };
                self.last_sent = Instant::now();
                return Some(piece);
            }
        }
    }

    /// The next piece of the stream, as far as there is one without waiting for the turns. Not cancel safe.
    pub(super) async fn next_ready(&mut self) -> Option<StreamPiece> {
        let piece = loop {
            let step = if !self.early_frames.is_empty() {
                Ok(PumpStep::Frames(std::mem::take(&mut self.early_frames)))
            } else if let Some(closing) = self.early_closing.take() {
                Ok(PumpStep::Closed(closing))
            } else if !self.done && self.can_step() {
                self.step().await
            } else {
                return None;
            };
            match step {
                Ok(PumpStep::Frames(frames)) if frames.is_empty() => {}
                Ok(PumpStep::Frames(frames)) => break StreamPiece::Frames(frames),
                Ok(PumpStep::Closed(closing)) => {
                    self.done = true;
                    let failure = closing.body.err().map(|problem| self.failure(problem));
                    break StreamPiece::Last(closing.frames, failure);
                }
                Err(fault) => break self.broken(fault),
            }
        };
        self.last_sent = Instant::now();
        Some(piece)
    }

    /// Ends the stream, whose policy has failed.
    fn broken(&mut self, fault: Fault) -> StreamPiece {
        self.done = true;
        self.stop();
        StreamPiece::Broken(fault.into(), self.sequence.next())
    }

    /// Whether a step can be taken without waiting for the turns.
    fn can_step(&self) -> bool {
        self.is_due() || !self.batch.is_empty() || self.is_over()
    }

    /// Whether there are frames for the client, or events that may become frames.
    pub(super) fn has_pieces(&self) -> bool {
        !self.early_frames.is_empty() || !self.batch.is_empty() || self.is_over()
    }

    /// Whether no further event can arrive.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_some() || self.fault.is_some() || self.early_closing.is_some() || self.done
    }

    /// Whether the last piece was returned.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the panel has something to decide about.
    fn is_due(&self) -> bool {
        self.fan_out
            .as_ref()
            .is_some_and(|fan_out| fan_out.is_due())
    }

    /// Takes one step: feeds the policy the events, else finishes the reply with the answer's ending, else runs the panel.
    async fn step(&mut self) -> Result<PumpStep, Fault> {
        if !self.batch.is_empty() {
            return self.feed().await.map(PumpStep::Frames);
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if let Some(ending) = self.ending.take() {
            record_ending(&self.span, &ending);
            let mut closing = self.session.finish(&ending).await?;
            // Before the client receives the last frames: it may continue the response at once.
            if let Some(mut recorder) = self.recorder.take() {
                recorder.end(closing.object.take()).await;
            }
            self.sequence.insert(&mut closing.frames);
            self.first_token.ended(&ending, &closing.frames);
            // Before the client receives the calls: it may answer at once.
            if let Some((key, turn)) = self.to_park.take() {
                self.parked_turns.park(key, turn);
            }
            return Ok(PumpStep::Closed(closing));
        }
        self.decide().await;
        Ok(PumpStep::Frames(Vec::new()))
    }

    /// Feeds the policy the batch, or as much of it as one call may pass.
    async fn feed(&mut self) -> Result<Vec<Frame>, Fault> {
        let mut cost = 0;
        let costs = self.batch.iter().map(|event| {
            cost += events::cost(&event.kind);
            cost
        });
        // At least one event, however large.
        let count = costs.take_while(|cost| *cost <= FEED_BYTES).count().max(1);
        let (now, later) = self.batch.split_at(count.min(self.batch.len()));
        let mut output = self.session.feed(now).await?;
        self.sequence.insert(&mut output.frames);
        self.first_token.fed(now, &output);
        if let Some(fan_out) = &mut self.fan_out {
            fan_out.set_pending(later);
        }
        self.batch.drain(..count);
        if let (Some(head), Some(recorder)) = (output.head.take(), &mut self.recorder) {
            recorder.replace_head(head).await;
        }
        if let Some(handoff) = output.handoff {
            self.hand_off(handoff);
        } else if output.complete {
            self.stop();
            self.batch.clear();
            self.ending = Some(Ending::Completed);
        }
        Ok(output.frames)
    }

    /// The policy's frames for a stream that is silent. Empty: a comment suffices.
    pub(super) async fn keep_alive(&mut self) -> Result<Vec<Frame>, Fault> {
        let mut output = self.session.keep_alive().await?;
        self.sequence.insert(&mut output.frames);
        Ok(output.frames)
    }

    /// Ends the response with a fault.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.stop();
        self.fault = Some(fault);
    }

    /// Ends the response as interrupted, and stops its turns.
    pub(super) fn interrupt(&mut self) {
        if !self.is_over() {
            self.stop();
            self.batch.clear();
            self.ending = Some(Ending::Interrupted);
        }
    }

    /// The answer is complete: its turn will be parked if the handoff has a key, and ends otherwise.
    fn hand_off(&mut self, handoff: Handoff) {
        let turn = self.turns.remove(handoff.source);
        let turn = turn.and_then(|turn| turn.hand_off());
        self.stop();
        self.batch.clear();
        self.ending = Some(Ending::HandedOff);
        self.to_park = handoff.key.zip(turn);
    }

    /// Runs the panel until it has nothing to decide about.
    pub(super) async fn decide(&mut self) {
        while !self.is_over() && self.is_due() {
            let Some(fan_out) = &mut self.fan_out else {
                return;
            };
            let decided = fan_out.decide(&mut self.session, &mut self.turns, &mut self.batch);
            match decided.await {
                Ok(ending) => self.ending = ending,
                Err(fault) => self.fail(fault),
            }
        }
    }

    /// Stops all turns, and frees what only they need.
    fn stop(&mut self) {
        self.turns.stop_all();
        self.fan_out = None;
    }

    /// The problem, with the cause that the turn reported.
    fn failure(&mut self, problem: Problem) -> Failure {
        Failure {
            problem,
            cause: self.cause.take(),
        }
    }
}
