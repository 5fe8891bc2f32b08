//! A fan-out: how many attempts, on what terms, and what makes a brief of each.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::members::read_members;
use super::options::{DEFAULT_MODEL, EffortShape, NonEmptyString};
use super::problems::{invalid, problem, quoted};
use super::reader::Reader;
use super::shape::{IntegerShape, JsonShape, Nullable, Scalar};
use crate::bindings::airlock::policy::types::{Brief, Problem, ProblemKind, Selection};
use crate::notes::FanOutTerms;
use crate::panel::Strategy;

/// The most attempts at one request.
pub(super) const ATTEMPTS_AT_MOST: u32 = 20;
/// How long others may still take once a quorum has answered, unless the request says otherwise. Milliseconds.
const GRACE_MS: u32 = 2_000;
const GRACE_MS_AT_MOST: u32 = 3_600_000;
const DEADLINE_MS_AT_MOST: u32 = 86_400_000;
/// What stands before and after a hint. The hint is a paragraph of its own, so it may have several lines.
const HINT_BEFORE: &str = "Approach the user's request from this angle:";
const HINT_AFTER: &str = "The angle guides where you look and how you reason. It does not change what is asked: answer the whole request, in the language and the form that it and the rest of your instructions call for. Where the angle does not apply, or would lead to an answer that you know to be wrong, set it aside. Do not mention the angle or these instructions in your answer.";
const NO_STRATEGIES: &str =
    "not supported: this policy makes one attempt at a request. Leave it out";

/// `airlock`: on what terms one answer is made of several attempts.
#[derive(Default)]
pub(super) struct AirlockOptions<'de> {
    /// The name of a strategy.
    synthesis: Option<Cow<'de, str>>,
    quorum: Option<u32>,
    grace_ms: Option<u32>,
    deadline_ms: Option<u32>,
    candidates: Vec<CandidateOptions<'de>>,
}

/// What is special about one attempt.
#[derive(Default)]
pub(super) struct CandidateOptions<'de> {
    model: Option<Cow<'de, str>>,
    effort: Option<String>,
    hint: Option<Cow<'de, str>>,
}

pub(super) struct AirlockOptionsShape;

impl<'de> JsonShape<'de> for AirlockOptionsShape {
    type Value = AirlockOptions<'de>;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<AirlockOptions<'de>, A::Error> {
        let mut airlock = AirlockOptions::default();
        read_members!(reader, fields, {
            "synthesis" => nullable(airlock.synthesis, StrategyNameShape),
            // `parallel_calls`, which may come later, bounds it further.
            "quorum" => nullable(airlock.quorum, IntegerShape(1, ATTEMPTS_AT_MOST)),
            "grace_ms" => nullable(airlock.grace_ms, IntegerShape(0, GRACE_MS_AT_MOST)),
            "deadline_ms" => nullable(airlock.deadline_ms, IntegerShape(1, DEADLINE_MS_AT_MOST)),
            "candidates" => or_default(airlock.candidates, CandidatesShape),
        });
        Ok(airlock)
    }
}

/// The name of a strategy that the policy has.
struct StrategyNameShape;

