//! A fan-out: candidates side by side, and what the policy's panel makes of them. It starts, limits, times and stops
//! turns; every choice is the panel's, and no text is made here.

mod heard; // what a candidate has said

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use self::heard::Heard;
use super::turns::{Settled, Turns};
use crate::attachments::Attachments;
use crate::clock;
use crate::codex::{self, Codex, Conversation, Permit, Terms};
use crate::config::Limits;
use crate::failure::Failure;
use crate::policy::{Fault, Session};
use crate::wit::{Brief, Choice, Ending, Event, EventKind, Outcome, ProblemKind, Text, Verdict};

/// The source whose text is the answer.
pub(super) const ANSWER: u32 = 0;

/// Turns that a panel may ask for, one after the other.
const ASKED: u32 = 8;

/// The shortest wait of a panel, so that one which never waits long cannot keep a thread busy.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What turns of a fan-out are asked for with.
pub(super) struct Means {
    pub(super) codex: Codex,
    pub(super) conversation: Arc<Conversation>,
    pub(super) attachments: Arc<Attachments>,
    /// The memory that the request takes up, given back when no further turn can be asked for.
    pub(super) memory: Option<OwnedSemaphorePermit>,
    pub(super) limits: Arc<Limits>,
    /// What has been told has left: the answer goes out as it comes.
    pub(super) streaming: bool,
}

/// One fan-out.
pub(super) struct FanOut {
    means: Means,
    bell: Arc<Notify>,
    /// One for each candidate until the first has ended; then its own, with which later turns are asked for.
    permits: Vec<Permit>,
    /// Candidate 1 is the first.
    candidates: Vec<Candidate>,
    /// Bytes of all that the candidates have said.
    kept: usize,
    stage: Stage,
    /// Turns that have ended and that the panel has not heard of.
    ended: VecDeque<Settled>,
    /// When the panel wants to be woken.
    wake: Option<Instant>,
    asked: u32,
}

enum Candidate {
    Running(Heard),
    /// Empty messages where it failed.
    Ended(Outcome),
}

enum Stage {
    /// The candidates answer.
    Collecting,
    /// A turn of this source is to be brought back to the panel.
    Consulting(u32, Heard),
    /// A turn is the answer, unless it comes to nothing.
    Showing(Shown),
    /// The answer is known.
    Over,
}

/// What is known of the turn that is shown.
#[derive(Clone, Copy, Default)]
struct Shown {
    /// It has said something.
    said: bool,
    /// Some of its text may have reached the client.
    left: bool,
}

impl FanOut {
    /// Asks for all candidates at once. `models` names the model of each; there is a permit for each.
    pub(super) fn begin(
        means: Means,
        briefs: Vec<Brief>,
        models: Vec<String>,
        permits: Vec<Permit>,
        turns: &mut Turns,
    ) -> (Self, Vec<Event>) {
        let mut fan_out = Self {
            means,
            bell: turns.bell(),
            permits,
            candidates: Vec::with_capacity(briefs.len()),
            kept: 0,
            stage: Stage::Collecting,
            ended: VecDeque::new(),
            wake: Some(Instant::now()),
            asked: 0,
        };
        let mut opened = Vec::with_capacity(briefs.len());
        let places = fan_out.permits.clone();
        for (((source, brief), model), permit) in (1..).zip(briefs).zip(models).zip(places) {
            opened.push(event(source, EventKind::Opened(model)));
            fan_out
                .candidates
                .push(Candidate::Running(Heard::default()));
            fan_out.start(source, brief, permit, turns);
        }
        (fan_out, opened)
    }

    /// How many candidates there are.
    pub(super) fn candidates(&self) -> u32 {
        u32::try_from(self.candidates.len()).unwrap_or(u32::MAX)
    }

    /// When the panel is to be woken.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether the panel has something to hear.
    pub(super) fn is_due(&self) -> bool {
        !self.ended.is_empty() || self.wake.is_some_and(|wake| wake <= Instant::now())
    }

