//! The pump: takes what the turns of a request tell as it comes and gives frames, for as long as somebody asks for them.
//!
//! It is a value, not a task. Whoever holds it drives it, and dropping it drops the turns, which interrupts them, and the
//! session.

mod first; // its first token
mod piece; // what comes out

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tracing::Span;

use self::first::First;
pub use self::piece::Piece;
use self::piece::{is_visible, record_ending};
use super::fan_out::FanOut;
use super::parking::Lot;
use super::turns::{ANSWER, Settled, Turns};
use airlock_codex::{Turn, TurnOutcome};
use airlock_metrics::RequestMetrics;
use airlock_policy::{Fault, Session};
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{Closing, Ending, Event, EventKind, Frame, Handoff, Problem, ProblemKind};

/// The most that one call feeds to the policy, by the events' cost in bytes. It needs several times as much of its memory.
const FEED_BYTES: usize = 1 << 20;

/// One reply on its way.
pub(super) struct Pump {
    session: Session,
    /// Empty once they have ended, or we have ended them.
    turns: Turns,
    /// None for a plain request, whose one turn is the answer. Boxed: most requests have none.
    fan_out: Option<Box<FanOut>>,
    /// Events of the turns that the policy has not received.
    batch: Vec<Event>,
    /// How the answer ended. Told to the policy after the last event.
    ending: Option<Ending>,
    /// What came out before the headers.
    early: Vec<Frame>,
    early_closing: Option<Closing>,
    /// The panel failed, and so will the reply once it has sent what came before.
    fault: Option<Fault>,
    /// Why the turn failed, for the log.
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// Where a turn may wait for its client.
    lot: Lot,
    /// The turn that will, once the answer is finished.
    waiting: Option<(String, Turn)>,
    streaming: bool,
    first: First,
    heartbeat: Duration,
    /// When the client last heard something.
    spoke: Instant,
    /// One timer for all waits: it is looked after when it rings, and not set anew with each piece.
    beat: Option<Pin<Box<Sleep>>>,
    /// Where what arrives is put first. Empty, but for its room.
    fresh: Vec<Event>,
    /// The request's.
    span: Span,
    done: bool,
}

/// What one piece of work brings.
enum Work {
    Frames(Vec<Frame>),
    Closed(Closing),
}

