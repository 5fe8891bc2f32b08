//! The fan-out of a request: its terms, and the brief of each attempt.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::de::{self, MapAccess, SeqAccess};

use super::members::read_members;
use super::model_aliases::ModelAliases;
use super::options::{DEFAULT_MODEL, EffortShape, NonEmptyString};
use super::problems::{invalid, problem, quoted};
use super::reader::Reader;
use super::shape::{IntegerShape, JsonShape, Nullable, Scalar};
use crate::bindings::airlock::policy::types::{Brief, Problem, ProblemKind, Selection};
use crate::notes::FanOutTerms;
use crate::panel::Strategy;

/// The most attempts of one request.
pub(super) const ATTEMPTS_AT_MOST: u32 = 20;
/// The default grace time: how long other candidates may still run once the quorum has answered. Milliseconds.
const GRACE_MS: u32 = 2_000;
const GRACE_MS_AT_MOST: u32 = 3_600_000;
const DEADLINE_MS_AT_MOST: u32 = 86_400_000;
/// The text before and after a hint. The hint is a paragraph of its own, so it may have several lines.
const HINT_BEFORE: &str = "Approach the user's request from this angle:";
const HINT_AFTER: &str = "The angle guides where you look and how you reason. It does not change what is asked: answer the whole request, in the language and the form that it and the rest of your instructions call for. Where the angle does not apply, or would lead to an answer that you know to be wrong, set it aside. Do not mention the angle or these instructions in your answer.";
const NO_STRATEGIES: &str =
    "not supported: this policy makes one attempt at a request. Leave it out";

/// `airlock`: the options of a fan-out.
#[derive(Default)]
pub(super) struct AirlockOptions<'de> {
    /// The name of a strategy.
    synthesis: Option<Cow<'de, str>>,
    quorum: Option<u32>,
    grace_ms: Option<u32>,
    deadline_ms: Option<u32>,
    candidates: Vec<CandidateOptions<'de>>,
}

/// The options of one candidate.
#[derive(Default)]
pub(super) struct CandidateOptions<'de> {
    model: Option<Cow<'de, str>>,
    effort: Option<String>,
    /// The effort that the model's alias has.
    alias_effort: Option<String>,
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
            // `parallel_calls` bounds it further, but may come later.
            "quorum" => nullable(airlock.quorum, IntegerShape(1, ATTEMPTS_AT_MOST)),
            "grace_ms" => nullable(airlock.grace_ms, IntegerShape(0, GRACE_MS_AT_MOST)),
            "deadline_ms" => nullable(airlock.deadline_ms, IntegerShape(1, DEADLINE_MS_AT_MOST)),
            "candidates" => or_default(airlock.candidates, CandidatesShape),
        });
        Ok(airlock)
    }
}

/// The name of one of the policy's strategies.
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
            Scalar::Text(name) if strategy_named(reader.strategies, &name).is_some() => Ok(name),
            Scalar::Text(other) => Err(Self::unknown(reader, &format!("`{}`", quoted(&other)))),
            other => Err(Self::unknown(reader, other.kind())),
        }
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _: A,
    ) -> Result<Self::Value, A::Error> {
        Err(Self::unknown(reader, "an array"))
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        _: A,
    ) -> Result<Self::Value, A::Error> {
        Err(Self::unknown(reader, "an object"))
    }
}

