//! Plays a tape on a release, with the results as lines to compare.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use airlock_policy::tape::Tape;
use airlock_policy::{CallResult, Fault, PolicyCall, Release, Replay};
use airlock_types::wit::{Action, Admission, Closing, Frame, Output, Plan, Problem};

/// Plays a tape to its end, or to a refusal or fault. The lines have no private data of the release: neither its notes nor the
/// keys of its parked turns.
///
/// # Errors
/// No sandbox could be started.
pub(crate) async fn play(release: &Release, tape: &Tape) -> Result<Vec<String>, Fault> {
    let mut replay = Replay::on(release).await?;
    let mut lines = Vec::new();
    for (index, call) in tape.calls.iter().enumerate() {
        lines.push(format!("#{} {}", index + 1, call_name(call)));
        let result = replay.call(call).await.shown();
        describe(&result, &mut lines);
        let ends = matches!(
            result,
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

/// A call's name, with the size or number of its input.
fn call_name(call: &PolicyCall) -> String {
    let name = call.name();
    match call {
        PolicyCall::Render(request) => format!("{name} ({} bytes)", request.body.len()),
        PolicyCall::Feed(events) => format!("{name} ({} events)", events.len()),
        PolicyCall::Convene(_, candidates) => format!("{name} ({candidates} candidates)"),
        PolicyCall::Settle(candidate, ..) => format!("{name} (candidate {candidate})"),
        PolicyCall::Decide(_)
        | PolicyCall::Open(_)
        | PolicyCall::KeepAlive
        | PolicyCall::Finish(_)
        | PolicyCall::Wake(_)
        | PolicyCall::Judged(..) => name.to_owned(),
    }
}

/// Adds a result's lines.
fn describe(result: &CallResult, lines: &mut Vec<String>) {
    let mut line = |text: String| lines.push(format!("  {text}"));
    match result {
        CallResult::Plan(plan) => describe_plan(plan, &mut line),
        CallResult::Action(action) => describe_action(action, &mut line),
        CallResult::Refused(problem) | CallResult::Admission(Admission::Refuse(problem)) => {
            line(format!("refused: {}", refusal(problem)));
        }
        CallResult::Admission(admission) => line(variant_name(admission)),
        CallResult::Ready => {}
        CallResult::Output(Output {
            frames,
            handoff,
            complete,
            head,
        }) => {
            frames.iter().for_each(|it| line(frame(it)));
            if let Some(handoff) = handoff {
                let then = if handoff.key.is_some() {
                    "waits"
                } else {
                    "ends"
                };
                line(format!("handoff: turn {} {then}", handoff.source));
            }
            if *complete {
                line("complete".to_owned());
            }
            if let Some(head) = head {
                line(format!("head: {head}"));
            }
        }
        CallResult::Closing(closing) => describe_closing(closing, &mut line),
        CallResult::Verdict(verdict) => line(format!("verdict: {}", json(verdict))),
        CallResult::Fault(fault) => {
            // Further lines are a trap's backtrace, whose addresses differ between builds.
            let first = fault.lines().next().unwrap_or_default();
            line(format!("fault: {first}"));
        }
    }
}

fn describe_action(action: &Action, line: &mut impl FnMut(String)) {
    match action {
        Action::Respond(response) => {
            response.frames.iter().for_each(|it| line(frame(it)));
            if response.frames.is_empty() {
                line(format!("body: {}", response.body));
            }
            let changes = response.changes.iter();
            changes.for_each(|it| line(format!("change: {}", json(it))));
        }
        Action::Load(keys) => line(format!("load: {}", json(keys))),
        Action::Follow(position) => line(format!("follow: {}", json(position))),
        Action::Stop(key) => line(format!("stop: {key}")),
        Action::Run(plan) => describe_plan(plan, line),
    }
}

fn describe_plan(plan: &Plan, line: &mut impl FnMut(String)) {
    let mode = if plan.streaming { "stream" } else { "whole" };
    let model = plan.model.as_ref().map_or("the default", |it| &it.name);
    let briefs = plan.briefs.len();
    line(format!("plan: {mode}, model {model}, {briefs} briefs"));
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
    if let Some(object) = &plan.object {
        line(format!("object: {}", json(object)));
    }
    if let Some(body) = &plan.background {
        line(format!("background: {body}"));
    }
    if let Some(lock) = &plan.lock {
        line(format!("lock: {}", lock.key));
    }
    if !plan.ignored.is_empty() {
        line(format!("ignored: {}", plan.ignored.join(", ")));
    }
}

fn describe_closing(closing: &Closing, line: &mut impl FnMut(String)) {
    closing.frames.iter().for_each(|it| line(frame(it)));
    if let Some(end) = &closing.object {
        line(format!("object: {}", json(end)));
    }
    match &closing.body {
        Ok(body) => {
            // Pretty-printed where it is JSON, so that a diff shows the member that differs.
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
    let mut text = format!(
        "{} {code}: {}",
        variant_name(&problem.kind),
        problem.message
    );
    if let Some(param) = &problem.param {
        text.push_str(&format!(" ({param})"));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        text.push_str(&format!(" (again after {seconds} s)"));
    }
    text
}

/// The name of a variant without fields, in kebab case.
fn variant_name(value: &(impl Serialize + Debug)) -> String {
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

/// JSON on one line, with its members in the order of the type's fields.
fn json(value: &(impl Serialize + Debug)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}
