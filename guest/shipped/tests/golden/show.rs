//! Formats outputs as text.

use std::fmt::Write as _;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Brief, InputItem, Problem, Selection,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Plan;
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{Frame, Handoff};
use serde_json::Value;

pub(super) fn show_plan(out: &mut String, plan: &Plan) {
    writeln!(out, "streaming: {}", plan.streaming).unwrap();
    let model = plan.model.as_ref().map(|model| &model.name);
    writeln!(out, "model: {model:?}").unwrap();
    writeln!(out, "instructions: {:?}", plan.instructions).unwrap();
    for item in &plan.history {
        serde_json::from_str::<Value>(item).unwrap();
        writeln!(out, "history: {item}").unwrap();
    }
    for tool in &plan.tools {
        serde_json::from_str::<Value>(&tool.parameters).unwrap();
        writeln!(out, "tool: {}, {:?}", tool.name, tool.description).unwrap();
        writeln!(out, "  parameters: {}", tool.parameters).unwrap();
    }
    if let Some(resume) = &plan.resume {
        writeln!(out, "resume: {}", resume.key).unwrap();
        for result in &resume.results {
            writeln!(out, "  result of {:?}", result.call).unwrap();
            show_input(out, &result.output);
        }
    }
    for brief in &plan.briefs {
        show_brief(out, brief);
    }
    if plan.raw_items {
        out.push_str("raw items\n");
    }
    writeln!(out, "notes: {}", plan.notes).unwrap();
    writeln!(out, "ignored: {}", plan.ignored.join(", ")).unwrap();
}

fn show_brief(out: &mut String, brief: &Brief) {
    let requested = |selection: &Option<Selection>| {
        let selection = selection.as_ref();
        selection
            .map(|selection| format!("{} ({})", selection.name, selection.param))
            .unwrap_or_default()
    };
    writeln!(
        out,
        "brief: model {:?}, effort {:?}, summary {:?}",
        requested(&brief.model),
        requested(&brief.effort),
        brief.summary.as_deref().unwrap_or_default()
    )
    .unwrap();
    if !brief.instructions.is_empty() {
        writeln!(out, "  instructions: {:?}", brief.instructions).unwrap();
    }
    show_input(out, &brief.input);
    if let Some(schema) = &brief.output_schema {
        writeln!(out, "  output schema: {schema}").unwrap();
    }
    if let Some(verbosity) = &brief.verbosity {
        writeln!(out, "  verbosity: {verbosity}").unwrap();
    }
    if brief.tools {
        writeln!(out, "  with tools").unwrap();
    }
}

fn show_input(out: &mut String, input: &[InputItem]) {
    for item in input {
        match item {
            InputItem::Text(text) => writeln!(out, "  input: {text:?}").unwrap(),
            InputItem::Attachment(number) => {
                writeln!(out, "  input: attachment {number}").unwrap();
            }
        }
    }
}

/// Shows frames as the host writes them, with the first numbers of a stream that has sent `sent` of them.
pub(super) fn show_frames(out: &mut String, frames: &[Frame], sent: &mut u64) {
    for frame in frames {
        assert!(
            !frame.data.is_empty() && !frame.data.contains(['\n', '\r']),
            "{:?}",
            frame.data
        );
        let mut data = frame.data.clone();
        if let Some(offset) = frame.number {
            data.insert_str(usize::try_from(offset).unwrap(), &sent.to_string());
            *sent += 1;
        }
        if data != "[DONE]" {
            serde_json::from_str::<Value>(&data).unwrap();
        }
        if let Some(event) = &frame.event {
            writeln!(out, "event: {event}").unwrap();
        }
        writeln!(out, "data: {data}").unwrap();
    }
}

pub(super) fn show_handoff(out: &mut String, handoff: &Handoff) {
    writeln!(
        out,
        "handoff: source {}, key {:?}",
        handoff.source, handoff.key
    )
    .unwrap();
}

pub(super) fn show_problem(out: &mut String, problem: &Problem) {
    writeln!(out, "problem: {:?}", problem.kind).unwrap();
    writeln!(out, "code: {:?}", problem.code).unwrap();
    writeln!(out, "param: {:?}", problem.param).unwrap();
    writeln!(out, "message: {}", problem.message).unwrap();
}