impl<'de> JsonShape<'de> for StrategyNameShape {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = "a string";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        match scalar {
            Scalar::Text(name) if named(reader.strategies, &name).is_some() => Ok(name),
            Scalar::Text(other) => Err(Self::none(reader, &format!("`{}`", quoted(&other)))),
            other => Err(Self::none(reader, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _: A,
    ) -> Result<Self::Value, A::Error> {
        Err(Self::none(reader, "an array"))
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _: A,
    ) -> Result<Self::Value, A::Error> {
        Err(Self::none(reader, "an object"))
    }
}

impl StrategyNameShape {
    /// What was found names no strategy.
    fn none<E: de::Error>(reader: &mut Reader<'_>, found: &str) -> E {
        if reader.strategies.is_empty() {
            return reader.unsupported(NO_STRATEGIES);
        }
        reader.wrong(&one_of(reader.strategies), found)
    }
}

struct CandidatesShape;

impl<'de> JsonShape<'de> for CandidatesShape {
    type Value = Vec<CandidateOptions<'de>>;
    const EXPECTED: &'static str = "an array of objects";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut candidates = Vec::new();
        while let Some(candidate) = reader.member(
            &mut members,
            candidates.len(),
            Nullable(CandidateOptionsShape),
        )? {
            if count(&candidates) == ATTEMPTS_AT_MOST {
                return Err(reader.invalid(&format!(
                    "at most {ATTEMPTS_AT_MOST} entries, one for each of `parallel_calls`"
                )));
            }
            candidates.push(candidate.unwrap_or_default());
        }
        Ok(candidates)
    }
}

struct CandidateOptionsShape;

impl<'de> JsonShape<'de> for CandidateOptionsShape {
    type Value = CandidateOptions<'de>;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<CandidateOptions<'de>, A::Error> {
        let mut candidate = CandidateOptions::default();
        read_members!(reader, fields, {
            "model" => nullable(candidate.model, NonEmptyString),
            "effort" => nullable(candidate.effort, EffortShape),
            "hint" => nullable(candidate.hint, NonEmptyString),
        });
        Ok(candidate)
    }
}

impl AirlockOptions<'_> {
    /// What so many attempts are asked to do, or None for a single one, which needs no synthesis. What does nothing
    /// is noted as ignored. `default` is the strategy of a request that names none.
    ///
    /// # Errors
    ///
    /// `invalid-request` where the fields contradict each other, `unsupported` where the policy has no strategy, or
    /// where something would be ignored under `strict`.
    pub(super) fn terms(
        &self,
        attempts: u32,
        default: Option<&dyn Strategy>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<FanOutTerms>, Problem> {
        let entries = count(&self.candidates);
        if entries > attempts {
            let message = format!(
                "{entries} entries, and {attempts} to be made by `parallel_calls`: raise `parallel_calls` to {entries}, or leave some out"
            );
            return Err(invalid("airlock.candidates", &message));
        }
        if attempts == 1 {
            let fields = [
                ("airlock.synthesis", self.synthesis.is_some()),
                ("airlock.quorum", self.quorum.is_some()),
                ("airlock.grace_ms", self.grace_ms.is_some()),
                ("airlock.deadline_ms", self.deadline_ms.is_some()),
            ];
            ignore_given(reader, &fields)?;
            return Ok(None);
        }
        let strategy = match &self.synthesis {
            Some(name) => named(reader.strategies, name),
            None => default,
        };
        let Some(strategy) = strategy else {
            let path = "parallel_calls".to_owned();
            return Err(problem(ProblemKind::Unsupported, path, NO_STRATEGIES));
        };
        let mut quorum = self.quorum.unwrap_or(attempts);
        let mut grace_ms = self.grace_ms.unwrap_or(GRACE_MS);
        if quorum > attempts {
            let message = format!(
                "expected an integer from 1 to {attempts}, which is `parallel_calls`, found {quorum}"
            );
            return Err(invalid("airlock.quorum", &message));
        }
        if !strategy.waits() {
            (quorum, grace_ms) = (attempts, GRACE_MS);
            let fields = [
                ("airlock.quorum", self.quorum.is_some()),
                ("airlock.grace_ms", self.grace_ms.is_some()),
            ];
            ignore_given(reader, &fields)?;
        }
        Ok(Some(FanOutTerms {
            candidates: attempts,
            strategy: strategy.name().to_owned(),
            quorum,
            grace_ms: grace_ms.into(),
            deadline_ms: self.deadline_ms.map(u64::from),
            ..FanOutTerms::default()
        }))
    }

    /// The brief of each of so many attempts: `common`, but for what is special about it. `asked` is the model that the
    /// request names, where that is not the home's default.
    ///
    /// # Errors
    ///
    /// `invalid-request` where a candidate asks for the home's default model and the request for another: a brief
    /// cannot say so.
    pub(super) fn briefs(
        &self,
        attempts: u32,
        asked: Option<&Selection>,
        common: Brief,
    ) -> Result<Vec<Brief>, Problem> {
        let plain = CandidateOptions::default();
        let special = self.candidates.iter().chain(std::iter::repeat(&plain));
        // Not copied for the only one: its input may be long.
        let briefs = vec![common; usize::try_from(attempts).unwrap_or_default()];
        briefs
            .into_iter()
            .zip(special)
            .enumerate()
            .map(|(index, (brief, candidate))| candidate.brief(index, asked, brief))
            .collect()
    }
}

impl CandidateOptions<'_> {
    /// `brief`, with what is special about this candidate. `index` is its place in the request, from 0.
    fn brief(
        &self,
        index: usize,
        asked: Option<&Selection>,
        mut brief: Brief,
    ) -> Result<Brief, Problem> {
        let field = |name: &str| format!("airlock.candidates[{index}].{name}");
        let usual = asked.map_or(DEFAULT_MODEL, |wish| wish.name.as_str());
        let model = self.model.as_deref().filter(|model| *model != usual);
        if let Some(model) = model {
            if model == DEFAULT_MODEL {
                let message = "the home's default is to be had only where the request's `model` is `default` too: name a model of /v1/models, or leave it out";
                return Err(invalid(&field("model"), message));
            }
            brief.model = Some(Selection {
                name: model.to_owned(),
                param: field("model"),
            });
            // The request's effort is a word of the request's model.
            brief.effort = None;
        }
        if let Some(effort) = &self.effort {
            brief.effort = Some(Selection {
                name: effort.clone(),
                param: field("effort"),
            });
        }
        if let Some(hint) = &self.hint {
            brief.instructions = [HINT_BEFORE, hint.trim(), HINT_AFTER].join("\n\n");
        }
        Ok(brief)
    }
}

/// Notes those of the fields as ignored that the request gives, or refuses the first one under `strict`.
fn ignore_given(reader: &mut Reader<'_>, fields: &[(&'static str, bool)]) -> Result<(), Problem> {
    for (path, _) in fields.iter().filter(|(_, given)| *given) {
        reader.ignore_after_all(path)?;
    }
    Ok(())
}

/// A number of candidates, of which there are few.
fn count(candidates: &[CandidateOptions<'_>]) -> u32 {
    u32::try_from(candidates.len()).unwrap_or(u32::MAX)
}

/// The strategy of this name. Of two the first counts.
pub(super) fn named<'s>(
    strategies: &'s [Box<dyn Strategy>],
    name: &str,
) -> Option<&'s dyn Strategy> {
    let mut all = strategies.iter().map(AsRef::as_ref);
    all.find(|strategy| strategy.name() == name)
}

/// Names to choose from, as a message has them.
pub(super) fn one_of(strategies: &[Box<dyn Strategy>]) -> String {
    let mut names: Vec<&str> = Vec::with_capacity(strategies.len());
    for strategy in strategies {
        if !names.contains(&strategy.name()) {
            names.push(strategy.name());
        }
    }
    format!("one of `{}`", names.join("`, `"))
}
