//! A fan-out: several candidates for one answer. It starts, bounds, times and stops their turns, and executes the verdicts of
//! the policy's panel.

mod buffer; // bounded transcripts and pending events
mod transcript; // the messages of one turn
mod turn_starter; // starts its turns

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use self::buffer::CandidateBuffer;
pub(super) use self::turn_starter::TurnStarter;
use super::turn_set::{ANSWER, SettledTurn, TurnSet};
use crate::config::{ServerLimits, ServerTurnLimits};
use airlock_base::clock;
use airlock_codex::TurnOutcome;
use airlock_metrics::FanOutMetrics;
use airlock_policy::{Fault, Session};
use airlock_types::wit::{Brief, Choice, Ending, Event, EventKind, Outcome, Text, Verdict};

/// The most turns that a panel may request, one after the other.
const PANEL_TURNS: u32 = 8;

/// The shortest time until a panel is woken, so that it cannot keep a thread busy.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The state of one fan-out.
pub(super) struct FanOut {
    /// None once no further turn can be requested.
    starter: Option<TurnStarter>,
    limits: ServerTurnLimits,
    /// The answer is sent as it comes, and cannot be taken back.
    streaming: bool,
    candidates: u32,
    metrics: FanOutMetrics,
    buffer: CandidateBuffer,
    stage: FanOutStage,
    /// Turns that have ended, which the panel has not received.
    ended: VecDeque<SettledTurn>,
    /// When the panel is to be woken.
    wake: Option<Instant>,
    panel_turns: u32,
}

enum FanOutStage {
    /// The candidates run.
    Collecting,
    /// A turn runs whose outcome the panel receives.
    Consulting,
    /// A turn runs that is the answer, unless it fails before it has text.
    Showing(ShownTurn),
    /// The answer is known.
    Over,
}

/// The progress of the turn that is shown.
#[derive(Clone, Copy, Default)]
struct ShownTurn {
    /// Whether the turn has text besides white space.
    has_text: bool,
    /// Whether some of its text may have reached the client.
    is_sent: bool,
}

impl FanOut {
    /// Starts all candidates, with a permit of the starter for each brief and its model. Also returns the reply's first events.
    pub(super) fn begin(
        starter: TurnStarter,
        (buffers, limits): (&ServerLimits, ServerTurnLimits),
        streaming: bool,
        briefs: Vec<(Brief, String)>,
        turns: &mut TurnSet,
    ) -> (Self, Vec<Event>) {
        let mut opened = Vec::with_capacity(briefs.len());
        let buffer = CandidateBuffer::new(briefs.len(), buffers, limits.turn_buffer_bytes);
        let permits = starter.permits.clone();
        for ((source, (brief, model)), permit) in (1..).zip(briefs).zip(permits) {
            opened.push(event(source, EventKind::Opened(model)));
            starter.start(source, brief, permit, limits, turns);
        }
        let candidates = u32::try_from(opened.len()).unwrap_or(u32::MAX);
        let fan_out = Self {
            metrics: starter.metrics.fanned_out(candidates),
            starter: Some(starter),
            limits,
            streaming,
            candidates,
            buffer,
            stage: FanOutStage::Collecting,
            ended: VecDeque::new(),
            wake: Some(Instant::now()),
            panel_turns: 0,
        };
        (fan_out, opened)
    }

    /// The number of candidates.
    pub(super) fn candidates(&self) -> u32 {
        self.candidates
    }

    /// The time at which the panel is to be woken. None: it waits for turns.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether the panel has something to decide about.
    pub(super) fn is_due(&self) -> bool {
        !self.ended.is_empty() || self.wake.is_some_and(|wake| wake <= Instant::now())
    }

    /// Records that the reply has received all events but these.
    pub(super) fn set_pending(&mut self, pending: &[Event]) {
        self.buffer.set_pending(pending);
    }

    /// Appends new events to the panel's transcripts, within their limits, and events and the ends of turns to those that
    /// are pending for the reply. Returns the outcome of the answer once it has ended.
    pub(super) fn absorb(
        &mut self,
        fresh: Vec<Event>,
        mut settled: Vec<SettledTurn>,
        turns: &mut TurnSet,
        pending: &mut Vec<Event>,
    ) -> Option<TurnOutcome> {
        // The end of a turn comes after its last event, even if the clock was set back.
        let latest = fresh.last().map_or(0, |event| event.at);
        let (mut accepted, over) = self.buffer.append(fresh);
        for (source, failure) in over {
            turns.stop(source);
            settled.retain(|settled| settled.source != source);
            let mut outcome = TurnOutcome::from(failure);
            outcome.at = outcome.at.max(latest);
            settled.push(SettledTurn { source, outcome });
        }
        if let FanOutStage::Showing(shown) = &mut self.stage {
            for event in &accepted {
                if let (ANSWER, EventKind::Text(text)) = (event.source, &event.kind) {
                    shown.has_text |= !text.text.trim().is_empty();
                    shown.is_sent |= self.streaming && !text.text.is_empty();
                }
            }
        }
        let mut end = None;
        for turn in settled {
            if turn.source == ANSWER && self.is_final(&turn.outcome.ending) {
                self.metrics.answered(turn.outcome.known);
                end = Some(turn.outcome);
                continue;
            }
            turn.log();
            accepted.push(Event {
                source: turn.source,
                at: turn.outcome.at,
                kind: EventKind::Settled(turn.outcome.ending.clone()),
            });
            self.ended.push_back(turn);
        }
        accepted.sort_by_key(|event| event.at);
        pending.append(&mut accepted);
        self.buffer.compact(pending);
        if end.is_some()
            || matches!(
                self.stage,
                FanOutStage::Showing(ShownTurn { is_sent: true, .. })
            )
        {
            self.release();
        }
        end
    }

