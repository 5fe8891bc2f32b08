//! A fan-out: candidates side by side, and what the policy's panel makes of them. It starts, limits, times and stops
//! turns; every choice is the panel's, and no text is made here.

mod buffer; // bounded transcripts and pending events
mod transcript; // the text of one turn

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::buffer::CandidateBuffer;
use super::turn::Turn;
use super::turns::{ANSWER, Settled, Turns};
use crate::config::ServerLimits;
use airlock_base::clock;
use airlock_base::wake_flag::WakeFlag;
use airlock_codex::config::TurnLimits;
use airlock_codex::{Codex, Conversation, Permit, TurnContext, TurnOutcome};
use airlock_metrics::{FanOutTrail, RequestMetrics};
use airlock_policy::{Fault, Session};
use airlock_types::wit::{Brief, Choice, Ending, Event, EventKind, Outcome, Text, Verdict};

/// Turns that a panel may ask for, one after the other.
const PANEL_TURNS: u32 = 8;

/// The shortest wait of a panel, so that one which never waits long cannot keep a thread busy.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// One fan-out.
pub(super) struct FanOut {
    /// None once no further turn can be asked for.
    means: Option<Means>,
    limits: Arc<TurnLimits>,
    /// What has been told has left: the answer goes out as it comes.
    streaming: bool,
    candidates: u32,
    /// What is counted of it.
    trail: FanOutTrail,
    buffer: CandidateBuffer,
    stage: Stage,
    /// Turns that have ended and that the panel has not heard of.
    ended: VecDeque<Settled>,
    /// When the panel wants to be woken.
    wake: Option<Instant>,
    panel_turns: u32,
}

/// What turns are asked for with.
pub(super) struct Means {
    pub(super) codex: Codex,
    pub(super) conversation: Arc<Conversation>,
    /// Set by every turn.
    pub(super) wake: Arc<WakeFlag>,
    /// One for each candidate until the first has ended; then its own, with which later turns are asked for.
    pub(super) permits: Vec<Permit>,
    /// What is counted of the request.
    pub(super) trail: RequestMetrics,
}

enum Stage {
    /// The candidates answer.
    Collecting,
    /// A turn is to be brought back to the panel.
    Consulting,
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
    /// Asks for all candidates at once. There are a model and a permit for each brief. What comes back is told first.
    pub(super) fn begin(
        means: Means,
        (buffers, limits): (Arc<ServerLimits>, Arc<TurnLimits>),
        streaming: bool,
        briefs: Vec<(Brief, String)>,
        turns: &mut Turns,
    ) -> (Self, Vec<Event>) {
        let mut opened = Vec::with_capacity(briefs.len());
        let buffer = CandidateBuffer::new(briefs.len(), &buffers, limits.turn_buffer_bytes);
        let permits = means.permits.clone();
        for ((source, (brief, model)), permit) in (1..).zip(briefs).zip(permits) {
            opened.push(event(source, EventKind::Opened(model)));
            means.start(source, brief, permit, &limits, turns);
        }
        let candidates = u32::try_from(opened.len()).unwrap_or(u32::MAX);
        let fan_out = Self {
            trail: means.trail.fanned_out(candidates),
            means: Some(means),
            limits,
            streaming,
            candidates,
            buffer,
            stage: Stage::Collecting,
            ended: VecDeque::new(),
            wake: Some(Instant::now()),
            panel_turns: 0,
        };
        (fan_out, opened)
    }

    /// How many candidates there are.
    pub(super) fn candidates(&self) -> u32 {
        self.candidates
    }

    /// When the panel is to be woken.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether the panel has something to hear.
    pub(super) fn is_due(&self) -> bool {
        !self.ended.is_empty() || self.wake.is_some_and(|wake| wake <= Instant::now())
    }

    /// The reply has heard all but these.
    pub(super) fn sent(&mut self, waiting: &[Event]) {
        self.buffer.sent(waiting);
    }