impl StrategyNameShape {
    /// The value names no strategy.
    fn unknown<E: de::Error>(reader: &mut Reader<'_>, found: &str) -> E {
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
    /// Replaces the aliases of models by what they stand for.
    pub(super) fn resolve_models(&mut self, aliases: &ModelAliases) {
        for candidate in &mut self.candidates {
            let model = candidate.model.as_deref();
            if let Some(alias) = model.and_then(|model| aliases.find(model)) {
                candidate.model = Some(alias.model.clone().into());
                candidate.alias_effort.clone_from(&alias.effort);
            }
        }
    }

    /// The terms of a fan-out of this many attempts. None for a single attempt, which needs no synthesis. Fields
    /// without effect are noted as ignored. `default` is the strategy if the request names none.
    ///
    /// # Errors
    ///
    /// `invalid-request` if fields contradict each other, `unsupported` if the policy has no strategy, or if `strict`
    /// forbids a field without effect.
    pub(super) fn terms(
        &self,
        attempts: u32,
        default: Option<&dyn Strategy>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<FanOutTerms>, Problem> {
        let entries = count(&self.candidates);
        if entries > attempts {
            let message = format!(
                "{entries} entries for the {attempts} attempts of `parallel_calls`: raise `parallel_calls` to {entries}, or leave some out"
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
            Some(name) => strategy_named(reader.strategies, name),
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

    /// The briefs of this many attempts: `common` with each candidate's options. `requested` is the request's model,
    /// unless that is the home's default.
    ///
    /// # Errors
    ///
    /// `invalid-request` if a candidate requests the home's default model and the request another one: a brief cannot
    /// express that.
    pub(super) fn briefs(
        &self,
        attempts: u32,
        requested: Option<&Selection>,
        common: Brief,
    ) -> Result<Vec<Brief>, Problem> {
        let default = CandidateOptions::default();
        let special = self.candidates.iter().chain(std::iter::repeat(&default));
        // Does not copy the brief of a single attempt: its input may be long.
        let briefs = vec![common; usize::try_from(attempts).unwrap_or_default()];
        briefs
            .into_iter()
            .zip(special)
            .enumerate()
            .map(|(index, (brief, candidate))| candidate.brief(index, requested, brief))
            .collect()
    }
}

impl CandidateOptions<'_> {
    /// `brief` with this candidate's options. `index` is its position in the request, from 0.
    fn brief(
        &self,
        index: usize,
        requested: Option<&Selection>,
        mut brief: Brief,
    ) -> Result<Brief, Problem> {
        let field = |name: &str| format!("airlock.candidates[{index}].{name}");
        let usual = requested.map_or(DEFAULT_MODEL, |requested| requested.name.as_str());
        let model = self.model.as_deref().filter(|model| *model != usual);
        if let Some(model) = model {
            if model == DEFAULT_MODEL {
                let message = "the home's default model is available only if the request's `model` is `default` too: name a model of /v1/models, or leave it out";
                return Err(invalid(&field("model"), message));
            }
            brief.model = Some(Selection {
                name: model.to_owned(),
                param: field("model"),
            });
            // The request's effort applies to the request's model.
            brief.effort = None;
        }
        let own = self.effort.as_ref().map(|effort| (effort, "effort"));
        let of_alias = self.alias_effort.as_ref().map(|effort| (effort, "model"));
        if let Some((effort, name)) = own.or(of_alias) {
            brief.effort = Some(Selection {
                name: effort.clone(),
                param: field(name),
            });
        }
        if let Some(hint) = &self.hint {
            brief.instructions = [HINT_BEFORE, hint.trim(), HINT_AFTER].join("\n\n");
        }
        Ok(brief)
    }
}

/// Notes the given fields as ignored, or refuses the first one under `strict`.
fn ignore_given(reader: &mut Reader<'_>, fields: &[(&'static str, bool)]) -> Result<(), Problem> {
    for (path, _) in fields.iter().filter(|(_, given)| *given) {
        reader.ignore_after_all(path)?;
    }
    Ok(())
}

/// The number of candidates.
fn count(candidates: &[CandidateOptions<'_>]) -> u32 {
    u32::try_from(candidates.len()).unwrap_or(u32::MAX)
}

/// The strategy of this name. Of duplicates the first counts.
pub(super) fn strategy_named<'s>(
    strategies: &'s [Box<dyn Strategy>],
    name: &str,
) -> Option<&'s dyn Strategy> {
    let mut all = strategies.iter().map(AsRef::as_ref);
    all.find(|strategy| strategy.name() == name)
}

/// The names of the strategies, for a message.
pub(super) fn one_of(strategies: &[Box<dyn Strategy>]) -> String {
    let mut names: Vec<&str> = Vec::with_capacity(strategies.len());
    for strategy in strategies {
        if !names.contains(&strategy.name()) {
            names.push(strategy.name());
        }
    }
    format!("one of `{}`", names.join("`, `"))
}
