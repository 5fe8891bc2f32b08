//! The panel of a fan-out: waits for its candidates, and decides what becomes of their answers.
//!
//! The panel does what all strategies share: it collects outcomes, waits for quorum and grace time, watches the
//! deadline, passes a lone answer on, reports why there is no answer, and falls back if a synthesis fails. The
//! strategy decides between several answers. Where each candidate is a choice of the response, it only waits for all. It is a
//! pure state machine: times are arguments.

mod answer;
mod choices;
mod failure;
mod fenced_texts;
mod first;
mod judge;
mod merge;
mod random;
mod strategy;
mod table;
mod vote;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::bindings::airlock::policy::types::{Choice, Context, Problem, ProblemKind, Shortfall};
use crate::bindings::exports::airlock::policy::synthesize::{Outcome, Verdict};
use crate::json;
use crate::notes::PlanNotes;
use crate::problem::coded;

use answer::CandidateResult;
use choices::ChoicesPanel;
use failure::CandidateFailure;

pub use answer::CandidateAnswer;
pub use first::FirstStrategy;
pub use judge::JudgeStrategy;
pub use merge::MergeStrategy;
pub(crate) use strategy::ExternalStrategy;
pub use strategy::{Strategies, Strategy, StrategyStep};
pub use table::Table;
pub use vote::VoteStrategy;

/// The `extra` of a choice after a failed synthesis.
const FALLBACK: &str = r#"{"fallback":true}"#;

/// The strategies of the shipped policy, the default first.
pub fn strategies() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(MergeStrategy),
        Box::new(JudgeStrategy),
        Box::new(VoteStrategy::default()),
        Box::new(FirstStrategy),
    ]
}

/// The panel of one fan-out. It gives exactly one verdict on the candidates; only the end of a turn which that
/// verdict requested leads to another one.
#[derive(Debug)]
pub struct Panel {
    /// Decides alone, if the candidates are the choices of the response.
    choices: Option<ChoicesPanel>,
    /// None if the notes name an unknown strategy.
    strategy: Option<Box<dyn Strategy>>,
    table: Table,
    stage: PanelStage,
    /// The candidates that have ended.
    settled: BTreeSet<u32>,
    failures: Vec<CandidateFailure>,
    /// The best truncated answer.
    truncated: Option<TruncatedAnswer>,
    quorum: usize,
    grace_ms: u64,
    deadline_ms: Option<u64>,
    /// Whether the deadline's time runs.
    started: bool,
    /// The end of the grace time, once there is a quorum. Unix milliseconds, as all times here.
    grace_end: Option<u64>,
    /// The candidates' deadline, once its time runs.
    deadline: Option<u64>,
}

/// The event for which the panel waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PanelStage {
    /// The end of a candidate.
    Collecting,
    /// The end of a consulted turn.
    Consulting,
    /// The failure of the turn whose text is the answer.
    Showing,
    /// None: it has decided.
    Decided,
}

/// An answer that the model truncated, ordered by preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TruncatedAnswer {
    /// Whether the answer is only too long.
    too_long: bool,
    /// The length in characters.
    length: usize,
    candidate: Reverse<u32>,
}

impl Panel {
    /// A panel of this many candidates, numbered from 1. The notes name one of the strategies. Of duplicates the first
    /// counts, so a policy may put its own before `strategies()`.
    pub fn new(context: &Context, candidates: u32, strategies: Vec<Box<dyn Strategy>>) -> Self {
        let notes = PlanNotes::from_text(&context.notes);
        let fan_out = notes.fan_out.unwrap_or_default();
        let quorum = fan_out.quorum.clamp(1, candidates.max(1));
        Self {
            choices: notes.choices.map(|_| ChoicesPanel::new(candidates)),
            strategy: strategies
                .into_iter()
                .find(|strategy| strategy.name() == fan_out.strategy),
            stage: PanelStage::Collecting,
            settled: BTreeSet::new(),
            failures: Vec::new(),
            truncated: None,
            quorum: usize::try_from(quorum).unwrap_or(usize::MAX),
            grace_ms: fan_out.grace_ms,
            deadline_ms: fan_out.deadline_ms,
            started: false,
            grace_end: None,
            deadline: None,
            table: Table::new(&context.id, candidates, notes.structure, fan_out),
        }
    }

    /// Wakes the panel: all candidates were started, or a time for which it waits has come. Times are Unix milliseconds.
    pub fn wake(&mut self, now: u64) -> Verdict {
        if self.choices.is_some() {
            return Verdict::Wait(None);
        }
        self.start(now);
        self.decide_if_due(now, false)
    }