    /// Keeps what the panel will be told, within the limits, and has the reply told which turns have ended. What comes
    /// back is the end of the answer itself.
    pub(super) fn absorb(
        &mut self,
        fresh: Vec<Event>,
        mut settled: Vec<Settled>,
        turns: &mut Turns,
        waiting: &mut Vec<Event>,
    ) -> Option<TurnOutcome> {
        // Those that have ended come behind the last event of their own, whatever a clock said.
        let latest = fresh.last().map_or(0, |event| event.at);
        let (mut taken, over) = self.buffer.append(fresh);
        for (source, failure) in over {
            turns.stop(source);
            settled.retain(|settled| settled.source != source);
            let mut outcome = TurnOutcome::from(failure);
            outcome.at = outcome.at.max(latest);
            settled.push(Settled { source, outcome });
        }
        if let Stage::Showing(shown) = &mut self.stage {
            for event in &taken {
                if let (ANSWER, EventKind::Text(text)) = (event.source, &event.kind) {
                    shown.said |= !text.text.trim().is_empty();
                    shown.left |= self.streaming && !text.text.is_empty();
                }
            }
        }
        let mut end = None;
        for one in settled {
            if one.source == ANSWER && self.stands(&one.outcome.ending) {
                self.trail.answered(one.outcome.known);
                end = Some(one.outcome);
                continue;
            }
            one.log();
            taken.push(Event {
                source: one.source,
                at: one.outcome.at,
                kind: EventKind::Settled(one.outcome.ending.clone()),
            });
            self.ended.push_back(one);
        }
        taken.sort_by_key(|event| event.at);
        waiting.append(&mut taken);
        self.buffer.compact(waiting);
        if end.is_some() || matches!(self.stage, Stage::Showing(Shown { left: true, .. })) {
            self.release();
        }
        end
    }

    /// Whether the answer ends so. If not, it came to nothing, and the panel may find another.
    fn stands(&self, ending: &Ending) -> bool {
        let Stage::Showing(Shown { said, left }) = self.stage else {
            return false;
        };
        match ending {
            Ending::Completed | Ending::Incomplete(_) => said || left,
            Ending::Interrupted | Ending::Failed(_) | Ending::HandedOff => left,
        }
    }

