//! One tape on one release: what it gives, as lines that can be read and compared.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use airlock_policy::tape::Tape;
use airlock_policy::{CallResult, Fault, PolicyCall, Release, Replay};
use airlock_types::wit::{Admission, Closing, Frame, Output, Plan, Problem};

/// Plays a tape to its end, or to where the release ends it. What is the release's own business is not in the lines: its
/// notes, and what it knows its turns by.
///
/// # Errors
/// The release has no sandbox for it.
pub(crate) async fn play(release: &Release, tape: &Tape) -> Result<Vec<String>, Fault> {
    let mut replay = Replay::on(release).await?;
    let mut lines = Vec::new();
    for (number, step) in tape.steps.iter().enumerate() {
        lines.push(format!("#{} {}", number + 1, call_name(step)));
        let answer = replay.step(step).await.shown();
        tell(&answer, &mut lines);
        let ends = matches!(
            answer,
            CallResult::Fault(_)
                | CallResult::Refused(_)
                | CallResult::Admission(Admission::Refuse(_))
        );
        if ends {
            break;
        }
    }
    Ok(lines)
}

/// A call with what it is about.
fn call_name(step: &PolicyCall) -> String {
    let name = step.name();
    match step {
        PolicyCall::Render(request) => format!("{name} ({} bytes)", request.body.len()),
        PolicyCall::Feed(events) => format!("{name} ({} events)", events.len()),
        PolicyCall::Convene(_, candidates) => format!("{name} ({candidates} candidates)"),
        PolicyCall::Settle(candidate, ..) => format!("{name} (candidate {candidate})"),
        PolicyCall::Decide(_)
        | PolicyCall::Open(_)
        | PolicyCall::Finish(_)
        | PolicyCall::Wake(_)
        | PolicyCall::Judged(..) => name.to_owned(),
    }
}

fn tell(answer: &CallResult, lines: &mut Vec<String>) {
    let mut line = |text: String| lines.push(format!("  {text}"));
    match answer {
        CallResult::Plan(plan) => planned(plan, &mut line),
        CallResult::Refused(problem) | CallResult::Admission(Admission::Refuse(problem)) => {
            line(format!("refused: {}", refusal(problem)));
        }
        CallResult::Admission(admission) => line(word(admission)),
        CallResult::Ready => {}
        CallResult::Output(Output { frames, handoff }) => {
            frames.iter().for_each(|it| line(frame(it)));
            if let Some(handoff) = handoff {
                let goes_on = if handoff.key.is_some() {
                    "waits"
                } else {
                    "ends"
                };
                line(format!("handoff: turn {} {goes_on}", handoff.source));
            }
        }
        CallResult::Closing(closing) => closed(closing, &mut line),
        CallResult::Verdict(verdict) => line(format!("verdict: {}", json(verdict))),
        CallResult::Fault(fault) => {
            // A trap's backtrace has addresses, which say nothing to anyone.
            let first = fault.lines().next().unwrap_or_default();
            line(format!("fault: {first}"));
        }
    }
}

fn planned(plan: &Plan, line: &mut impl FnMut(String)) {
    let how = if plan.streaming { "stream" } else { "whole" };
    let model = plan.model.as_ref().map_or("the default", |it| &it.name);
    let briefs = plan.briefs.len();
    line(format!("plan: {how}, model {model}, {briefs} briefs"));
    line(format!("instructions: {}", json(&plan.instructions)));
    plan.history
        .iter()
        .for_each(|item| line(format!("history: {item}")));
    plan.tools
        .iter()
        .for_each(|tool| line(format!("tool: {}", json(tool))));
    if let Some(resume) = &plan.resume {
        line(format!("resume: {}", json(&resume.results)));
    }
    plan.briefs
        .iter()
        .for_each(|brief| line(format!("brief: {}", json(brief))));
    if !plan.ignored.is_empty() {
        line(format!("ignored: {}", plan.ignored.join(", ")));
    }
}

fn closed(closing: &Closing, line: &mut impl FnMut(String)) {
    closing.frames.iter().for_each(|it| line(frame(it)));
    match &closing.body {
        Ok(body) => {
            // As it is, but a member a line where it can be: a difference is easier to see so.
            let value = serde_json::from_str::<Value>(body);
            let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
            line(format!("body: {} bytes", body.len()));
            pretty
                .as_deref()
                .unwrap_or(body)
                .lines()
                .for_each(|it| line(format!("  {it}")));
        }
        Err(problem) => line(format!("no body: {}", refusal(problem))),
    }
}

fn frame(frame: &Frame) -> String {
    match &frame.event {
        Some(event) => format!("frame {event}: {}", frame.data),
        None => format!("frame: {}", frame.data),
    }
}

fn refusal(problem: &Problem) -> String {
    let code = problem.code.as_deref().unwrap_or("no code");
    let mut text = format!("{} {code}: {}", word(&problem.kind), problem.message);
    if let Some(param) = &problem.param {
        text.push_str(&format!(" ({param})"));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        text.push_str(&format!(" (again after {seconds} s)"));
    }
    text
}

/// What a case without contents is called.
fn word(value: &(impl Serialize + Debug)) -> String {
    let name = json(value);
    let mut word = String::new();
    for (index, letter) in name.trim_matches('"').chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

/// JSON on one line, with its members in the order of their declaration.
fn json(value: &(impl Serialize + Debug)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}
