//! Secrets in every text of a tape, whole and in pieces.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use airlock_types::wit::{Event, Message, Notification, Reasoning, Request, Text, Transport};

const SECRET: &str = "sk-proj-A1b2C3d4E5f6G7h8I9j0";

fn event(kind: EventKind) -> Event {
    Event {
        source: 1,
        at: 7,
        kind,
    }
}

fn text(text: &str) -> Event {
    event(EventKind::Text(Text {
        message: 0,
        phase: None,
        text: text.to_owned(),
        item: None,
    }))
}

fn reasoning(text: &str) -> Event {
    event(EventKind::Reasoning(Reasoning {
        part: 0,
        raw: true,
        text: text.to_owned(),
        item: None,
    }))
}

fn other(delta: &str) -> Event {
    event(EventKind::Other(Notification {
        method: "item/commandExecution/outputDelta".to_owned(),
        params: serde_json::json!({"itemId": "i", "delta": delta}).to_string(),
    }))
}

/// The text of all pieces of the calls.
fn joined_text(calls: &[PolicyCall]) -> String {
    let mut joined = String::new();
    for call in calls {
        let PolicyCall::Feed(events) = call else {
            continue;
        };
        for event in events {
            match &event.kind {
                EventKind::Text(text) => joined.push_str(&text.text),
                EventKind::Reasoning(reasoning) => joined.push_str(&reasoning.text),
                EventKind::Other(other) => {
                    let params: Value = serde_json::from_str(&other.params).unwrap();
                    joined.push_str(params["delta"].as_str().unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    joined
}

#[test]
fn a_secret_is_taken_out_wherever_it_is_cut() {
    let whole = format!(
        "Grüße: {SECRET}, password=\"hün\\\"ter 2\"\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY----- 🦀 in /home/alice/x."
    );
    for make in [text, reasoning, other] {
        let mut uncut = [PolicyCall::Feed(vec![make(&whole)])];
        redact(&mut uncut);
        let expected = joined_text(&uncut);
        assert!(expected.starts_with(&format!(
            "Grüße: {}, password=\"xxx",
            "x".repeat(SECRET.len())
        )));
        for hidden in ["A1b2", "ter 2", "AA", "alice"] {
            assert!(!expected.contains(hidden), "{expected}");
        }
        let borders: Vec<usize> = (0..=whole.len())
            .filter(|at| whole.is_char_boundary(*at))
            .collect();
        for first in &borders {
            // Two cuts, in one batch and in several.
            for second in borders.iter().filter(|second| *second >= first).step_by(5) {
                let pieces = [&whole[..*first], &whole[*first..*second], &whole[*second..]];
                let [one, two, three] = pieces.map(make);
                let mut calls = [
                    PolicyCall::Feed(vec![one, two]),
                    PolicyCall::Feed(vec![three]),
                ];
                redact(&mut calls);
                assert_eq!(joined_text(&calls), expected, "{first} {second}");
            }
        }
    }
}

#[test]
fn a_querys_secrets_are_overwritten_by_their_looks_and_by_their_names() {
    let request = |pairs: [(&str, &str); 3]| {
        let mut request = crate::trial::request("{}");
        request.query = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        request.path_parameters = vec![pairs[1].1.to_owned()];
        PolicyCall::Render(request)
    };
    let mut calls = [request([
        ("beta", "true"),
        ("q", SECRET),
        ("api_key", "abc"),
    ])];
    redact(&mut calls);
    let hidden = "x".repeat(SECRET.len());
    let expected = request([("beta", "true"), ("q", &hidden), ("api_key", "xxx")]);
    assert_eq!(calls, [expected]);
}

#[test]
fn pieces_keep_their_lengths() {
    let (one, two) = SECRET.split_at(9);
    let mut calls = [
        PolicyCall::Feed(vec![text(one)]),
        PolicyCall::Feed(vec![text(two)]),
    ];
    redact(&mut calls);
    let expected = [
        PolicyCall::Feed(vec![text(&"x".repeat(one.len()))]),
        PolicyCall::Feed(vec![text(&"x".repeat(two.len()))]),
    ];
    assert_eq!(calls, expected);
}

#[test]
fn other_sources_and_retellings_do_not_mix() {
    let (one, two) = SECRET.split_at(5);
    let elsewhere = |piece: &str| Event {
        source: 2,
        ..text(piece)
    };
    // The beginning is void, and follows again.
    let mut calls = [PolicyCall::Feed(vec![
        text("ghp_abc"),
        elsewhere(one),
        event(EventKind::Restarted(vec![0])),
        text("ghp_A1b2C3d4E5f6G7h8I9j0"),
        elsewhere(two),
    ])];
    redact(&mut calls);
    let expected = [PolicyCall::Feed(vec![
        text("ghp_abc"),
        elsewhere(&"x".repeat(one.len())),
        event(EventKind::Restarted(vec![0])),
        text(&"x".repeat(24)),
        elsewhere(&"x".repeat(two.len())),
    ])];
    assert_eq!(calls, expected);
}

#[test]
fn a_body_stays_json_of_the_same_length() {
    let body = r#"{"max_tokens": 100, "password": 1234, "api_keys": ["a\"b", "ü"], "tools": [{"password": {"type": "string"}}],
        "messages": [{"role": "user", "content": "it is sk\u002dproj-A1b2C3d4E5f6G7h8I9j0\nbye \ud800"}],
        "arguments": "{\"client_secret\":\"hunter2\"}", "token": "t\u0000"}"#;
    let request = Request {
        id: "req_1".to_owned(),
        arrived: 1,
        dialect: "chat-completions".to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    };
    let mut calls = [PolicyCall::Render(request)];
    redact(&mut calls);
    let [PolicyCall::Render(request)] = &calls else {
        panic!("{calls:?}")
    };
    let expected = r#"{"max_tokens": 100, "password": 1111, "api_keys": ["xxxx", "xx"], "tools": [{"password": {"type": "string"}}],
        "messages": [{"role": "user", "content": "it is xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nbye \ud800"}],
        "arguments": "{\"client_secret\":\"xxxxxxx\"}", "token": "xxxxxxx"}"#;
    assert_eq!(request.body, expected);
    serde_json::from_str::<serde::de::IgnoredAny>(&request.body).unwrap();
}

#[test]
fn what_stands_in_json_is_found_however_deep() {
    for (text, expected) in [
        (
            r#"{"arguments":"{\"password\":12345,\"max_tokens\":100}"}"#,
            r#"{"arguments":"{\"password\":11111,\"max_tokens\":100}"}"#,
        ),
        (
            r#"{"a":"[{\"b\":\"{\\\"token\\\":{\\\"c\\\":\\\"hunter2\\\"}}\"}]"}"#,
            r#"{"a":"[{\"b\":\"{\\\"token\\\":{\\\"c\\\":\\\"xxxxxxx\\\"}}\"}]"}"#,
        ),
        (
            r#"{"a":"{\"pwd\":4\u0032}"}"#,
            r#"{"a":"{\"pwd\":1111111}"}"#,
        ),
        (
            r#"{"credentials":{"value":"hunter2","at":[12,"b"]},"token": 482913, "usage":{"totalTokens":15}}"#,
            r#"{"credentials":{"value":"xxxxxxx","at":[11,"x"]},"token": 111111, "usage":{"totalTokens":15}}"#,
        ),
        (
            r#"{"properties":{"credentials":{"type":"object","properties":{"a":{"type":"string"}}}}}"#,
            r#"{"properties":{"credentials":{"type":"object","properties":{"a":{"type":"string"}}}}}"#,
        ),
        (
            r#"see "password": hunter2, and {"password":12345"#,
            r#"see "password": xxxxxxx, and {"password":xxxxx"#,
        ),
    ] {
        assert_eq!(overwrite(text, &find_secrets(text, None, DEPTH)), expected);
        // The same as the text of an answer, in pieces.
        let (one, two) = text.split_at(text.len() / 2);
        let mut calls = [PolicyCall::Feed(vec![self::text(one), self::text(two)])];
        redact(&mut calls);
        assert_eq!(joined_text(&calls), expected);
    }
}

#[test]
fn every_text_of_a_tape_is_looked_at() {
    let problem = || {
        Ending::Failed(Problem {
            kind: airlock_types::wit::ProblemKind::Upstream,
            code: None,
            message: SECRET.to_owned(),
            param: Some(SECRET.to_owned()),
            retry_after_seconds: None,
        })
    };
    let outcome = || Outcome {
        ending: problem(),
        messages: vec![Message {
            phase: None,
            text: SECRET.to_owned(),
        }],
    };
    let choice = airlock_types::wit::Choice {
        candidate: 1,
        extra: Some(format!("{{\"why\":\"{SECRET}\"}}")),
    };
    let mut calls = [
        PolicyCall::Feed(vec![
            event(EventKind::Settled(problem())),
            event(EventKind::Picked(choice)),
        ]),
        PolicyCall::Settle(1, outcome(), 1),
        PolicyCall::Judged(outcome(), 1),
        PolicyCall::Finish(problem()),
    ];
    redact(&mut calls);
    let text = format!("{calls:?}");
    assert!(!text.contains("sk-proj"), "{text}");
    assert_eq!(text.matches(&"x".repeat(SECRET.len())).count(), 11);
}
