//! What cannot be continued is refused, with the field at fault and the way out.

use serde_json::{Value, json};

use super::stored::{response, stored, with_loaded};
use super::*;
use crate::bindings::airlock::policy::types::{ObjectStatus, StoredItem, StoredObject};
use crate::prompt::render;
use crate::prompt::responses::conversations::FORMAT as CONVERSATION_FORMAT;
use crate::stored_response::head;

/// The problem of a request that continues `resp_1`, which the host has loaded as this object.
fn refused(object: StoredObject) -> Problem {
    let body = json!({"model": "m", "input": "x", "previous_response_id": "resp_1"});
    planned(&with_loaded(&body, vec![object], vec![])).unwrap_err()
}

#[test]
fn what_is_not_a_response_of_the_client_is_not_found() {
    let not_found = Problem {
        kind: ProblemKind::InvalidRequest,
        code: Some("previous_response_not_found".to_owned()),
        message: "Previous response with id 'resp_1' not found.".to_owned(),
        param: Some("previous_response_id".to_owned()),
        retry_after_seconds: None,
    };
    assert_eq!(
        problem(r#"{"model":"m","input":"x","previous_response_id":"resp_1"}"#),
        not_found
    );
    let known = || response("resp_1", "completed", vec![]);
    for object in [
        response("resp_2", "completed", vec![]),
        StoredObject {
            format: "airlock.responses.2".to_owned(),
            ..known()
        },
        StoredObject {
            format: CONVERSATION_FORMAT.to_owned(),
            ..known()
        },
        StoredObject {
            head: "{}".to_owned(),
            ..known()
        },
    ] {
        assert_eq!(refused(object), not_found);
    }
    for body in [
        r#"{"model":"m","input":"x","conversation":"conv_1"}"#,
        r#"{"model":"m","input":"x","conversation":{"id":"conv_1"}}"#,
    ] {
        let problem = problem(body);
        assert_eq!(problem.kind, ProblemKind::NotFound);
        assert_eq!(problem.message, "Conversation with id 'conv_1' not found.");
        assert_eq!(problem.param.as_deref(), Some("conversation"));
    }
    let item = problem(
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"item_reference","id":"msg_1"}]}"#,
    );
    assert_eq!(item.kind, ProblemKind::NotFound);
    assert!(
        item.message.starts_with("Item with id 'msg_1' not found."),
        "{}",
        item.message
    );
    assert_eq!(item.param.as_deref(), Some("input[1].id"));
    // Keys that the host would not take are not loaded.
    let long = "x".repeat(257);
    for (body, param) in [
        (
            json!({"input": "x", "previous_response_id": long}),
            "previous_response_id",
        ),
        (json!({"input": "x", "conversation": long}), "conversation"),
        (
            json!({"input": [{"type": "item_reference", "id": long}]}),
            "input[0].id",
        ),
    ] {
        let problem = render(&request(&body.to_string())).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(param));
        assert!(problem.message.contains("not found"), "{}", problem.message);
    }
}

#[test]
fn a_response_that_has_no_answer_is_not_continued() {
    let with_status = |status: ObjectStatus, stated: &str| StoredObject {
        status,
        ..response("resp_1", stated, vec![])
    };
    for (object, fragment) in [
        (
            with_status(ObjectStatus::Running, "in_progress"),
            "still running",
        ),
        (
            with_status(ObjectStatus::Running, "queued"),
            "still running",
        ),
        (with_status(ObjectStatus::Lost, "in_progress"), "has failed"),
        (with_status(ObjectStatus::Ended, "failed"), "has failed"),
        (
            with_status(ObjectStatus::Ended, "cancelled"),
            "was cancelled",
        ),
    ] {
        let problem = refused(object);
        assert_eq!(problem.kind, ProblemKind::InvalidRequest);
        assert_eq!(problem.param.as_deref(), Some("previous_response_id"));
        assert!(problem.message.contains(fragment), "{}", problem.message);
    }
    let stated = r#"{"status":"completed","output":[],"store":true,"background":false,"conversation":{"id":"conv_1"}}"#;
    let problem = refused(StoredObject {
        head: head(stated),
        ..response("resp_1", "", vec![])
    });
    assert!(
        problem.message.contains("`conversation`"),
        "{}",
        problem.message
    );
    let incomplete = response(
        "resp_1",
        "incomplete",
        stored(&[json!({"role": "user", "content": "x"})]),
    );
    let body = json!({"model": "m", "input": "y", "previous_response_id": "resp_1"});
    assert!(planned(&with_loaded(&body, vec![incomplete], vec![])).is_ok());
}