    /// Whether the answer ends with this ending. If not, it is discarded, and the panel may choose another.
    fn is_final(&self, ending: &Ending) -> bool {
        let FanOutStage::Showing(ShownTurn { has_text, is_sent }) = self.stage else {
            return false;
        };
        match ending {
            Ending::Completed | Ending::Incomplete(_) => has_text || is_sent,
            Ending::Interrupted | Ending::Failed(_) | Ending::HandedOff => is_sent,
        }
    }

    /// Sends the panel the outcome of one turn, or wakes it, and executes its verdict. Returns the ending of the answer once
    /// the verdict decides it. Must be called only when the panel is due.
    pub(super) async fn decide(
        &mut self,
        session: &mut Session,
        turns: &mut TurnSet,
        pending: &mut Vec<Event>,
    ) -> Result<Option<Ending>, Fault> {
        let now = clock::unix_ms();
        let Some(SettledTurn { source, outcome }) = self.ended.pop_front() else {
            self.wake = None;
            let verdict = session.wake(now).await?;
            return self.execute(verdict, turns, pending);
        };
        let verdict = match &self.stage {
            FanOutStage::Collecting => {
                let Some(outcome) = self.buffer.settle(source, outcome.ending) else {
                    return Ok(None);
                };
                self.metrics.settled(!outcome.messages.is_empty());
                let verdict = session.settle(source, outcome, now).await?;
                if let Some(starter) = &mut self.starter {
                    starter.keep_permit_of(source);
                }
                verdict
            }
            FanOutStage::Consulting => {
                let outcome = self.buffer.consulted(outcome.ending);
                session.judged(&outcome, now).await?
            }
            FanOutStage::Showing(_) => {
                let outcome = Outcome {
                    ending: outcome.ending,
                    messages: Vec::new(),
                };
                session.judged(&outcome, now).await?
            }
            FanOutStage::Over => return Ok(None),
        };
        self.execute(verdict, turns, pending)
    }

    /// Executes a verdict of the panel.
    fn execute(
        &mut self,
        verdict: Verdict,
        turns: &mut TurnSet,
        pending: &mut Vec<Event>,
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
            self.metrics.gave_up();
        } else {
            self.metrics.decided();
        }
        // The turns that still run are no longer needed.
        self.ended.clear();
        for source in turns.stop_all() {
            pending.push(event(source, EventKind::Settled(Ending::Interrupted)));
        }
        let ending = match verdict {
            Verdict::Show(brief) => {
                self.stage = FanOutStage::Showing(ShownTurn::default());
                return self.start(ANSWER, brief, turns, pending).map(|()| None);
            }
            Verdict::Consult(brief) => {
                let beyond = self.candidates.saturating_add(self.panel_turns);
                let source = beyond.saturating_add(1);
                self.stage = FanOutStage::Consulting;
                self.buffer.consult(source);
                return self.start(source, brief, turns, pending).map(|()| None);
            }
            Verdict::Pick(choice) => self.pick(choice, pending)?,
            Verdict::Complete => Ending::Completed,
            Verdict::Fail(problem) => Ending::Failed(problem),
            Verdict::Wait(_) => return Ok(None),
        };
        self.stage = FanOutStage::Over;
        self.release();
        Ok(Some(ending))
    }

    /// Drops the starter and the transcripts, which only a further turn or verdict could need.
    fn release(&mut self) {
        self.starter = None;
        self.buffer.clear();
    }

    /// Makes the messages of a candidate events of the answer.
    fn pick(&mut self, choice: Choice, pending: &mut Vec<Event>) -> Result<Ending, Fault> {
        let number = choice.candidate;
        let Some((messages, ending)) = self.buffer.answer(number) else {
            return Err(broken(format!("candidate {number} has no answer")));
        };
        pending.push(event(ANSWER, EventKind::Picked(choice)));
        for (index, message) in (0..).zip(messages) {
            let text = Text {
                message: index,
                phase: message.phase,
                text: message.text,
                item: None,
            };
            pending.push(event(ANSWER, EventKind::Text(text)));
        }
        self.metrics.answered(Instant::now().into_std());
        Ok(ending)
    }

    /// Starts a turn that the panel requests.
    fn start(
        &mut self,
        source: u32,
        brief: Brief,
        turns: &mut TurnSet,
        pending: &mut Vec<Event>,
    ) -> Result<(), Fault> {
        self.panel_turns += 1;
        if self.panel_turns > PANEL_TURNS {
            return Err(broken(format!(
                "the panel requests more than {PANEL_TURNS} turns"
            )));
        }
        let Some((starter, permit)) = self.starter.as_mut().and_then(TurnStarter::permit) else {
            return Err(broken(
                "the panel requests a turn after the answer".to_owned(),
            ));
        };
        let selection = brief.model.as_ref();
        let model = starter.codex.model_name(&starter.conversation, selection);
        pending.push(event(source, EventKind::Opened(model)));
        starter.start(source, brief, permit, self.limits, turns);
        Ok(())
    }

    /// The instant of a Unix time, at most `turn_timeout` from now.
    fn instant(&self, unix_ms: u64) -> Instant {
        let left = Duration::from_millis(unix_ms.saturating_sub(clock::unix_ms()));
        Instant::now() + left.clamp(SHORTEST_WAIT, self.limits.turn_timeout)
    }
}

/// An event of the host itself, now.
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