impl Pump {
    /// A pump from these turns through this session, whose reply is open. `stream`: what is counted of the request. None:
    /// it is not for a stream.
    pub(super) fn new(
        session: Session,
        turns: Turns,
        lot: Lot,
        stream: Option<RequestMetrics>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            session,
            turns,
            fan_out: None,
            // As with the turn's queue: nearly always one arrives.
            batch: Vec::with_capacity(1),
            ending: None,
            fault: None,
            early: Vec::new(),
            early_closing: None,
            cause: None,
            lot,
            waiting: None,
            streaming: stream.is_some(),
            first: First::new(stream),
            heartbeat,
            spoke: Instant::now(),
            beat: None,
            fresh: Vec::with_capacity(1),
            span: Span::current(),
            done: false,
        }
    }

    /// The turns are those of a fan-out, whose panel is convened. `opened` is what there is to tell already.
    #[must_use]
    pub(super) fn over(mut self, fan_out: FanOut, opened: Vec<Event>) -> Self {
        self.fan_out = Some(Box::new(fan_out));
        self.batch = opened;
        self
    }

    /// Waits for the first text, the first reasoning or the end of it all, at most this long. A request that fails before
    /// anything of it was sent is a failure: the model's own refusals come about a second after Codex has accepted a turn.
    pub(super) async fn until_first(mut self, wait: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + wait;
        while !self.batch.iter().any(is_visible) {
            if self.has_work() {
                match self.work().await? {
                    Work::Frames(mut frames) => self.early.append(&mut frames),
                    Work::Closed(closing) => {
                        if let Err(problem) = closing.body {
                            return Err(self.failure(problem));
                        }
                        self.early_closing = Some(closing);
                        break;
                    }
                }
            // Cancel safe: what has arrived stays in the batch. Turns that are still silent then go on as a stream.
            } else if timeout_at(deadline, self.receive()).await.is_err() {
                break;
            }
        }
        self.spoke = Instant::now();
        Ok(self)
    }

    /// The whole response.
    pub(super) async fn whole(mut self) -> Result<String, Failure> {
        loop {
            if !self.has_work() {
                self.receive().await;
            } else if let Work::Closed(closing) = self.work().await? {
                return closing.body.map_err(|problem| self.failure(problem));
            }
        }
    }

    /// The next piece of the stream, or None at its end. Not cancel safe: the body keeps the future until it is done.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        let piece = loop {
            if self.done {
                return None;
            }
            let work = if !self.early.is_empty() {
                Ok(Work::Frames(std::mem::take(&mut self.early)))
            } else if let Some(closing) = self.early_closing.take() {
                Ok(Work::Closed(closing))
            } else if self.has_work() {
                self.work().await
            } else if self.wait().await {
                break Piece::Beat;
            } else {
                continue;
            };
            match work {
                Ok(Work::Frames(frames)) if frames.is_empty() => {}
                Ok(Work::Frames(frames)) => break Piece::Frames(frames),
                Ok(Work::Closed(closing)) => {
                    self.done = true;
                    let failure = closing.body.err().map(|problem| self.failure(problem));
                    break Piece::Last(closing.frames, failure);
                }
                Err(fault) => {
                    self.done = true;
                    self.stop();
                    break Piece::Broken(fault.into());
                }
            }
        };
        self.spoke = Instant::now();
        Some(piece)
    }

    /// Whether there is something to do before the turns are waited for.
    fn has_work(&self) -> bool {
        self.is_due() || !self.batch.is_empty() || self.is_over()
    }

    /// Whether there is something to tell the client, or will be once the policy has heard of it.
    pub(super) fn has_news(&self) -> bool {
        !self.early.is_empty() || !self.batch.is_empty() || self.is_over()
    }

    /// Whether nothing more can arrive.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_some() || self.fault.is_some() || self.early_closing.is_some() || self.done
    }

    /// Whether the last piece has been given.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the panel has something to hear.
    fn is_due(&self) -> bool {
        self.fan_out
            .as_ref()
            .is_some_and(|fan_out| fan_out.is_due())
    }

    /// Brings the reply one step further: what has arrived is fed, else the panel receives it, else the ending is sent.
    async fn work(&mut self) -> Result<Work, Fault> {
        if !self.batch.is_empty() {
            return self.feed().await.map(Work::Frames);
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if let Some(ending) = self.ending.take() {
            record_ending(&self.span, &ending);
            let closing = self.session.finish(&ending).await?;
            self.first.ended(&ending, &closing.frames);
            // Before the client hears of the calls: it may be quick.
            if let Some((key, turn)) = self.waiting.take() {
                self.lot.park(key, turn);
            }
            return Ok(Work::Closed(closing));
        }
        self.decide().await;
        Ok(Work::Frames(Vec::new()))
    }

    /// Tells the policy what waits, or as much of it as one call may tell.
    async fn feed(&mut self) -> Result<Vec<Frame>, Fault> {
        let mut cost = 0;
        let costs = self.batch.iter().map(|event| {
            cost += events::cost(&event.kind);
            cost
        });
        // At least one, however large.
        let count = costs.take_while(|cost| *cost <= FEED_BYTES).count().max(1);
        let (now, later) = self.batch.split_at(count.min(self.batch.len()));
        let output = self.session.feed(now).await?;
        self.first.fed(now, &output);
        if let Some(fan_out) = &mut self.fan_out {
            fan_out.sent(later);
        }
        self.batch.drain(..count);
        if let Some(handoff) = output.handoff {
            self.hand_off(handoff);
        }
        Ok(output.frames)
    }

    /// The answer is whole: its turn waits for the client, or ends.
    fn hand_off(&mut self, handoff: Handoff) {
        let turn = self.turns.take_out(handoff.source);
        let turn = turn.and_then(|turn| turn.hand_off());
        self.stop();
        self.batch.clear();
        self.ending = Some(Ending::HandedOff);
        self.waiting = handoff.key.zip(turn);
    }

    /// Has the panel hear of everything that it is due to hear of.
    pub(super) async fn decide(&mut self) {
        while !self.is_over() && self.is_due() {
            let Some(fan_out) = &mut self.fan_out else {
                return;
            };
            let decided = fan_out.decide(&mut self.session, &mut self.turns, &mut self.batch);
            match decided.await {
                Ok(ending) => self.ending = ending,
                Err(fault) => {
                    self.stop();
                    self.fault = Some(fault);
                }
            }
        }
    }

    /// Ends whatever runs, and gives back what only turns could need.
    fn stop(&mut self) {
        self.turns.stop_all();
        self.fan_out = None;
    }

    /// Waits for the turns, but no longer than to the next heartbeat, for which it is time when this is true. How long
    /// a turn may take is its task's to watch. Cancel safe.
    pub(super) async fn wait(&mut self) -> bool {
        loop {
            let due = self.spoke + self.heartbeat;
            let beat = self.beat.take();
            let mut beat = beat.unwrap_or_else(|| Box::pin(sleep_until(due)));
            let rings = tokio::select! {
                biased;
                () = self.receive() => false,
                () = &mut beat => true,
            };
            if !rings {
                self.beat = Some(beat);
                return false;
            }
            // The timer was set when less had been said.
            if Instant::now() >= due {
                // The next one is due in a full interval, even if nobody takes this one.
                self.spoke = Instant::now();
                return true;
            }
        }
    }

    /// Waits until there is work. Cancel safe.
    async fn receive(&mut self) {
        let wake = self.fan_out.as_ref().and_then(|fan_out| fan_out.wake());
        let (mut fresh, mut settled) = (std::mem::take(&mut self.fresh), Vec::new());
        tokio::select! {
            biased;
            // It fills them only as it completes.
            () = self.turns.receive(&mut fresh, &mut settled) => {}
            () = until(wake) => {}
        }
        self.absorb(&mut fresh, settled);
        fresh.clear();
        self.fresh = fresh;
    }

    /// Sorts what has arrived into what the reply, the panel and the log will hear.
    fn absorb(&mut self, fresh: &mut Vec<Event>, mut settled: Vec<Settled>) {
        // What a stream has sent cannot be taken back, so an answer that starts over ends here.
        let restart = fresh.iter().position(|event| {
            event.source == ANSWER && matches!(event.kind, EventKind::Restarted(_))
        });
        if let Some(restart) = restart.filter(|_| self.streaming) {
            let mut index = 0;
            fresh.retain(|event| {
                index += 1;
                index <= restart || event.source != ANSWER
            });
            self.turns.stop(ANSWER);
            settled.retain(|settled| settled.source != ANSWER);
            let outcome = Failure::new(
                ProblemKind::Upstream,
                "stream_restarted",
                "Part of the text that was sent is invalid: the model's stream broke and the retry differs, or Codex had \
                 removed some of the text. Send the request again, without `stream` if this happens twice.",
            );
            settled.push(Settled {
                source: ANSWER,
                outcome: outcome.into(),
            });
        }
        let end = match &mut self.fan_out {
            Some(fan_out) => fan_out.absorb(
                std::mem::take(fresh),
                settled,
                &mut self.turns,
                &mut self.batch,
            ),
            None => {
                self.batch.append(fresh);
                settled.pop().map(|settled| settled.outcome)
            }
        };
        if let Some(TurnOutcome { ending, cause, .. }) = end {
            self.ending = Some(ending);
            self.cause = cause;
        }
        if self.turns.is_empty() && !self.is_over() && !self.is_due() {
            // Ended without an ending is our own mistake; it must not become a loop.
            self.ending = Some(Ending::Interrupted);
        }
    }

    /// The problem with the cause that the turn gave for it.
    fn failure(&mut self, problem: Problem) -> Failure {
        Failure {
            problem,
            cause: self.cause.take(),
        }
    }
}

/// Completes at this time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
