//! The pump: takes a turn's events as they come and gives frames, for as long as somebody asks for them.
//!
//! It is a value, not a task. The response's body drives it, so a client that reads slowly slows only its own turn,
//! and dropping the body drops the turn, which interrupts it, and the session.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::codex::Turn;
use crate::failure::Failure;
use crate::policy::{Fault, Session};
use crate::wit::{Closing, Ending, Event, EventKind, Frame, Problem, ProblemKind};

/// One reply on its way.
pub(crate) struct Pump {
    session: Session,
    /// None once the turn has ended, or we have ended it.
    turn: Option<Turn>,
    /// What the turn has told and the policy has not heard.
    batch: Vec<Event>,
    /// How the turn ended. Told to the policy after the last event.
    ending: Option<Ending>,
    /// What came out before the headers.
    early: Option<Closing>,
    /// Why the turn failed, for the log.
    cause: Option<Box<dyn Error + Send + Sync>>,
    streaming: bool,
    heartbeat: Duration,
    /// When the client last heard something.
    spoke: Instant,
    done: bool,
}

/// A piece of a stream.
pub(crate) enum Piece {
    /// At least one frame. They go out together.
    Frames(Vec<Frame>),
    /// Nothing to say, for so long that somebody on the way might think that the connection is dead.
    Beat,
    /// The last frames. A failure is for the log: the frames tell the client of it.
    Last(Vec<Frame>, Option<Failure>),
    /// The policy failed, so there are no last frames but those that the host writes.
    Broken(Failure),
}

/// What one step brings.
enum Step {
    Frames(Vec<Frame>),
    Beat,
    Closed(Closing),
}

impl Pump {
    /// A pump from this turn through this session, whose reply is open.
    pub(super) fn new(session: Session, turn: Turn, streaming: bool, heartbeat: Duration) -> Self {
        Self {
            session,
            turn: Some(turn),
            batch: Vec::new(),
            ending: None,
            early: None,
            cause: None,
            streaming,
            heartbeat,
            spoke: Instant::now(),
            done: false,
        }
    }

    /// Waits for the first text, reasoning or ending, at most this long. A turn that fails before it has told anything
    /// is a failure: the model's own refusals come about a second after Codex has accepted the turn.
    pub(super) async fn until_first(mut self, wait: Duration) -> Result<Self, Failure> {
        // Cancel safe: what has arrived stays in the batch. A turn that is still silent then goes on as a stream.
        let _ = timeout(wait, self.first()).await;
        if self.ending.is_some() && !self.batch.iter().any(tells) {
            let mut frames = Vec::new();
            let mut closing = loop {
                match self.step().await? {
                    Step::Closed(closing) => break closing,
                    Step::Frames(more) => frames.extend(more),
                    Step::Beat => {}
                }
            };
            if let Err(problem) = closing.body {
                return Err(self.failure(problem));
            }
            frames.append(&mut closing.frames);
            self.early = Some(Closing { frames, ..closing });
        }
        self.spoke = Instant::now();
        Ok(self)
    }

    async fn first(&mut self) {
        while self.ending.is_none() && !self.batch.iter().any(tells) {
            self.receive().await;
        }
    }

    /// The whole response.
    pub(super) async fn whole(mut self) -> Result<String, Failure> {
        loop {
            if let Step::Closed(closing) = self.step().await? {
                return closing.body.map_err(|problem| self.failure(problem));
            }
        }
    }

    /// The next piece of the stream, or None at its end. Not cancel safe: the body keeps the future until it is done.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        let piece = loop {
            if self.done {
                return None;
            }
            let step = match self.early.take() {
                Some(closing) => Ok(Step::Closed(closing)),
                None => self.step().await,
            };
            match step {
                Ok(Step::Frames(frames)) if frames.is_empty() => {}
                Ok(Step::Frames(frames)) => break Piece::Frames(frames),
                Ok(Step::Beat) => break Piece::Beat,
                Ok(Step::Closed(closing)) => {
                    self.done = true;
                    let failure = closing.body.err().map(|problem| self.failure(problem));
                    break Piece::Last(closing.frames, failure);
                }
                Err(fault) => {
                    self.done = true;
                    self.turn = None;
                    break Piece::Broken(fault.into());
                }
            }
        };
        self.spoke = Instant::now();
        Some(piece)
    }

    /// Brings the reply one step further: what has arrived is fed, else the ending told, else the turn waited for.
    async fn step(&mut self) -> Result<Step, Fault> {
        loop {
            if !self.batch.is_empty() {
                let frames = self.session.feed(&self.batch).await?;
                self.batch.clear();
                return Ok(Step::Frames(frames));
            }
            if let Some(ending) = self.ending.take() {
                record_ending(&ending);
                return Ok(Step::Closed(self.session.finish(&ending).await?));
            }
            if self.wait().await {
                return Ok(Step::Beat);
            }
        }
    }

    /// Waits for the turn, but no longer than to the next heartbeat, for which it is time when this is true. How long
    /// a turn may take is its keeper's to watch.
    async fn wait(&mut self) -> bool {
        if !self.streaming {
            self.receive().await;
            return false;
        }
        let beat = self.spoke + self.heartbeat;
        tokio::select! {
            biased;
            () = self.receive() => return false,
            () = sleep_until(beat) => {}
        }
        // The next one is due in a full interval, even if nobody takes this one.
        self.spoke = Instant::now();
        true
    }

    /// Takes what the turn has told, or how it ended. Cancel safe.
    async fn receive(&mut self) {
        let Some(turn) = &mut self.turn else {
            // Ended without an ending is our own mistake; it must not become a loop.
            self.ending.get_or_insert(Ending::Interrupted);
            return;
        };
        if turn.recv_many(&mut self.batch).await == 0 {
            let outcome = turn.ending();
            self.turn = None;
            self.ending = Some(outcome.ending);
            self.cause = outcome.cause;
            return;
        }
        // What a stream has told cannot be taken back, so a turn that starts over ends here.
        let restart = self
            .batch
            .iter()
            .position(|event| matches!(event.kind, EventKind::Restarted(_)));
        if let Some(restart) = restart.filter(|_| self.streaming) {
            self.batch.truncate(restart);
            self.cut(Failure::new(
                ProblemKind::Upstream,
                "stream_restarted",
                "The model's stream broke, and its second telling differs from what was already sent. Ask again.",
            ));
        }
    }

    /// Ends the turn from our side.
    fn cut(&mut self, failure: Failure) {
        self.turn = None;
        self.ending = Some(Ending::Failed(failure.problem));
        self.cause = failure.cause;
    }

    /// The problem with the cause that the turn gave for it.
    fn failure(&mut self, problem: Problem) -> Failure {
        Failure {
            problem,
            cause: self.cause.take(),
        }
    }
}

/// Whether a client hears of this event in any dialect, so that headers must not wait any longer.
fn tells(event: &Event) -> bool {
    match &event.kind {
        EventKind::Text(text) => !text.text.is_empty(),
        EventKind::Reasoning(reasoning) => !reasoning.text.is_empty(),
        EventKind::Usage(_) | EventKind::Restarted(_) | EventKind::Other(_) => false,
    }
}

/// Notes the ending in the request's span, for its line in the log.
fn record_ending(ending: &Ending) {
    let word = match ending {
        Ending::Completed => "completed",
        Ending::Incomplete(_) => "incomplete",
        Ending::Interrupted => "interrupted",
        Ending::Failed(_) => "failed",
    };
    tracing::Span::current().record("ending", word);
}