    /// Keeps what the panel will be told, within the limits, and tells the reply which turns have ended. What comes
    /// back is the end of the answer itself.
    pub(super) fn absorb(
        &mut self,
        batch: &mut Vec<Event>,
        settled: &mut Vec<Settled>,
        turns: &mut Turns,
    ) -> Option<codex::Outcome> {
        self.keep(batch, settled, turns);
        let mut end = None;
        for one in settled.drain(..) {
            if one.source == ANSWER && self.stands(&one.outcome.ending) {
                end = Some(one.outcome);
                continue;
            }
            batch.push(Event {
                source: one.source,
                at: one.outcome.at,
                kind: EventKind::Settled(one.outcome.ending.clone()),
            });
            self.ended.push_back(one);
        }
        batch.sort_by_key(|event| event.at);
        end
    }

    /// Whether the answer ends so. If not, it came to nothing, and the panel may find another.
    fn stands(&self, ending: &Ending) -> bool {
        let Stage::Showing(Shown { said, left }) = self.stage else {
            return false;
        };
        match ending {
            Ending::Completed | Ending::Incomplete(_) => said || left,
            Ending::Interrupted | Ending::Failed(_) => left,
        }
    }

    /// Hands the panel one thing that it has not heard of, and does what it says. What comes back is the end of the
    /// answer. The panel must be due.
    pub(super) async fn decide(
        &mut self,
        session: &mut Session,
        turns: &mut Turns,
        batch: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Fault> {
        let now = clock::unix_ms();
        let Some(Settled { source, outcome }) = self.ended.pop_front() else {
            self.wake = None;
            let verdict = session.wake(now).await?;
            return self.follow(verdict, turns, batch);
        };
        if let Ending::Failed(problem) = &outcome.ending {
            let (code, cause) = (problem.code.as_deref(), outcome.cause.as_deref());
            tracing::warn!(source, code, cause, "a turn of a fan-out failed");
        }
        let verdict = match &mut self.stage {
            Stage::Collecting => {
                let Some(candidate) = self.candidates.get_mut(place(source)) else {
                    return Ok(None);
                };
                let Candidate::Running(heard) = candidate else {
                    return Ok(None);
                };
                let heard = std::mem::take(heard);
                let bytes = heard.bytes();
                let told = heard.outcome(outcome.ending);
                if told.messages.is_empty() {
                    self.kept -= bytes;
                }
                let verdict = session.settle(source, &told, now).await?;
                *candidate = Candidate::Ended(told);
                if self.permits.len() > 1 {
                    // Its turn is over, so another may have its place; the others give theirs back as they end.
                    self.permits.swap(0, place(source));
                    self.permits.truncate(1);
                }
                verdict
            }
            Stage::Consulting(_, heard) => {
                let told = std::mem::take(heard).outcome(outcome.ending);
                session.judged(&told, now).await?
            }
            Stage::Showing(_) => {
                let told = Heard::default().outcome(outcome.ending);
                session.judged(&told, now).await?
            }
            Stage::Over => return Ok(None),
        };
        self.follow(verdict, turns, batch)
    }

    /// Does what the panel says.
    fn follow(
        &mut self,
        verdict: Verdict,
        turns: &mut Turns,
        batch: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Fault> {
        self.wake = None;
        if let Verdict::Wait(until) = verdict {
            if turns.is_empty() && self.ended.is_empty() {
                return Err(broken("the panel waits, and nothing runs".to_owned()));
            }
            self.wake = until.map(|until| self.instant(until));
            return Ok(None);
        }
        // Whoever still runs is no longer needed.
        self.ended.clear();
        for source in turns.stop_all() {
            batch.push(event(source, EventKind::Settled(Ending::Interrupted)));
        }
        self.permits.truncate(1);
        let ending = match verdict {
            Verdict::Show(brief) => {
                self.stage = Stage::Showing(Shown::default());
                self.ask(ANSWER, brief, turns, batch)?;
                return Ok(None);
            }
            Verdict::Consult(brief) => {
                let source = self
                    .candidates()
                    .saturating_add(1)
                    .saturating_add(self.asked);
                self.stage = Stage::Consulting(source, Heard::default());
                self.ask(source, brief, turns, batch)?;
                return Ok(None);
            }
            Verdict::Pick(choice) => self.pick(choice, batch)?,
            Verdict::Fail(problem) => Ending::Failed(problem),
            Verdict::Wait(_) => return Ok(None),
        };
        self.stage = Stage::Over;
        self.candidates.clear();
        self.permits.clear();
        self.means.memory = None;
        Ok(Some(ending))
    }

    /// Tells a candidate's answer once more, as the answer.
    fn pick(&mut self, choice: Choice, batch: &mut Vec<Event>) -> Result<Ending, Fault> {
        let number = choice.candidate;
        let Some(Candidate::Ended(outcome)) = self.candidates.get_mut(place(number)) else {
            return Err(broken(format!("candidate {number} has not ended")));
        };
        if outcome.messages.is_empty() {
            return Err(broken(format!("candidate {number} has no answer")));
        }
        batch.push(event(ANSWER, EventKind::Picked(choice)));
        for (message, said) in (0..).zip(outcome.messages.drain(..)) {
            let text = Text {
                message,
                phase: said.phase,
                text: said.text,
            };
            batch.push(event(ANSWER, EventKind::Text(text)));
        }
        Ok(outcome.ending.clone())
    }

    /// Asks for a turn that the panel wants.
    fn ask(
        &mut self,
        source: u32,
        brief: Brief,
        turns: &mut Turns,
        batch: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        self.asked += 1;
        let Some(permit) = self.permits.first().filter(|_| self.asked <= ASKED) else {
            return Err(broken(format!(
                "the panel asks for more than {ASKED} turns"
            )));
        };
        let permit = permit.clone();
        let wished = brief.model.as_ref();
        let model = self
            .means
            .codex
            .model_name(&self.means.conversation, wished);
        batch.push(event(source, EventKind::Opened(model)));
        self.start(source, brief, permit, turns);
        Ok(())
    }

    fn start(&self, source: u32, brief: Brief, permit: Permit, turns: &mut Turns) {
        let limits = &self.means.limits;
        // Together they may wait for a slow client with no more than what is kept of them.
        let share = limits.fan_out_bytes / self.permits.len().max(1);
        let terms = Terms {
            source,
            permit,
            bell: self.bell.clone(),
            buffer_bytes: limits.turn_buffer_bytes.min(share),
        };
        let codex = self.means.codex.clone();
        let conversation = self.means.conversation.clone();
        let attachments = self.means.attachments.clone();
        turns.add(source, async move {
            codex
                .start_turn(conversation, brief, &attachments, terms)
                .await
        });
    }

    /// Keeps what candidates and consulted turns say. One that says more than is kept ends there.
    fn keep(&mut self, batch: &mut Vec<Event>, settled: &mut Vec<Settled>, turns: &mut Turns) {
        let (each, all) = (
            self.means.limits.candidate_bytes,
            self.means.limits.fan_out_bytes,
        );
        let mut over = Vec::new();
        batch.retain(|event| {
            if let (ANSWER, EventKind::Text(text), Stage::Showing(shown)) =
                (event.source, &event.kind, &mut self.stage)
            {
                shown.said |= !text.text.trim().is_empty();
                shown.left |= self.means.streaming && !text.text.is_empty();
                return true;
            }
            let heard = match (
                &mut self.stage,
                self.candidates.get_mut(place(event.source)),
            ) {
                (Stage::Consulting(source, heard), _) if *source == event.source => heard,
                (Stage::Collecting, Some(Candidate::Running(heard))) => heard,
                _ => return true,
            };
            if over.contains(&event.source) {
                return false;
            }
            let before = heard.bytes();
            heard.hear(&event.kind);
            self.kept = self.kept - before.min(self.kept) + heard.bytes();
            if heard.bytes() <= each && self.kept <= all {
                return true;
            }
            over.push(event.source);
            false
        });
        for source in over {
            turns.stop(source);
            settled.retain(|settled| settled.source != source);
            let outcome = Failure::new(
                ProblemKind::Upstream,
                "candidate_too_large",
                "the candidate's answer is larger than the gateway keeps of one, or of all together",
            )
            .into();
            settled.push(Settled { source, outcome });
        }
    }

    /// The moment of this time, at the latest when a turn would have taken too long.
    fn instant(&self, unix_ms: u64) -> Instant {
        let left = Duration::from_millis(unix_ms.saturating_sub(clock::unix_ms()));
        Instant::now() + left.clamp(SHORTEST_WAIT, self.means.limits.turn_timeout)
    }
}

/// Where a candidate of this number stands.
fn place(candidate: u32) -> usize {
    usize::try_from(candidate).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

/// Something that the host itself tells, now.
fn event(source: u32, kind: EventKind) -> Event {
    Event {
        source,
        at: clock::unix_ms(),
        kind,
    }
}

fn broken(what: String) -> Fault {
    Fault::Contract(what)
}
