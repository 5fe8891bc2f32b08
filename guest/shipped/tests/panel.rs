//! The panel from outside: every order of its events, and the prompts that it writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "panel/choices.rs"]
mod choices;
#[path = "panel/orders.rs"]
mod orders;
#[path = "panel/prompts.rs"]
mod prompts;
#[path = "panel/rules.rs"]
mod rules;
#[path = "panel/votes.rs"]
mod votes;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Choice, Context, Ending, Problem, ProblemKind, Shortfall,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::synthesize::{
    Message, Outcome, Verdict,
};
use airlock_shipped_policy::panel::{self, Panel, Strategy, StrategyStep, Table};
use serde_json::{Value, json};

/// A panel whose notes have these members in `fan_out`.
fn panel(candidates: u32, fan_out: Value) -> Panel {
    structured(candidates, fan_out, "free")
}

/// A panel whose candidates' answers have this structure.
fn structured(candidates: u32, fan_out: Value, structure: &str) -> Panel {
    let context = context(fan_out, structure);
    Panel::new(&context, candidates, panel::strategies())
}

fn context(fan_out: Value, structure: &str) -> Context {
    let notes = [("structure", Value::from(structure)), ("fan_out", fan_out)];
    Context {
        id: "req_7".to_owned(),
        arrived: 0,
        dialect: airlock_shipped_policy::DIALECT.to_owned(),
        model: "gpt-5.5".to_owned(),
        notes: Value::from_iter(notes).to_string(),
        seed: String::new(),
    }
}

fn ended(ending: Ending, text: &str) -> Outcome {
    let message = Message {
        phase: None,
        text: text.to_owned(),
    };
    Outcome {
        ending,
        messages: vec![message],
    }
}

fn completed(text: &str) -> Outcome {
    ended(Ending::Completed, text)
}

fn truncated(shortfall: Shortfall, text: &str) -> Outcome {
    ended(Ending::Incomplete(shortfall), text)
}

fn failed(kind: ProblemKind, code: &str) -> Outcome {
    Outcome {
        ending: Ending::Failed(Problem {
            kind,
            code: Some(code.to_owned()),
            message: "the cause".to_owned(),
            param: None,
            retry_after_seconds: None,
        }),
        messages: Vec::new(),
    }
}

fn picked(candidate: u32, extra: Option<&str>) -> Verdict {
    Verdict::Pick(Choice {
        candidate,
        extra: extra.map(str::to_owned),
    })
}

/// The code of a verdict's problem.
fn code(verdict: Verdict) -> String {
    match verdict {
        Verdict::Fail(problem) => problem.code.unwrap(),
        other => panic!("{other:?}"),
    }
}
