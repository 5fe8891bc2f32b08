//! Formats outputs as text.

use std::fmt::Write as _;

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Brief, InputItem, NewObject, Problem, Selection, StoredItem,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::{Action, Plan};
use airlock_shipped_policy::bindings::exports::airlock::policy::translate::{
    Frame, Handoff, ObjectEnd,
};
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
    if let Some(object) = &plan.object {
        show_object(out, object);
    }
    if let Some(body) = &plan.background {
        writeln!(out, "background: {body}").unwrap();
    }
    if let Some(lock) = &plan.lock {
        writeln!(out, "lock: {}", lock.key).unwrap();
        show_problem(out, &lock.busy);
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

/// Shows an action that runs no turn.
pub(super) fn show_action(out: &mut String, action: &Action) {
    match action {
        Action::Load(keys) => {
            writeln!(
                out,
                "load objects {:?}, items {:?}",
                keys.objects, keys.items
            )
            .unwrap();
        }
        Action::Respond(response) => {
            if !response.body.is_empty() {
                serde_json::from_str::<Value>(&response.body).unwrap();
            }
            writeln!(out, "respond {}", response.body).unwrap();
            show_frames(out, &response.frames, &mut 0);
            for change in &response.changes {
                writeln!(out, "change: {change:?}").unwrap();
            }
        }
        Action::Follow(position) => {
            writeln!(out, "follow {} after {:?}", position.key, position.after).unwrap();
        }
        Action::Stop(key) => writeln!(out, "stop {key}").unwrap(),
        Action::Run(plan) => show_plan(out, plan),
    }
}

fn show_object(out: &mut String, object: &NewObject) {
    let (key, format, place) = (&object.key, &object.format, object.place);
    writeln!(
        out,
        "object: {key}, {format}, {place:?}, base {:?}",
        object.base
    )
    .unwrap();
    if !object.head.is_empty() {
        writeln!(out, "  head: {}", object.head).unwrap();
    }
    show_items(out, &object.items);
}

fn show_items(out: &mut String, items: &[StoredItem]) {
    for item in items {
        serde_json::from_str::<Value>(&item.text).unwrap();
        assert!(!item.text.contains(['\n', '\r']), "{}", item.text);
        writeln!(out, "  item {}: {}", item.id, item.text).unwrap();
    }
}

/// Shows the head of a response that runs.
pub(super) fn show_head(out: &mut String, head: Option<&str>) {
    if let Some(head) = head {
        serde_json::from_str::<Value>(head).unwrap();
        writeln!(out, "head: {head}").unwrap();
    }
}

/// Shows the end of a stored object.
pub(super) fn show_object_end(out: &mut String, end: Option<&ObjectEnd>) {
    if let Some(end) = end {
        serde_json::from_str::<Value>(&end.head).unwrap();
        writeln!(out, "object: {}", end.head).unwrap();
        show_items(out, &end.items);
        if let Some(key) = &end.append_to {
            writeln!(out, "  append to {key}").unwrap();
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
