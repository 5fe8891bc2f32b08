//! Fan-outs on the scripted Codex: several candidates, and one answer.

mod asking; // what a request may say of it
mod bounds; // how many, how long and how large
mod live; // what a stream tells of candidates
mod partly; // candidates and syntheses that fail
mod strategies; // how the answer comes about
mod whole; // what an answer that is not streamed tells

use airlock_tests::{Script, TurnPlan, angle};
use serde_json::Value;

/// What a synthesis is recognised by: each candidate says it.
const DRAFT: &str = "a draft";

/// A Codex whose candidates say `a draft by N`, and whose synthesis does this.
fn drafts(candidates: usize, synthesis: impl FnOnce(TurnPlan) -> TurnPlan) -> Script {
    let script = Script::new().when(DRAFT, synthesis);
    (1..=candidates).fold(script, |script, candidate| {
        script.when_instructed(&angle(candidate), |turn| turn.text(&draft(candidate)))
    })
}

fn draft(candidate: usize) -> String {
    format!("{DRAFT} by {candidate}")
}

/// Whether a `turn/start` is that of a candidate: its words are all in the thread.
fn is_candidate(start: &Value) -> bool {
    start["params"]["input"]
        .as_array()
        .is_none_or(Vec::is_empty)
}
