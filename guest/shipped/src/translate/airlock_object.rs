//! The object `airlock` in the response to a fan-out: how the answer was chosen, the candidates, and their usage.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::candidates::{CandidateError, CandidateState, Candidates};
use super::turn_text::TurnText;
use super::usage::UsageObject;
use crate::bindings::airlock::policy::types::Usage;

/// The most bytes of a candidate's object besides its text and its model.
const CANDIDATE_OVERHEAD: usize = 640;

/// The object `airlock`.
#[derive(Debug, Serialize)]
pub(super) struct AirlockObject<'a> {
    synthesis: SynthesisObject<'a>,
    /// Absent in a stream, which has sent them as events.
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<Vec<CandidateObject<'a>>>,
    usage: UsageBreakdown,
}

#[derive(Debug, Serialize)]
struct SynthesisObject<'a> {
    strategy: &'a str,
    /// The picked candidate. None if the answer was written by a turn of its own.
    candidate: Option<u32>,
    #[serde(flatten)]
    extra: BTreeMap<String, &'a RawValue>,
}

#[derive(Debug, Serialize)]
struct CandidateObject<'a> {
    tab: u32,
    model: &'a str,
    status: &'static str,
    text: &'a TurnText,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CandidateError>,
    usage: Option<UsageObject>,
    duration_ms: Option<u64>,
}

/// None for usage that Codex did not report.
#[derive(Debug, Serialize)]
struct UsageBreakdown {
    candidates: Option<UsageObject>,
    synthesis: Option<UsageObject>,
}

impl<'a> AirlockObject<'a> {
    /// The object without the candidates. `usage` is that of the answer's turn.
    pub(super) fn of(candidates: &'a Candidates, usage: Option<Usage>) -> Self {
        let choice = candidates.choice();
        let extra = choice.and_then(|choice| choice.extra.as_deref());
        Self {
            synthesis: SynthesisObject {
                strategy: &candidates.fan_out.strategy,
                candidate: choice.map(|choice| choice.candidate),
                extra: extra.map(members).unwrap_or_default(),
            },
            candidates: None,
            usage: UsageBreakdown {
                candidates: candidates.own_usage().map(UsageObject::of),
                synthesis: candidates.synthesis_usage(usage).map(UsageObject::of),
            },
        }
    }

    /// Adds the candidates. The text of the picked one is `answer`.
    pub(super) fn with_candidates(mut self, from: &'a Candidates, answer: &'a TurnText) -> Self {
        let picked = self.synthesis.candidate;
        let objects = from.iter().map(|(tab, candidate)| {
            let text = if picked == Some(tab) {
                answer
            } else {
                &candidate.messages
            };
            CandidateObject::of(tab, candidate, text)
        });
        self.candidates = Some(objects.collect());
        self
    }

    /// Bytes of the whole object as JSON, or a few more.
    pub(super) fn json_length(&self) -> usize {
        let extra = self.synthesis.extra.iter();
        let extra = extra.map(|(name, value)| 6 * name.len() + value.get().len() + 4);
        let candidates = self.candidates.iter().flatten();
        let candidates = candidates.map(|candidate| {
            candidate.text.json_length() + 6 * candidate.model.len() + CANDIDATE_OVERHEAD
        });
        let fixed = 2 * CANDIDATE_OVERHEAD + 6 * self.synthesis.strategy.len();
        fixed + extra.sum::<usize>() + candidates.sum::<usize>()
    }
}

impl<'a> CandidateObject<'a> {
    fn of(tab: u32, candidate: &'a CandidateState, text: &'a TurnText) -> Self {
        Self {
            tab,
            model: &candidate.model,
            status: candidate.status(),
            text,
            error: candidate.error(),
            usage: candidate.usage.map(UsageObject::of),
            duration_ms: candidate.duration(),
        }
    }
}

/// The members of the panel's JSON object, except for those that Airlock sets. Empty if the text is not an object.
fn members(extra: &str) -> BTreeMap<String, &RawValue> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(extra).unwrap_or_default();
    for ours in ["strategy", "candidate"] {
        members.remove(ours);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_is_an_object_or_ignored() {
        let found =
            members(r#"{"b": [1, {"c": 1e999}], "strategy": "x", "candid\u0061te": 9, "a": "é"}"#);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.get()))
            .collect();
        assert_eq!(found, [("a", "\"é\""), ("b", "[1, {\"c\": 1e999}]")]);
        for wrong in [
            "",
            "[]",
            "null",
            "1",
            "{\"a\":1",
            "{\"a\":}",
            "{} {}",
            "{\"a\":1}}",
            "}",
        ] {
            assert!(members(wrong).is_empty(), "{wrong}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(members(&deep).len(), 1);
    }
}
