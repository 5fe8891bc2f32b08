//! Lines as Codex 0.169.0 wrote them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod equivalence; // comparison with the reference decoder
mod reference; // a decoder derived by serde

use serde_json::{Value, json};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn report<'a>(method: &str, params: &'a RawValue) -> TurnReport<'a> {
    notification::decode(method, params).unwrap().report
}

#[test]
fn responses_requests_and_notifications_are_distinguished() {
    let line = |text: &'static str| super::line(text.as_bytes()).unwrap();
    assert!(matches!(
        line(r#"{"id":1,"result":{}}"#),
        RpcMessage::Response {
            id: 1,
            result: Ok(_)
        }
    ));
    let RpcMessage::Response {
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
    let RpcMessage::Request { id, method, .. } =
        line(r#"{"id":0,"method":"item/tool/call","params":{}}"#)
    else {
        panic!("not a request")
    };
    assert_eq!((id.get(), method.as_ref()), ("0", "item/tool/call"));
    let RpcMessage::ThreadNotification {
        notification,
        verbatim: Some((method, params)),
        at: 1_795_226_119_616,
    } = line(r#"{"method":"turn/started","params":{"threadId":"t"},"emittedAtMs":1795226119616}"#)
    else {
        panic!("not a notification, or not verbatim")
    };
    assert_eq!(notification.thread, "t");
    assert_eq!(
        (method.as_ref(), params.get()),
        ("turn/started", r#"{"threadId":"t"}"#)
    );
    let RpcMessage::Notification { method, params } =
        line(r#"{"method":"account/updated","params":null}"#)
    else {
        panic!("not a notification")
    };
    assert_eq!((method.as_ref(), params.get()), ("account/updated", "null"));
}

#[test]
fn malformed_messages_are_errors() {
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
    let TurnReport::MessageCompleted { item, phase, text } = report("item/completed", &params)
    else {
        panic!("not completed")
    };
    assert_eq!(
        (item.as_ref(), phase, text.as_ref()),
        ("msg_1", Some(MessagePhase::FinalAnswer), "hi \"you\"")
    );
    let params = raw(&json!({"threadId": "t", "turnId": "u", "itemId": "msg_1", "delta": "é\n"}));
    let decoded = notification::decode("item/agentMessage/delta", &params).unwrap();
    let TurnReport::MessageDelta { item, text } = decoded.report else {
        panic!("not a delta")
    };
    assert_eq!((item.as_ref(), text.as_ref()), ("msg_1", "é\n"));
    assert_eq!((decoded.thread.as_ref(), decoded.turn.as_ref()), ("t", "u"));
}

#[test]
fn raw_messages_of_the_model_are_decoded_and_no_others() {
    let item = |item: &Value| raw(&json!({"threadId": "t", "turnId": "u", "item": item}));
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let written = |params: &RawValue| match report("rawResponseItem/completed", params) {
        TurnReport::RawMessage {
            item,
            text,
            annotated,
        } => format!(
            "{item}: {text}{}",
            if annotated { " (annotated)" } else { "" }
        ),
        other => format!("{other:?}"),
    };
    let message = |role: &str, content: Value| json!({"type": "message", "id": "m", "role": role, "content": content});
    for (value, expected) in [
        (
            message("assistant", json!([part("a \"b\"\n")])),
            "m: a \"b\"\n",
        ),
        (
            message("assistant", json!([part("a"), {"type": "new"}, part("b")])),
            "m: ab",
        ),
        (message("assistant", json!([])), "m: "),
        (
            message(
                "assistant",
                json!([{"text": "a", "annotations": [{"type": "url_citation"}]}]),
            ),
            "m: a (annotated)",
        ),
        (message("assistant", json!("text")), "Echo"),
        (message("user", json!([part("a")])), "Echo"),
        (
            json!({"type": "message", "id": "m", "content": [part("a")]}),
            "Echo",
        ),
        (
            json!({"type": "message", "role": "assistant", "content": null}),
            "Echo",
        ),
        (
            json!({"type": "reasoning", "role": "assistant", "content": [part("a")]}),
            "RawItem",
        ),
        (json!({"type": "web_search_call"}), "RawItem"),
        (json!({"type": "compaction"}), "Echo"),
        (json!({"type": "other"}), "UnknownItem"),
        (json!({"type": "function_call", "call_id": 7}), "Echo"),
    ] {
        assert_eq!(written(&item(&value)), expected, "{value}");
    }
}

#[test]
fn usage_is_the_threads_total() {
    let total = json!({"totalTokens": 104, "inputTokens": 100, "cachedInputTokens": 7, "cacheWriteInputTokens": 0, "outputTokens": 4, "reasoningOutputTokens": 3});
    let params = raw(
        &json!({"threadId": "t", "turnId": "u", "tokenUsage": {"total": total, "last": {"totalTokens": 0}, "modelContextWindow": 258400}}),
    );
    let TurnReport::Usage(usage) = report("thread/tokenUsage/updated", &params) else {
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
    let TurnReport::TurnCompleted {
        status: TurnStatus::Failed,
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
        TurnReport::TurnCompleted {
            status: TurnStatus::Unknown,
            error: None
        }
    ));
}

#[test]
fn unknown_notifications_stay_verbatim() {
    let odd = raw(&json!({"threadId": "t", "itemId": 7, "delta": "x"}));
    assert!(matches!(
        report("item/agentMessage/delta", &odd),
        TurnReport::Other
    ));
    assert!(matches!(
        report("item/somethingNew", &odd),
        TurnReport::Other
    ));
    let plan = raw(&json!({"threadId": "t", "item": {"type": "plan", "id": "x", "text": ""}}));
    assert!(matches!(report("item/completed", &plan), TurnReport::Other));
    // Codex repeats the input twice, with its images.
    let user =
        raw(&json!({"threadId": "t", "item": {"type": "userMessage", "id": "x", "content": []}}));
    assert!(matches!(report("item/started", &user), TurnReport::Echo));
    assert!(matches!(report("item/completed", &user), TurnReport::Echo));
    let limits = r#"{"method":"account/rateLimits/updated","params":{"rateLimits":{}}}"#;
    assert!(matches!(
        line(limits.as_bytes()),
        Ok(RpcMessage::Notification { .. })
    ));
}

/// The shortest recorded line of each kind of thread notification.
const RECORDED: &str = include_str!("recorded.jsonl");

/// The decoded content of a line, as text. Includes the notification itself only if the report is not self-contained.
fn describe(text: &str) -> String {
    match line(text.as_bytes()) {
        Err(_) => "nothing".to_owned(),
        Ok(RpcMessage::Response { id, result }) => match result {
            Ok(result) => format!("response {id} {result}"),
            Err(error) => format!("response {id} {error:?}"),
        },
        Ok(RpcMessage::Request { id, method, params }) => format!("request {id} {method} {params}"),
        Ok(RpcMessage::Notification { method, params }) => {
            format!("notification {method} {params}")
        }
        Ok(RpcMessage::ThreadNotification {
            notification,
            verbatim,
            at,
        }) => {
            let verbatim = verbatim.as_ref().map(|(name, params)| (&**name, *params));
            let ThreadNotification {
                thread,
                turn,
                report,
            } = &notification;
            describe_notification(thread, turn, report, verbatim, at)
        }
    }
}

fn describe_notification(
    thread: &str,
    turn: &str,
    report: &TurnReport<'_>,
    verbatim: Option<(&str, &RawValue)>,
    at: u64,
) -> String {
    let text = format!("notification {thread} {turn} {at} {report:?}");
    match (report.is_self_contained(), verbatim) {
        (true, _) => text,
        (false, Some((method, params))) => format!("{text} {method} {params}"),
        (false, None) => panic!("not verbatim: {text}"),
    }
}

/// Whether a line is decoded in one pass.
fn is_read_once(text: &str) -> bool {
    let Ok(RpcMessage::ThreadNotification { verbatim: None, .. }) = line(text.as_bytes()) else {
        return false;
    };
    true
}

#[test]
fn the_notifications_of_every_turn_are_read_once() {
    let method = |text: &str| serde_json::from_str::<Value>(text).unwrap()["method"].clone();
    let mut once: Vec<_> = RECORDED
        .lines()
        .filter(|text| is_read_once(text))
        .map(method)
        .collect();
    once.dedup();
    let expected = [
        "error",
        "item/agentMessage/delta",
        "item/completed",
        "item/reasoning/summaryTextDelta",
        "item/reasoning/textDelta",
        "item/started",
        "rawResponseItem/completed",
        "thread/tokenUsage/updated",
        "turn/completed",
        "turn/started",
    ];
    assert_eq!(once, expected);
    let params = r#"{"threadId":"t","turnId":"u","itemId":"i","delta":"d"}"#;
    for text in [
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"emittedAtMs":7}}"#),
        format!(r#"{{"emittedAtMs":7,"method":"item/agentMessage/delta","params":{params}}}"#),
        format!(r#"{{"new":{{}},"method":"item/agentMessage/delta","params":{params}}}"#),
        format!(r#" {{ "method" : "item\/agentMessage/delta", "params" : {params} }} "#),
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"result":7}}"#),
        r#"{"method":"item/agentMessage/delta","params":{"delta":"\ud83d\ude00\u00e9\n","itemId":"i","new":[1],"threadId":"t\t","turnId":""}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","itemId":"i","delta":"d"}}"#.to_owned(),
    ] {
        assert!(is_read_once(&text), "{text}");
    }
    for text in [
        // The parameters first.
        format!(r#"{{"params":{params},"method":"item/agentMessage/delta","emittedAtMs":7}}"#),
        // A request.
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"id":7}}"#),
        // Duplicate members.
        format!(r#"{{"method":"item/agentMessage/delta","params":{params},"params":{params}}}"#),
        format!(r#"{{"method":"item/agentMessage/delta","method":"x","params":{params}}}"#),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"d","delta":"e"}}"#.to_owned(),
        // Without a thread, an item, or parameters.
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"","turnId":"u","itemId":"i","delta":"d"}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","delta":"d"}}"#.to_owned(),
        r#"{"method":"item/agentMessage/delta"}"#.to_owned(),
        // A lone surrogate.
        r#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"\ud83d"}}"#.to_owned(),
    ] {
        assert!(!is_read_once(&text), "{text}");
    }
}

#[test]
fn texts_are_not_copied() {
    let text = br#"{"method":"item/agentMessage/delta","params":{"threadId":"t","turnId":"u","itemId":"i","delta":"d"},"emittedAtMs":7}"#;
    let RpcMessage::ThreadNotification {
        notification:
            ThreadNotification {
                thread: Cow::Borrowed("t"),
                turn: Cow::Borrowed("u"),
                report:
                    TurnReport::MessageDelta {
                        item: Cow::Borrowed("i"),
                        text: Cow::Borrowed("d"),
                    },
            },
        verbatim: None,
        at: 7,
    } = line(text).unwrap()
    else {
        panic!("not a delta, or copied")
    };
    let text = br#"{"method":"item/completed","params":{"threadId":"t","item":{"text":"d","id":"i","type":"agentMessage"}}}"#;
    let RpcMessage::ThreadNotification {
        notification:
            ThreadNotification {
                report:
                    TurnReport::MessageCompleted {
                        item: Cow::Borrowed("i"),
                        text: Cow::Borrowed("d"),
                        ..
                    },
                ..
            },
        ..
    } = line(text).unwrap()
    else {
        panic!("not a message, or copied")
    };
}