    /// Receives the outcome of a candidate. An unknown number or a second outcome has no effect.
    pub fn settle(&mut self, candidate: u32, outcome: Outcome, now: u64) -> Verdict {
        if let Some(choices) = &mut self.choices {
            return choices.settle(candidate, outcome.ending);
        }
        self.start(now);
        let awaited = self.stage == PanelStage::Collecting
            && (1..=self.table.candidates()).contains(&candidate)
            && self.settled.insert(candidate);
        if !awaited {
            return self.decide_if_due(now, false);
        }
        match answer::read(outcome, self.table.structure()) {
            CandidateResult::Answer(text) => {
                self.table.add(CandidateAnswer::new(candidate, text));
                if self.grace_end.is_none() && self.table.answers().len() >= self.quorum {
                    self.grace_end = Some(now.saturating_add(self.grace_ms));
                }
                return self.decide_if_due(now, true);
            }
            CandidateResult::Truncated(shortfall, length) => {
                let truncated = TruncatedAnswer {
                    too_long: shortfall == Shortfall::MaxOutputTokens,
                    length,
                    candidate: Reverse(candidate),
                };
                self.truncated = self.truncated.max(Some(truncated));
            }
            CandidateResult::Failed(failure) => self.failures.push(failure),
        }
        self.decide_if_due(now, false)
    }

    /// Receives the outcome of a turn that a verdict requested: a consulted one, or a shown one that failed before any of
    /// its text was sent.
    pub fn judged(&mut self, outcome: Outcome, _now: u64) -> Verdict {
        let step = match (self.stage, &mut self.strategy) {
            (PanelStage::Consulting, Some(strategy)) => {
                strategy.judged(&self.table, answer::consulted_text(outcome).as_deref())
            }
            (PanelStage::Showing, _) => StrategyStep::Fallback,
            _ => return Verdict::Wait(None),
        };
        self.act(step)
    }

    /// Starts the deadline's time with the first event.
    fn start(&mut self, now: u64) {
        if !self.started {
            self.started = true;
            self.deadline = self.deadline_ms.map(|after| now.saturating_add(after));
        }
    }

    /// Decides if it is time, else returns until when to wait. `answered`: there is a new answer.
    fn decide_if_due(&mut self, now: u64, answered: bool) -> Verdict {
        if self.stage != PanelStage::Collecting {
            return Verdict::Wait(None);
        }
        let Some(strategy) = &mut self.strategy else {
            return self.fail(unknown_strategy());
        };
        let passed = |time: Option<u64>| time.is_some_and(|time| time <= now);
        let all = u32::try_from(self.settled.len()).is_ok_and(|n| n == self.table.candidates());
        let enough = answered && strategy.enough(&self.table);
        if all || enough || passed(self.grace_end) || passed(self.deadline) {
            return self.decide(all);
        }
        Verdict::Wait(self.grace_end.into_iter().chain(self.deadline).min())
    }

    /// Decides with the answers so far. `all`: no candidate runs any longer.
    fn decide(&mut self, all: bool) -> Verdict {
        match (self.table.answers(), &mut self.strategy) {
            ([], _) => match self.truncated {
                Some(truncated) => self.pick(Choice {
                    candidate: truncated.candidate.0,
                    extra: None,
                }),
                None if all => {
                    let problem = failure::summary(&self.failures);
                    self.fail(problem)
                }
                None => {
                    let problem =
                        failure::deadline_exceeded(&self.failures, self.table.candidates());
                    self.fail(problem)
                }
            },
            ([only], _) => {
                let choice = Choice {
                    candidate: only.candidate(),
                    extra: None,
                };
                self.pick(choice)
            }
            (_, Some(strategy)) => {
                let step = strategy.decide(&self.table);
                self.act(step)
            }
            (_, None) => self.fail(unknown_strategy()),
        }
    }

    /// Turns a strategy's step into a verdict.
    fn act(&mut self, step: StrategyStep) -> Verdict {
        match step {
            StrategyStep::Show(brief) => {
                self.stage = PanelStage::Showing;
                // A fallback needs only the lengths of the texts.
                self.table.free_texts();
                Verdict::Show(brief)
            }
            StrategyStep::Consult(brief) => {
                self.stage = PanelStage::Consulting;
                Verdict::Consult(brief)
            }
            StrategyStep::Pick(choice) if self.table.has(choice.candidate) => self.pick(choice),
            StrategyStep::Pick(_) | StrategyStep::Fallback => match self.table.longest() {
                Some(candidate) => self.pick(Choice {
                    candidate,
                    extra: Some(FALLBACK.to_owned()),
                }),
                None => {
                    let problem = failure::summary(&self.failures);
                    self.fail(problem)
                }
            },
            StrategyStep::Fail(problem) => self.fail(problem),
        }
    }

    fn pick(&mut self, mut choice: Choice) -> Verdict {
        // The host requires one line, and the translator an object.
        choice.extra = choice.extra.as_deref().and_then(json::object_to_line);
        self.stage = PanelStage::Decided;
        self.table.free_texts();
        Verdict::Pick(choice)
    }

    fn fail(&mut self, problem: Problem) -> Verdict {
        self.stage = PanelStage::Decided;
        self.table.free_texts();
        Verdict::Fail(problem)
    }
}

/// The policy's `prompt` and `synthesize` do not match.
fn unknown_strategy() -> Problem {
    coded(
        ProblemKind::Internal,
        "unknown_strategy",
        "the policy's panel does not have the strategy that its prompt accepted".to_owned(),
    )
}