    /// Hands the panel one thing that it has not heard of, and does what it says. What comes back is the end of the
    /// answer. The panel must be due.
    pub(super) async fn decide(
        &mut self,
        session: &mut Session,
        turns: &mut Turns,
        waiting: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Fault> {
        let now = clock::unix_ms();
        let Some(Settled { source, outcome }) = self.ended.pop_front() else {
            self.wake = None;
            let verdict = session.wake(now).await?;
            return self.follow(verdict, turns, waiting);
        };
        let verdict = match &self.stage {
            Stage::Collecting => {
                let Some(outcome) = self.buffer.settle(source, outcome.ending) else {
                    return Ok(None);
                };
                self.trail.settled(!outcome.messages.is_empty());
                let verdict = session.settle(source, outcome, now).await?;
                if let Some(means) = &mut self.means {
                    means.take_place_of(source);
                }
                verdict
            }
            Stage::Consulting => {
                let outcome = self.buffer.consulted(outcome.ending);
                session.judged(&outcome, now).await?
            }
            Stage::Showing(_) => {
                let outcome = Outcome {
                    ending: outcome.ending,
                    messages: Vec::new(),
                };
                session.judged(&outcome, now).await?
            }
            Stage::Over => return Ok(None),
        };
        self.follow(verdict, turns, waiting)
    }

    /// Does what the panel says.
    fn follow(
        &mut self,
        verdict: Verdict,
        turns: &mut Turns,
        waiting: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Fault> {
        self.wake = None;
        if let Verdict::Wait(until) = verdict {
            if turns.is_empty() && self.ended.is_empty() {
                return Err(broken("the panel waits, and nothing runs".to_owned()));
            }
            self.wake = until.map(|until| self.instant(until));
            return Ok(None);
        }
        if matches!(verdict, Verdict::Fail(_)) {
            self.trail.gave_up();
        } else {
            self.trail.decided();
        }
        // Whoever still runs is no longer needed.
        self.ended.clear();
        for source in turns.stop_all() {
            waiting.push(event(source, EventKind::Settled(Ending::Interrupted)));
        }
        let ending = match verdict {
            Verdict::Show(brief) => {
                self.stage = Stage::Showing(Shown::default());
                return self.ask(ANSWER, brief, turns, waiting).map(|()| None);
            }
            Verdict::Consult(brief) => {
                let beyond = self.candidates.saturating_add(self.panel_turns);
                let source = beyond.saturating_add(1);
                self.stage = Stage::Consulting;
                self.buffer.consult(source);
                return self.ask(source, brief, turns, waiting).map(|()| None);
            }
            Verdict::Pick(choice) => self.pick(choice, waiting)?,
            Verdict::Fail(problem) => Ending::Failed(problem),
            Verdict::Wait(_) => return Ok(None),
        };
        self.stage = Stage::Over;
        self.release();
        Ok(Some(ending))
    }

    /// Gives back what only a further turn, or a further verdict, could need.
    fn release(&mut self) {
        self.means = None;
        self.buffer.forget();
    }

    /// Tells a candidate's answer once more, as the answer.
    fn pick(&mut self, choice: Choice, waiting: &mut Vec<Event>) -> Result<Ending, Fault> {
        let number = choice.candidate;
        let Some((messages, ending)) = self.buffer.answer(number) else {
            return Err(broken(format!("candidate {number} has no answer")));
        };
        waiting.push(event(ANSWER, EventKind::Picked(choice)));
        for (message, said) in (0..).zip(messages) {
            let text = Text {
                message,
                phase: said.phase,
                text: said.text,
            };
            waiting.push(event(ANSWER, EventKind::Text(text)));
        }
        self.trail.answered(Instant::now().into_std());
        Ok(ending)
    }

    /// Asks for a turn that the panel wants.
    fn ask(
        &mut self,
        source: u32,
        brief: Brief,
        turns: &mut Turns,
        waiting: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        self.panel_turns += 1;
        if self.panel_turns > PANEL_TURNS {
            return Err(broken(format!(
                "the panel asks for more than {PANEL_TURNS} turns"
            )));
        }
        let Some((means, permit)) = self.means.as_mut().and_then(Means::permit) else {
            return Err(broken(
                "the panel asks for a turn after the answer".to_owned(),
            ));
        };
        let wished = brief.model.as_ref();
        let model = means.codex.model_name(&means.conversation, wished);
        waiting.push(event(source, EventKind::Opened(model)));
        means.start(source, brief, permit, &self.limits, turns);
        Ok(())
    }

    /// The moment of this time, at the latest when a turn would have taken too long.
    fn instant(&self, unix_ms: u64) -> Instant {
        let left = Duration::from_millis(unix_ms.saturating_sub(clock::unix_ms()));
        Instant::now() + left.clamp(SHORTEST_WAIT, self.limits.turn_timeout)
    }
}

impl Means {
    /// Asks for a turn.
    fn start(
        &self,
        source: u32,
        brief: Brief,
        permit: Permit,
        limits: &TurnLimits,
        turns: &mut Turns,
    ) {
        let context = TurnContext {
            source,
            permit,
            wake: self.wake.clone(),
            buffer_bytes: limits.turn_buffer_bytes,
            model_requests: limits.model_requests,
        };
        let (codex, conversation) = (self.codex.clone(), self.conversation.clone());
        let trail = self.trail.clone();
        turns.add(source, async move {
            let trail = trail.request_turn();
            let turn = codex.start_turn(conversation, brief, context).await?;
            Ok(Turn::new(turn, trail))
        });
    }

    /// A candidate's turn is over, so a later one may have its place. The others give theirs back as they end.
    fn take_place_of(&mut self, candidate: u32) {
        let place = usize::try_from(candidate).map_or(0, |number| number.saturating_sub(1));
        if self.permits.len() > 1 && place < self.permits.len() {
            self.permits.swap(0, place);
            self.permits.truncate(1);
        }
    }

    /// The permit of a further turn.
    fn permit(&mut self) -> Option<(&Self, Permit)> {
        self.permits.truncate(1);
        let permit = self.permits.first()?.clone();
        Some((self, permit))
    }
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