#[test]
fn a_stored_image_is_not_sent_again() {
    let image =
        json!({"role": "user", "content": [{"type": "input_image", "image_url": "attachment:0"}]});
    let problem = refused(response(
        "resp_1",
        "completed",
        stored(std::slice::from_ref(&image)),
    ));
    assert_eq!(problem.code.as_deref(), Some("previous_response_not_found"));
    assert_eq!(
        problem.message,
        "previous_response_id: the stored items have an image that cannot be read: send the whole conversation in `input`"
    );
    let body = json!({"model": "m", "input": [{"type": "item_reference", "id": "item_0"}]});
    let problem = planned(&with_loaded(&body, vec![], stored(&[image]))).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("input[0].id"));
    assert_eq!(problem.code, None);
}

#[test]
fn without_a_store_the_way_out_is_named() {
    for (member, found) in [
        (
            json!({"previous_response_id": "a"}),
            "Previous response with id 'a' not found.",
        ),
        (
            json!({"conversation": "a"}),
            "Conversation with id 'a' not found.",
        ),
    ] {
        let mut body = member;
        body["model"] = json!("m");
        body["input"] = json!("x");
        let request = Request {
            has_store: false,
            ..with_loaded(&body, vec![], vec![])
        };
        let hint = "This gateway has no store: send the whole conversation in `input`.";
        assert_eq!(
            planned(&request).unwrap_err().message,
            format!("{found} {hint}")
        );
    }
}

#[test]
fn an_item_that_cannot_be_read_is_named() {
    for text in [
        "",
        "{",
        "[]",
        "7",
        r#"{"type":"unknown"}"#,
        r#"{"role":"user"}"#,
        r#"{"type":"item_reference","id":"a"}"#,
    ] {
        let items = vec![StoredItem {
            id: "msg_1".to_owned(),
            text: text.to_owned(),
        }];
        let problem = refused(response("resp_1", "completed", items.clone()));
        let message =
            "the stored item `msg_1` cannot be read: send the whole conversation in `input`";
        assert_eq!(
            problem.message,
            format!("previous_response_id: {message}"),
            "{text}"
        );
        let body = json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]});
        let problem = planned(&with_loaded(&body, vec![], items)).unwrap_err();
        assert_eq!(problem.message, format!("input[0].id: {message}"), "{text}");
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let websocket = |request: Request| Request {
        transport: Transport::Websocket,
        ..request
    };
    let storeless = |request: Request| Request {
        has_store: false,
        ..request
    };
    let invalid = ProblemKind::InvalidRequest;
    let same = |request: Request| request;
    type Change = fn(Request) -> Request;
    let cases: [(Value, Change, &str, ProblemKind, &str); 5] = [
        (
            json!({"previous_response_id": "resp_1", "conversation": "conv_1"}),
            same,
            "previous_response_id",
            invalid,
            "only allowed without `conversation`",
        ),
        (
            json!({"type": "response.create", "background": true}),
            websocket,
            "background",
            invalid,
            "over HTTP",
        ),
        (
            json!({"background": true, "store": false}),
            same,
            "background",
            invalid,
            "`store: true`",
        ),
        (
            json!({"background": true}),
            storeless,
            "background",
            ProblemKind::Unsupported,
            "`stream: true`",
        ),
        (
            json!({"conversation": "conv_1", "store": false}),
            same,
            "store",
            invalid,
            "together with `conversation`",
        ),
    ];
    for (mut body, change, param, kind, fragment) in cases {
        body["model"] = json!("m");
        body["input"] = json!("x");
        let conversation = StoredObject {
            format: CONVERSATION_FORMAT.to_owned(),
            ..response("conv_1", "", vec![])
        };
        let request = change(with_loaded(&body, vec![conversation], vec![]));
        let problem = planned(&request).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(param), "{body}");
        assert_eq!(problem.kind, kind, "{body}");
        assert!(problem.message.contains(fragment), "{}", problem.message);
    }
}

#[test]
fn a_stored_tool_is_named_by_the_member_that_continues_it() {
    let tool = json!({"type": "function", "name": "f"});
    let items = stored(&[
        json!({"type": "additional_tools", "tools": [tool]}),
        json!({"role": "user", "content": "x"}),
    ]);
    let body = json!({"model": "m", "input": "y", "previous_response_id": "resp_1"});
    let continued = |body: &Value| {
        let object = response("resp_1", "completed", items.clone());
        planned(&with_loaded(body, vec![object], vec![]))
    };
    let plan = continued(&body).unwrap();
    assert_eq!(plan.tools[0].param, "previous_response_id");
    let mut body = body;
    body["tools"] = json!([tool]);
    let problem = continued(&body).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("previous_response_id"));
    assert_eq!(
        problem.message,
        "previous_response_id: a tool of the stored items cannot be offered: `tools[0]` has this name already"
    );
}
