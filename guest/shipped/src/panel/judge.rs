//! The strategy `judge`: a turn of its own chooses one of the answers, and gives reasons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::strategy::{Strategy, StrategyStep};
use super::table::Table;
use crate::bindings::airlock::policy::types::{Brief, Choice};
use crate::json;

/// Consults a judge and takes the answer that it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct JudgeStrategy;

const INSTRUCTIONS: &str = "\
Your task now: several candidates have each answered the user's last message in the conversation, without knowing of one another. \
Do not answer the user yourself. Judge the candidates, and name the one whose answer the user should get as it stands.
- Correctness comes first: check what they claim, above all where they contradict one another. The majority may be wrong.
- Then how fully it does what the user and your other instructions ask for, including the language and the form.
- Then clarity. Neither length nor order is a merit.
Give your reasons in at most five sentences and in the user's language, calling each candidate by its label alone, and then the label of the best.";

/// The judge's answer. Reasons come first, so that the choice follows from them.
#[derive(Deserialize)]
struct Ruling {
    reasons: String,
    best: String,
}

/// The `extra` of the choice, for the client.
#[derive(Serialize)]
struct JudgeExtra<'a> {
    reasons: &'a str,
    /// The candidate of each label in the reasons.
    labels: BTreeMap<String, u32>,
}

/// The schema of a ruling, in the strict form that models enforce.
#[derive(Serialize)]
struct RulingSchema {
    r#type: &'static str,
    properties: RulingProperties,
    required: [&'static str; 2],
    #[serde(rename = "additionalProperties")]
    additional_properties: bool,
}

#[derive(Serialize)]
struct RulingProperties {
    reasons: StringSchema,
    best: StringSchema,
}

#[derive(Serialize)]
struct StringSchema {
    r#type: &'static str,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    one_of: Vec<String>,
}

impl StringSchema {
    fn of(one_of: Vec<String>) -> Self {
        Self {
            r#type: "string",
            one_of,
        }
    }
}

impl Strategy for JudgeStrategy {
    fn name(&self) -> &'static str {
        "judge"
    }

    fn decide(&mut self, table: &Table) -> StrategyStep {
        let labels = table.labels().into_iter().map(|(label, _)| label).collect();
        let schema = RulingSchema {
            r#type: "object",
            properties: RulingProperties {
                reasons: StringSchema::of(Vec::new()),
                best: StringSchema::of(labels),
            },
            required: ["reasons", "best"],
            additional_properties: false,
        };
        StrategyStep::Consult(Brief {
            output_schema: Some(json::to_line(&schema)),
            tools: false,
            ..table.question(INSTRUCTIONS, &[])
        })
    }

    fn judged(&mut self, table: &Table, answer: Option<&str>) -> StrategyStep {
        let labels: BTreeMap<String, u32> = table.labels().into_iter().collect();
        let chosen = answer.and_then(ruling).and_then(|ruling| {
            let candidate = *labels.get(&label(&ruling.best))?;
            Some((candidate, ruling.reasons))
        });
        match chosen {
            Some((candidate, reasons)) => StrategyStep::Pick(Choice {
                candidate,
                extra: Some(json::to_line(&JudgeExtra {
                    reasons: &reasons,
                    labels,
                })),
            }),
            None => StrategyStep::Fallback,
        }
    }
}

/// Parses a ruling. A model that does not enforce the schema may surround it with a fence or text.
fn ruling(answer: &str) -> Option<Ruling> {
    let start = answer.find('{')?;
    let end = answer.rfind('}')?;
    serde_json::from_str(answer.get(start..=end)?).ok()
}

/// Normalizes a label: `candidate a` is A.
fn label(best: &str) -> String {
    const PREFIX: &str = "candidate ";
    let best = best.trim();
    let bare = match best.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => &best[PREFIX.len()..],
        Some(_) | None => best,
    };
    bare.trim().to_ascii_uppercase()
}
