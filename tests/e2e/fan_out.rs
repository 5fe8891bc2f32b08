//! Fan-outs on the scripted Codex: several candidates, and one answer.

mod bounds; // its limits
mod choices; // several answers
mod live; // candidates in the stream
mod options; // the parameters of a fan-out
mod partly; // candidates and syntheses that fail
mod strategies; // merge, judge, vote and first
mod whole; // the body that is not streamed

use airlock_tests::{Script, TurnPlan, angle};
use serde_json::Value;

/// A text in every draft, by which a synthesis is recognised.
const DRAFT: &str = "a draft";

/// A Codex whose candidates answer `a draft by N`, and whose synthesis runs this plan.
fn drafts(candidates: usize, synthesis: impl FnOnce(TurnPlan) -> TurnPlan) -> Script {
    let script = Script::new().when(DRAFT, synthesis);
    (1..=candidates).fold(script, |script, candidate| {
        script.when_instructed(&angle(candidate), |turn| turn.text(&draft(candidate)))
    })
}

fn draft(candidate: usize) -> String {
    format!("{DRAFT} by {candidate}")
}

/// Whether a `turn/start` is that of a candidate, whose messages are all in the thread.
fn is_candidate(start: &Value) -> bool {
    start["params"]["input"]
        .as_array()
        .is_none_or(Vec::is_empty)
}
