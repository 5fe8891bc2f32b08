//! Tests of the translator: the client's view of each turn in every dialect, streamed and whole.
#![allow(clippy::unwrap_used, reason = "tests")]

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Choice, Notification, ProblemKind, Request, Transport,
};
use airlock_shipped_policy::bindings::exports::airlock::policy::prompt::Action;
use airlock_shipped_policy::{DIALECT, DIALECTS, MESSAGES_DIALECT, RESPONSES_DIALECT};

use super::*;

/// A secret, and its halves.
const SECRET: &str = "sk-proj-4fT9xQ2mLk8sPz7Wv1Yb3Nc";
const HALVES: [&str; 2] = ["sk-proj-4fT9x", "Q2mLk8sPz7Wv1Yb3Nc"];
const NAMED: &str = "[redacted api key]";

const STREAM: &str = r#","stream":true"#;

/// A reply to a request of this dialect with these members besides the question.
fn reply(dialect: &str, members: &str) -> RedactingTranslator {
    let (route, question) = match dialect {
        MESSAGES_DIALECT => (
            "POST /v1/messages",
            r#""max_tokens":9,"messages":[{"role":"user","content":"?"}]"#,
        ),
        RESPONSES_DIALECT => ("POST /v1/responses", r#""input":"?""#),
        _ => (
            "POST /v1/chat/completions",
            r#""messages":[{"role":"user","content":"?"}]"#,
        ),
    };
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 0,
        dialect: dialect.to_owned(),
        body: format!(r#"{{"model":"m",{question}{members}}}"#),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: route.to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    let Action::Run(plan) = airlock_shipped_policy::prompt::render(&request).unwrap() else {
        panic!("the request needs a turn");
    };
    RedactingTranslator::new(&Context {
        id: request.id,
        arrived: 0,
        dialect: request.dialect,
        model: "m".to_owned(),
        notes: plan.notes,
        seed: String::new(),
    })
}

fn text(source: u32, message: u32, text: &str) -> Event {
    let text = Text {
        message,
        phase: None,
        text: text.to_owned(),
        item: None,
    };
    event(source, 0, EventKind::Text(text))
}

fn reasoning(part: u32, text: &str) -> Event {
    let text = text.to_owned();
    let raw = false;
    event(
        0,
        0,
        EventKind::Reasoning(Reasoning {
            part,
            raw,
            text,
            item: None,
        }),
    )
}

fn other(method: &str, params: &str) -> Event {
    let notification = Notification {
        method: method.to_owned(),
        params: params.to_owned(),
    };
    event(0, 0, EventKind::Other(notification))
}

/// The answer's text and the reasoning of a stream. A blank line is between messages.
fn received(frames: &[Frame]) -> [String; 2] {
    let (mut content, mut reasoning) = (String::new(), String::new());
    for frame in frames {
        let data = data(frame);
        let delta = &data["delta"];
        let piece = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match data["type"].as_str().unwrap_or_default() {
            "response.content_part.added" if !content.is_empty() => content.push_str("\n\n"),
            "content_block_start"
                if !content.is_empty() && data["content_block"]["type"] == "text" =>
            {
                content.push_str("\n\n");
            }
            "response.output_text.delta" => content.push_str(&piece(delta)),
            "response.reasoning_summary_part.added" if !reasoning.is_empty() => {
                reasoning.push_str("\n\n");
            }
            "response.reasoning_summary_text.delta" => reasoning.push_str(&piece(delta)),
            "content_block_delta" => {
                content.push_str(&piece(&delta["text"]));
                reasoning.push_str(&piece(&delta["thinking"]));
            }
            _ => {
                let delta = &data["choices"][0]["delta"];
                content.push_str(&piece(&delta["content"]));
                reasoning.push_str(&piece(&delta["reasoning_content"]));
            }
        }
    }
    [content, reasoning]
}

/// The frame's data, with the number that the host inserts. Null if it is not JSON.
fn data(frame: &Frame) -> Value {
    let mut data = frame.data.clone();
    if let Some(offset) = frame.number {
        data.insert(usize::try_from(offset).unwrap(), '7');
    }
    serde_json::from_str(&data).unwrap_or_default()
}

/// The answer's text in a whole body.
fn whole_text(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    if let Some(content) = body["choices"][0]["message"]["content"].as_str() {
        return content.to_owned();
    }
    let items = body["content"].as_array().or(body["output"].as_array());
    let texts = items.into_iter().flatten().filter_map(|item| {
        let text = item["text"].as_str();
        text.or_else(|| item["content"][0]["text"].as_str())
    });
    texts.collect::<Vec<&str>>().join("\n\n")
}

/// All frames, with one event per batch.
fn stream(mut reply: RedactingTranslator, events: Vec<Event>, ending: Ending) -> Vec<Frame> {
    let mut frames = Vec::new();
    for event in events {
        frames.extend(reply.feed(vec![event]).frames);
    }
    frames.extend(reply.finish(ending).frames);
    frames
}

/// The data of all frames in one text.
fn all_data(frames: &[Frame]) -> String {
    frames.iter().map(|frame| frame.data.as_str()).collect()
}

#[test]
fn a_stream_holds_back_as_little_as_possible() {
    for dialect in DIALECTS {
        let mut reply = reply(dialect, STREAM);
        let frames = reply
            .feed(vec![text(0, 0, "It is "), text(0, 0, HALVES[0])])
            .frames;
        assert_eq!(received(&frames)[0], "It is ", "{dialect}");
        let rest = vec![text(0, 0, HALVES[1]), text(0, 0, ". And s")];
        let frames = stream(reply, rest, Ending::Completed);
        assert_eq!(received(&frames)[0], format!("{NAMED}. And s"), "{dialect}");
        let all = all_data(&frames);
        assert!(!HALVES.iter().any(|half| all.contains(half)), "{all}");
        if dialect == DIALECT {
            assert_eq!(frames.last().unwrap().data, "[DONE]");
        }
    }
}

#[test]
fn messages_and_reasoning_end_in_order() {
    let events = [
        reasoning(0, "first s"),
        reasoning(1, HALVES[0]),
        reasoning(1, HALVES[1]),
        text(0, 0, "one, s"),
        text(0, 1, "two, "),
        text(0, 1, SECRET),
    ];
    for (dialect, shown) in DIALECTS.into_iter().zip([
        r#","include_reasoning":true"#,
        r#","thinking":{"type":"adaptive","display":"summarized"}"#,
        r#","reasoning":{"summary":"auto"}"#,
    ]) {
        let members = [STREAM, shown].concat();
        let frames = stream(reply(dialect, &members), events.to_vec(), Ending::Completed);
        let [content, reasoning] = received(&frames);
        assert_eq!(reasoning, format!("first s\n\n{NAMED}"), "{dialect}");
        // The thinking of a message is a block before the text.
        assert_eq!(content, format!("one, s\n\ntwo, {NAMED}"), "{dialect}");
        let all = all_data(&frames);
        assert!(!HALVES.iter().any(|half| all.contains(half)), "{all}");
    }
}

#[test]
fn collected_answers_are_redacted_and_void_text_is_dropped() {
    for dialect in DIALECTS {
        let mut reply = reply(dialect, "");
        reply.feed(vec![
            text(0, 0, "void s"),
            event(0, 0, EventKind::Restarted(vec![0])),
            text(0, 1, HALVES[0]),
            text(0, 1, HALVES[1]),
            text(0, 1, " s"),
        ]);
        let body = reply.finish(Ending::Completed).body.unwrap();
        assert_eq!(whole_text(&body), format!("{NAMED} s"), "{dialect}");
    }
}

#[test]
fn candidates_and_choices_are_redacted() {
    let choice = Choice {
        candidate: 1,
        extra: Some(format!(r#"{{"reason":"it knows {SECRET}"}}"#)),
    };
    let events = [
        event(1, 0, EventKind::Opened("m".to_owned())),
        event(2, 0, EventKind::Opened("m".to_owned())),
        text(1, 0, HALVES[0]),
        text(2, 0, "mine ends with s"),
        text(1, 0, HALVES[1]),
        event(2, 0, EventKind::Settled(Ending::Completed)),
        event(1, 0, EventKind::Settled(Ending::Completed)),
        event(0, 0, EventKind::Picked(choice)),
        text(0, 0, SECRET),
    ];
    for (dialect, shown) in DIALECTS.into_iter().zip([
        r#","stream_options":{"include_candidates":true}"#,
        "",
        r#","stream_options":{"include_candidates":true}"#,
    ]) {
        let members = [STREAM, r#","parallel_calls":2"#, shown].concat();
        let frames = stream(reply(dialect, &members), events.to_vec(), Ending::Completed);
        assert_eq!(received(&frames)[0], NAMED, "{dialect}");
        let all = all_data(&frames);
        assert!(!HALVES.iter().any(|half| all.contains(half)), "{all}");
        assert!(all.contains(&format!("it knows {NAMED}")), "{all}");
        assert!(all.contains(r#""text":"mine ends with s""#), "{all}");
    }
}

#[test]
fn text_before_a_call_is_complete() {
    let call = r#"{"item":{"type":"function_call","name":"f","arguments":"{\"key\":\"SECRET\"}","call_id":"c"}}"#;
    let call = call.replace("SECRET", SECRET);
    for (dialect, tool) in DIALECTS.into_iter().zip([
        r#"{"type":"function","function":{"name":"f","parameters":{}}}"#,
        r#"{"name":"f","input_schema":{"type":"object"}}"#,
        r#"{"type":"function","name":"f","parameters":{}}"#,
    ]) {
        let mut reply = reply(dialect, &format!(r#"{STREAM},"tools":[{tool}]"#));
        let output = reply.feed(vec![
            text(0, 0, "I call s"),
            other("rawResponseItem/completed", &call),
            other("rawResponse/completed", "{}"),
        ]);
        assert!(output.handoff.is_some(), "{dialect}");
        assert_eq!(received(&output.frames)[0], "I call s", "{dialect}");
        // The client's function gets what the model gave.
        assert!(all_data(&output.frames).contains(SECRET), "{dialect}");
    }
}

#[test]
fn annotations_are_redacted() {
    let item = r#"{"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"See this.","annotations":[{"type":"url_citation","url":"https://example.com/?key=SECRET","start_index":0,"end_index":3}]}]}"#;
    let item = item.replace("SECRET", SECRET);
    let events = [
        text(0, 0, "See this."),
        other(
            "rawResponseItem/completed",
            &format!(r#"{{"item":{item}}}"#),
        ),
    ];
    let redacted_url = format!("https://example.com/?key={NAMED}");
    for members in ["", STREAM] {
        let members = format!(r#"{members},"include":["reasoning.encrypted_content"]"#);
        let mut reply = reply(RESPONSES_DIALECT, &members);
        let mut all = all_data(&reply.feed(events.to_vec()).frames);
        let closing = reply.finish(Ending::Completed);
        all.push_str(&all_data(&closing.frames));
        all.push_str(&closing.body.unwrap());
        assert!(all.contains(&redacted_url), "{all}");
        assert!(!all.contains(SECRET), "{all}");
    }
}

#[test]
fn encrypted_reasoning_is_unchanged() {
    let item =
        r#"{"item":{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"SECRET"}}"#;
    let events = [
        other("rawResponseItem/completed", &item.replace("SECRET", SECRET)),
        text(0, 0, "a"),
    ];
    let include = r#","include":["reasoning.encrypted_content"]"#;
    let mut reply = reply(RESPONSES_DIALECT, include);
    reply.feed(events.to_vec());
    let body = reply.finish(Ending::Completed).body.unwrap();
    assert!(body.contains(SECRET), "{body}");
}

#[test]
fn items_keep_their_ids_and_responses_their_times() {
    let timed = |at: u64, item: Option<&str>, piece: &str| {
        let mut event = Event {
            at,
            ..text(0, 0, piece)
        };
        if let EventKind::Text(text) = &mut event.kind {
            text.item = item.map(str::to_owned);
        }
        event
    };
    // The id comes with a piece that is held back.
    let events = [
        timed(8_000, Some("msg_1"), HALVES[0]),
        timed(9_000, None, HALVES[1]),
        timed(9_500, None, " and s"),
    ];
    for members in ["", STREAM] {
        let mut reply = reply(RESPONSES_DIALECT, members);
        let mut frames = reply.feed(events.to_vec()).frames;
        let closing = reply.finish(Ending::Completed);
        frames.extend(closing.frames);
        let response = match closing.body.unwrap() {
            body if body.is_empty() => {
                let last = frames.iter().map(data).rfind(Value::is_object);
                last.unwrap()["response"].clone()
            }
            body => serde_json::from_str(&body).unwrap(),
        };
        assert_eq!(response["completed_at"], 9, "{response}");
        let item = &response["output"][0];
        assert_eq!(item["id"], "msg_1");
        assert_eq!(item["content"][0]["text"], format!("{NAMED} and s"));
    }
}

#[test]
fn silent_streams_are_kept_alive() {
    for (dialect, expected) in DIALECTS.into_iter().zip([
        &[][..],
        &["ping"],
        &["response.created", "response.in_progress"],
    ]) {
        let frames = reply(dialect, STREAM).keep_alive();
        let names: Vec<&str> = frames
            .iter()
            .filter_map(|frame| frame.event.as_deref())
            .collect();
        assert_eq!(names, expected, "{dialect}");
        // Held text is not sent by it.
        let mut reply = reply(dialect, STREAM);
        reply.feed(vec![text(0, 0, HALVES[0])]);
        assert!(!all_data(&reply.keep_alive()).contains(HALVES[0]));
    }
}

#[test]
fn failure_messages_are_redacted() {
    let failed = Ending::Failed(Problem {
        kind: ProblemKind::Upstream,
        code: None,
        message: format!("incorrect key {SECRET}"),
        param: None,
        retry_after_seconds: None,
    });
    for dialect in DIALECTS {
        let closing = reply(dialect, STREAM).finish(failed.clone());
        let problem = closing.body.unwrap_err();
        assert_eq!(problem.message, format!("incorrect key {NAMED}"));
        let all = all_data(&closing.frames);
        assert!(all.contains(NAMED) && !all.contains(SECRET), "{all}");
    }
}
