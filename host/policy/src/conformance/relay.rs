//! Compares the frames of a policy's patterns with those of `feed`, which must be equal.

use super::event;
use crate::policy_call::CallResult;
use crate::release::Release;
use crate::session::Session;
use crate::trial::{context, idle, request};
use airlock_types::events;
use airlock_types::failure::Failure;
use airlock_types::wit::{
    Action, Admission, Context, Ending, Event, EventKind, Notification, Phase, Reasoning, Request,
    Text, Usage,
};

/// Bytes of a piece so long that the relayed events are reported to the reply.
const LONG: usize = 70 << 10;

/// A message in batches of pieces: those before some long pieces, and those after them.
type MessageBatches = [&'static [&'static [&'static str]]; 2];

/// A text with all that may have to be escaped.
const ANYTHING: MessageBatches = [
    &[
        &["Gr"],
        &["üße"],
        &["\""],
        &["\\"],
        &["\n\r\t"],
        &["\u{8}\u{c}"],
        &["\u{0}\u{1f}\u{7f}"],
        &["🦀\u{85}\u{2028}\u{2029}\u{202a}"],
        &["several", "", " \"pieces\"\n", " at once"],
        &[""],
    ],
    &[&["The"], &[" end."]],
];

/// A text that is a JSON object.
const OBJECT: MessageBatches = [
    &[
        &["{"],
        &["\"a\""],
        &[": \""],
        &["\\\""],
        &["\\\\"],
        &["é🦀\u{7f}\u{85}\u{2028}"],
        &["several", "", " \\\"pieces\\\"\\n", " at once"],
        &[""],
    ],
    &[&["\""], &["\n\t}"]],
];

/// Pieces that may follow an object.
const SPACE: [&str; 3] = ["\n", " ", "\r\n"];

/// Streamed requests, and the events of their turns, in batches. A policy of the dialect must serve the first.
fn cases() -> [(&'static str, String, Vec<Vec<Event>>); 3] {
    let body = |more: &str| {
        format!(
            r#"{{"model":"default","stream":true,{more}"messages":[{{"role":"user","content":"Say it as JSON."}}]}}"#
        )
    };
    let object = r#""response_format":{"type":"json_object"},"include_reasoning":true,"#;
    let functions = r#""tools":[{"type":"function","function":{"name":"f"}}],"#;
    let mut calls = turn(ANYTHING);
    calls.extend(called());
    [
        ("a stream of text", body(""), turn(ANYTHING)),
        ("a stream of an object", body(object), turn(OBJECT)),
        ("a stream with a call", body(functions), calls),
    ]
}

/// Runs each case with and without patterns, if the policy exports `relay`.
///
/// # Errors
/// The case that fails, and the reason.
pub(super) async fn check(release: &Release) -> Result<(), String> {
    let session = release.session().await;
    if !session.map_err(|fault| fault.to_string())?.has_relay() {
        return Ok(());
    }
    for (name, body, batches) in cases() {
        let compared = run(release, &body, batches).await;
        compared.map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

async fn run(release: &Release, body: &str, mut batches: Vec<Vec<Event>>) -> Result<(), String> {
    let Some(mut session) = opened(release, body).await? else {
        return Ok(());
    };
    session.relay();
    let relayed = feed_all(&mut session, &mut batches).await;
    // The pool may have a single sandbox.
    drop(session);
    let Some(mut session) = opened(release, body).await? else {
        return Err("render: equal requests become different plans".to_owned());
    };
    let fed = feed_all(&mut session, &mut batches).await;
    compare(&relayed, &fed)
}

/// A session with an open reply. `None` if the request is refused, or its plan is not a stream of one turn.
async fn opened(release: &Release, body: &str) -> Result<Option<Session>, String> {
    let session = release.session().await;
    let mut session = session.map_err(|fault| fault.to_string())?;
    let streamed = Request {
        settings: release.settings().to_owned(),
        ..request(body)
    };
    let plan = match session.render(&streamed).await {
        Ok(Action::Run(plan)) if plan.streaming && plan.briefs.len() == 1 => plan,
        // Only a fault has a cause here.
        Err(Failure {
            cause: Some(cause), ..
        }) => return Err(format!("render: {cause}")),
        Ok(_) | Err(_) => return Ok(None),
    };
    match session.decide(idle(1)).await {
        Ok(Admission::Run | Admission::Wait) => {}
        Ok(Admission::Refuse(_)) => return Ok(None),
        Err(fault) => return Err(format!("decide: {fault}")),
    }
    let context = Context {
        notes: plan.notes,
        ..context()
    };
    let opened = session.open(&context).await;
    opened.map_err(|fault| format!("open: {fault}"))?;
    Ok(Some(session))
}

/// Feeds a turn, and returns all results. Joins the pieces of each relayed batch in `batches`: a pattern makes one frame of
/// a batch, for which `feed` may return several.
async fn feed_all(session: &mut Session, batches: &mut [Vec<Event>]) -> Vec<CallResult> {
    let mut answers = Vec::new();
    let mut ending = Ending::Completed;
    for batch in batches {
        let output = match session.feed(batch).await {
            Ok(output) => output,
            Err(fault) => {
                answers.push(CallResult::Fault(fault.to_string()));
                return answers;
            }
        };
        if session.relays(batch) {
            events::compact(batch);
        }
        let is_whole = output.handoff.is_some();
        answers.push(CallResult::Output(output));
        if is_whole {
            ending = Ending::HandedOff;
            break;
        }
    }
    let closing = session.finish(&ending).await;
    answers.push(match closing {
        Ok(closing) => CallResult::Closing(closing),
        Err(fault) => CallResult::Fault(fault.to_string()),
    });
    answers
}

/// Compares the results with patterns with those without.
fn compare(relayed: &[CallResult], fed: &[CallResult]) -> Result<(), String> {
    for (relayed, fed) in relayed.iter().zip(fed) {
        match (relayed, fed) {
            // It also fails without patterns, maybe because the limits are too small for the text.
            (_, CallResult::Fault(_)) => return Ok(()),
            (CallResult::Fault(fault), _) => return Err(format!("relay: {fault}")),
            (relayed, fed) if relayed == fed => {}
            (CallResult::Closing(_), _) => {
                return Err(
                    "relayed: `finish` returns another result after it than where all events are fed"
                        .to_owned(),
                );
            }
            _ => {
                return Err(
                    "offer: the frames of its pattern differ from those of `feed`".to_owned(),
                );
            }
        }
    }
    Ok(())
}

/// Reasoning, a remark, a message with its usage in the middle, and another message.
fn turn([before, after]: MessageBatches) -> Vec<Vec<Event>> {
    let long = "x".repeat(LONG);
    let mut batches = thoughts();
    // A remark is not part of the answer.
    batches.extend(["Look", "ing", "."].map(|piece| vec![remark(piece)]));
    batches.extend(before.iter().map(|pieces| message(1, pieces)));
    batches.extend([vec![text(1, &long)], vec![text(1, &long)]]);
    batches.extend(after.iter().map(|pieces| message(1, pieces)));
    batches.push(vec![usage()]);
    batches.extend(SPACE.map(|piece| message(1, &[piece])));
    batches.extend(SPACE.map(|piece| message(2, &[piece])));
    batches.push(vec![text(2, " "), usage()]);
    batches
}

fn thoughts() -> Vec<Vec<Event>> {
    let thought = |part: u32, raw: bool, text: &str| {
        event(EventKind::Reasoning(Reasoning {
            part,
            raw,
            text: text.to_owned(),
            item: None,
        }))
    };
    let mut batches = Vec::new();
    // A part of the summary, the next one, and the reasoning itself.
    for (part, raw, pieces) in [
        (0, false, ["**Thin", "king\n", "\"\u{8}🦀**"]),
        (1, false, ["and", " over", " again"]),
        (0, true, ["First", " of", " all"]),
    ] {
        batches.extend(pieces.map(|piece| vec![thought(part, raw, piece)]));
        batches.push(vec![thought(part, raw, " it"), thought(part, raw, " goes")]);
    }
    batches
}

/// A call of the client's function, and the end of its response.
fn called() -> Vec<Vec<Event>> {
    let other = |method: &str, params: &str| {
        vec![event(EventKind::Other(Notification {
            method: method.to_owned(),
            params: params.to_owned(),
        }))]
    };
    vec![
        other(
            "rawResponseItem/completed",
            r#"{"item":{"type":"function_call","name":"f","arguments":"{}","call_id":"call_1"}}"#,
        ),
        other("rawResponse/completed", r#"{"responseId":"resp_1"}"#),
    ]
}

/// A batch of pieces of a message.
fn message(number: u32, pieces: &[&str]) -> Vec<Event> {
    pieces.iter().map(|piece| text(number, piece)).collect()
}

fn text(message: u32, text: &str) -> Event {
    event(EventKind::Text(Text {
        message,
        phase: None,
        text: text.to_owned(),
        item: None,
    }))
}

/// A piece of commentary.
fn remark(text: &str) -> Event {
    event(EventKind::Text(Text {
        message: 0,
        phase: Some(Phase::Commentary),
        text: text.to_owned(),
        item: None,
    }))
}

fn usage() -> Event {
    event(EventKind::Usage(Usage {
        input: 12,
        cached: 4,
        output: 3,
        reasoning: 1,
    }))
}

#[cfg(test)]
mod tests;
