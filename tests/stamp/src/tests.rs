//! Tests of the policy itself, in whichever version of the world it is built for.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use bindings::airlock::policy::types::{
    Choice, Context, Ending, Event, EventKind, InputItem, Request, Text, Transport,
};
use bindings::exports::airlock::policy::synthesize::{GuestPanel, Message, Outcome, Verdict};
use bindings::exports::airlock::policy::translate::{Frame, GuestReply};

use serde_json::{Value, json};

use super::*;

fn request(body: &Value, settings: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 5000,
        dialect: DIALECT.to_owned(),
        body: body.to_string(),
        attachments: Vec::new(),
        settings: settings.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn asking(text: &str) -> Value {
    json!({"model": "m", "stream": true, "messages": [
        {"role": "user", "content": "before"}, {"role": "assistant", "content": "ah"}, {"role": "user", "content": text},
    ]})
}

fn plan(body: &Value, settings: &str) -> Result<prompt::Plan, Problem> {
    let action = <Policy as prompt::Guest>::render(request(body, settings))?;
    let prompt::Action::Run(plan) = action else {
        panic!("a plan is expected");
    };
    Ok(plan)
}

fn context(notes: &str) -> Context {
    Context {
        id: "req_1".to_owned(),
        arrived: 5000,
        dialect: DIALECT.to_owned(),
        model: "m".to_owned(),
        notes: notes.to_owned(),
        seed: String::new(),
    }
}

fn text(text: &str) -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: text.to_owned(),
            item: None,
        }),
    }
}

fn parsed(frame: &Frame) -> Value {
    serde_json::from_str(&frame.data).unwrap()
}

#[test]
fn the_users_last_message_is_the_prompt() {
    let plan = plan(&asking("now"), "").unwrap();
    assert_eq!(plan.briefs.len(), 1);
    let input = &plan.briefs[0].input;
    assert_eq!(*input, [InputItem::Text("now".to_owned())]);
    assert_eq!(plan.model.unwrap().name, "m");
    let mut many = asking("now");
    many["parallel_calls"] = json!(20);
    assert_eq!(self::plan(&many, "{}").unwrap().briefs.len(), 20);
}

#[test]
fn what_is_wrong_is_named() {
    for (change, value) in [
        ("model", json!(null)),
        ("messages", json!([])),
        ("stream", json!("yes")),
        ("parallel_calls", json!(21)),
    ] {
        let mut body = asking("now");
        body[change] = value;
        let problem = plan(&body, "").unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(change));
    }
    let problem = plan(&asking("now"), "[]").unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Internal);
}

#[test]
fn every_chunk_is_stamped_and_greeted_once() {
    let notes = plan(&asking("now"), r#"{"greeting":"Hello. "}"#).unwrap();
    let reply = Reply::new(context(&notes.notes));
    let output = reply.feed(vec![text("one "), text("two")]);
    let chunks: Vec<Value> = output.frames.iter().map(parsed).collect();
    let pieces: Vec<&str> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(pieces, ["Hello. one ", "two"]);
    assert!(chunks.iter().all(|chunk| chunk["stamp"] == "STAMP-0000"));
}

#[test]
fn a_flood_is_64_mib() {
    let notes = plan(&asking("stamp:flood:feed"), "").unwrap().notes;
    let output = Reply::new(context(&notes)).feed(vec![text("one"), text("two")]);
    let bytes: usize = output.frames.iter().map(|frame| frame.data.len()).sum();
    assert!((64 << 20..65 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn the_first_complete_candidate_wins() {
    let panel = Panel::new(context(""), 3);
    let outcome = |ending, text: &str| Outcome {
        ending,
        messages: vec![Message {
            phase: None,
            text: text.to_owned(),
        }],
    };
    assert_eq!(panel.wake(0), Verdict::Wait(None));
    let failed = panel.settle(2, outcome(Ending::Interrupted, "half"), 1);
    assert_eq!(failed, Verdict::Wait(None));
    let choice = Choice {
        candidate: 3,
        extra: None,
    };
    let answered = panel.settle(3, outcome(Ending::Completed, "whole"), 2);
    assert_eq!(answered, Verdict::Pick(choice));

    let alone = Panel::new(context(""), 1);
    let verdict = alone.settle(1, outcome(Ending::Completed, ""), 1);
    assert!(matches!(verdict, Verdict::Fail(_)), "{verdict:?}");
}
