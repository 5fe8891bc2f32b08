//! Lines as Codex 0.169.0 wrote them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

#[test]
fn answers_requests_and_notifications_are_told_apart() {
    let line = |text: &'static str| super::line(text.as_bytes()).unwrap();
    assert!(matches!(
        line(r#"{"id":1,"result":{}}"#),
        Line::Answer {
            id: 1,
            result: Ok(_)
        }
    ));
    let Line::Answer {
        id: 388,
        result: Err(error),
    } = line(r#"{"error":{"code":-32001,"message":"Server overloaded; retry later."},"id":388}"#)
    else {
        panic!("not an error")
    };
    assert_eq!(
        (error.code, error.message.as_str()),
        (-32001, "Server overloaded; retry later.")
    );
    let Line::Request { id, method, .. } =
        line(r#"{"id":0,"method":"item/tool/call","params":{}}"#)
    else {
        panic!("not a request")
    };
    assert_eq!((id.get(), method.as_ref()), ("0", "item/tool/call"));
    let Line::Notification { method, at, .. } =
        line(r#"{"method":"turn/started","params":{"threadId":"t"},"emittedAtMs":1795226119616}"#)
    else {
        panic!("not a notification")
    };
    assert_eq!((method.as_ref(), at), ("turn/started", 1_795_226_119_616));
}

#[test]
fn what_is_no_message_is_an_error() {
    for text in [
        "",
        "x",
        "[]",
        "{}",
        "{\"id\":1}",
        "{\"id\":\"a\",\"result\":1}",
        "{\"id\":1.5,\"result\":1}",
        "\u{1}",
    ] {
        assert!(line(text.as_bytes()).is_err(), "{text}");
    }
    assert!(line(b"\xff\xfe{}").is_err());
}

#[test]
fn messages_are_decoded_with_their_phase() {
    let item = json!({"type": "agentMessage", "moderation": null, "id": "msg_1", "text": "hi \"you\"", "phase": "final_answer", "startedAtMs": 1});
    let params = raw(&json!({"item": item, "threadId": "t", "turnId": "u"}));
    let Report::MessageCompleted { item, phase, text } = report("item/completed", &params) else {
        panic!("not completed")
    };
    assert_eq!(
        (item.as_ref(), phase, text.as_ref()),
        ("msg_1", Some(Phase::FinalAnswer), "hi \"you\"")
    );
    let params = raw(&json!({"threadId": "t", "turnId": "u", "itemId": "msg_1", "delta": "é\n"}));
    let Report::MessageDelta { item, text } = report("item/agentMessage/delta", &params) else {
        panic!("not a delta")
    };
    assert_eq!((item.as_ref(), text.as_ref()), ("msg_1", "é\n"));
    let address = address(&params).unwrap();
    assert_eq!(
        (address.thread_id.as_ref(), address.turn_id.as_ref()),
        ("t", "u")
    );
}

#[test]
fn usage_is_the_threads_total() {
    let total = json!({"totalTokens": 104, "inputTokens": 100, "cachedInputTokens": 7, "cacheWriteInputTokens": 0, "outputTokens": 4, "reasoningOutputTokens": 3});
    let params = raw(
        &json!({"threadId": "t", "turnId": "u", "tokenUsage": {"total": total, "last": {"totalTokens": 0}, "modelContextWindow": 258400}}),
    );
    let Report::Usage(usage) = report("thread/tokenUsage/updated", &params) else {
        panic!("not usage")
    };
    assert_eq!(
        (usage.input, usage.cached, usage.output, usage.reasoning),
        (100, 7, 4, 3)
    );
}

#[test]
fn the_end_of_a_turn_carries_its_error() {
    let error = json!({"message": "m", "codexErrorInfo": "other", "additionalDetails": null, "misalignment": null});
    let turn = json!({"id": "u", "rootTurnId": "u", "items": [], "status": "failed", "error": error, "durationMs": 1});
    let params = raw(&json!({"threadId": "t", "turn": turn}));
    let Report::TurnCompleted {
        status: Status::Failed,
        error: Some(error),
    } = report("turn/completed", &params)
    else {
        panic!("not failed")
    };
    assert_eq!(error.message, "m");
    let turn = json!({"id": "u", "status": "somethingNew"});
    let params = raw(&json!({"threadId": "t", "turn": turn}));
    assert!(matches!(
        report("turn/completed", &params),
        Report::TurnCompleted {
            status: Status::Unknown,
            error: None
        }
    ));
}

#[test]
fn what_is_unknown_or_odd_stays_verbatim() {
    let odd = raw(&json!({"threadId": "t", "itemId": 7, "delta": "x"}));
    assert!(matches!(
        report("item/agentMessage/delta", &odd),
        Report::Other
    ));
    assert!(matches!(report("item/somethingNew", &odd), Report::Other));
    let plan = raw(&json!({"threadId": "t", "item": {"type": "plan", "id": "x", "text": ""}}));
    assert!(matches!(report("item/completed", &plan), Report::Other));
    // Our own words come back twice, images and all: nobody needs them.
    let user =
        raw(&json!({"threadId": "t", "item": {"type": "userMessage", "id": "x", "content": []}}));
    assert!(matches!(report("item/started", &user), Report::Echo));
    assert!(matches!(report("item/completed", &user), Report::Echo));
    assert!(address(&raw(&json!({"rateLimits": {}}))).is_none());
}

/// One line of each kind about turns that was recorded, the shortest.
const RECORDED: &str = include_str!("recorded.jsonl");

/// What a line of a thread's tells, in whichever way it was decoded.
fn told(line: &Line<'_>) -> Option<String> {
    match line {
        Line::Delta(Delta {
            thread,
            turn,
            report,
            at,
        }) => Some(format!("{thread} {turn} {at} {report:?}")),
        Line::Notification { method, params, at } => {
            let Address { thread_id, turn_id } = address(params)?;
            let report = report(method, params);
            Some(format!("{thread_id} {turn_id} {at} {report:?}"))
        }
        Line::Answer { .. } | Line::Request { .. } => None,
    }
}

/// Holds the fast way against the general one, and tells whether it was taken.
fn compare(text: &str) -> bool {
    let fast = delta::delta(text).map(Line::Delta);
    match (&fast, any(text)) {
        (Some(fast), Ok(slow)) => assert_eq!(told(fast), told(&slow), "{text}"),
        (Some(_), Err(error)) => panic!("{error}: {text}"),
        (None, _) => {}
    }
    fast.is_some()
}

#[test]
fn pieces_of_answers_are_told_alike_in_both_ways() {
    let mut fast = Vec::new();
    for text in RECORDED.lines() {
        let value: Value = serde_json::from_str(text).unwrap();
        let method = value["method"].as_str().unwrap_or_default();
        if compare(text) {
            fast.push(method.to_owned());
        }
        // With its members sorted, spread over lines, and with each of its values another.
        compare(&value.to_string());
        compare(&serde_json::to_string_pretty(&value).unwrap());
        for changed in changed(&value) {
            compare(&changed.to_string());
        }
        for end in 0..text.len() {
            assert!(
                !text.is_char_boundary(end) || !compare(&text[..end]),
                "{text}"
            );
        }
        assert!(!compare(&format!("{text}{text}")), "{text}");
    }
    let expected = [
        "item/agentMessage/delta",
        "item/reasoning/summaryTextDelta",
        "item/reasoning/textDelta",
    ];
    assert_eq!(fast, expected);
}

/// The value with each one that it holds, however deep, another or gone.
fn changed(value: &Value) -> Vec<Value> {
    let odd = [
        json!(null),
        json!(""),
        json!("é\n\"\u{0}\u{1f600}"),
        json!(-1),
        json!(7),
        json!(1.5),
        json!([]),
        json!({"threadId": 1}),
    ];
    let mut all = odd.to_vec();
    let Value::Object(members) = value else {
        return all;
    };
    for (name, member) in members {
        let mut without = members.clone();
        without.remove(name);
        all.push(without.clone().into());
        without.insert("other".to_owned(), member.clone());
        all.push(without.into());
        for changed in changed(member) {
            let mut with = members.clone();
            with.insert(name.clone(), changed);
            all.push(with.into());
        }
    }
    let mut more = members.clone();
    more.insert("id".to_owned(), json!(1));
    all.push(more.into());
    all
}

#[test]
fn pieces_of_answers_are_decoded_in_one_pass() {
    let params = r#"{"threadId":"t","turnId":"u","itemId":"i","delta":"d"}"#;
    let fast = [
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"emittedAtMs":7}}"#),
        format!(r#"{{"emittedAtMs":7,"method":"item/agentMessage/delta","params":{params}}}"#),
        format!(r#"{{"new":{{}},"method":"item/agentMessage/delta","params":{params}}}"#),
        format!(r#" {{ "method" : "item\/agentMessage/delta", "params" : {params} }} "#),
        r#"{"method":"item/agentMessage/delta","params":{"delta":"\ud83d\ude00\u00e9\n","itemId":"i","new":[1],"threadId":"t\t","turnId":""}}"#.to_owned(),
    ];
    for text in fast {
        assert!(compare(&text), "{text}");
    }
    let slow = [
        // The parameters first.
        format!(r#"{{"params":{params},"method":"item/agentMessage/delta","emittedAtMs":7}}"#),
        // A question, and an answer.
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"id":7}}"#),
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"result":7}}"#),
        // Something twice.
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"params":{params}}}"#),
        format!(r#"{{"method":"item/agentMessage/delta","method":"x","params":{params}}}"#),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"d","delta":"e"}}"#.to_owned(),
        // Of no thread, of no turn, of no item; or without parameters.
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"","turnId":"u","itemId":"i","delta":"d"}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","itemId":"i","delta":"d"}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","delta":"d"}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta"}"#.to_owned(),
        // A lone surrogate is no text.
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"\ud83d"}}"#.to_owned(),
    ];
    for text in slow {
        assert!(!compare(&text), "{text}");
    }
}

#[test]
fn what_is_told_is_not_copied() {
    let text = br#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"d"},"emittedAtMs":7}"#;
    let Line::Delta(Delta {
        thread: Cow::Borrowed("t"),
        turn: Cow::Borrowed("u"),
        report:
            Report::MessageDelta {
                item: Cow::Borrowed("i"),
                text: Cow::Borrowed("d"),
            },
        at: 7,
    }) = line(text).unwrap()
    else {
        panic!("not a delta, or copied")
    };
}
