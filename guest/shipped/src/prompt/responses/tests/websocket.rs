//! Messages of a WebSocket, and requests that are answered without a turn.

use serde_json::json;

use super::stored::{response, stored, turn, with_loaded};
use super::*;
use crate::bindings::airlock::policy::types::{
    ImmediateResponse, NewObject, ObjectChange, ObjectPlace, StoredObject,
};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::prompt::render;
use crate::stored_response::ResponseHead;

fn message(body: &Value) -> Request {
    Request {
        transport: Transport::Websocket,
        ..with_loaded(body, vec![], vec![])
    }
}

/// The body with these members.
fn with(body: &Value, members: &Value) -> Value {
    let mut body = body.clone();
    let members = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}

/// The response of a request that needs no turn.
fn answered(request: &Request) -> ImmediateResponse {
    match render(request).unwrap() {
        Action::Respond(response) => response,
        other => panic!("{other:?}"),
    }
}

/// The only object that a response stores.
fn put(response: &ImmediateResponse) -> &NewObject {
    match response.changes.as_slice() {
        [ObjectChange::Put(object)] => object,
        other => panic!("{other:?}"),
    }
}

/// The object once the host has stored it.
fn kept(object: &NewObject) -> StoredObject {
    StoredObject {
        head: object.head.clone(),
        ..response(&object.key, "", object.items.clone())
    }
}

/// The inputs of Codex 0.169.0 on its socket: of what it warms up with, and of what follows.
fn inputs_of_codex() -> [[Vec<Value>; 2]; 2] {
    let text = |role: &str, text: &str| json!({"type": "message", "id": format!("msg_{role}"), "role": role, "content": [{"type": "input_text", "text": text}]});
    let [developer, user] = [text("developer", "Be brief."), text("user", "Say hello")];
    let exec = json!({"type": "custom", "name": "exec", "description": "Runs code."});
    let tools =
        json!({"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [exec]});
    [
        [vec![], vec![tools.clone(), developer.clone(), user.clone()]],
        [vec![tools, developer], vec![user]],
    ]
}

fn request_of_codex(input: &[Value]) -> Value {
    json!({
        "type": "response.create", "model": "gpt-5.6-sol", "stream": true, "store": false, "input": input,
        "tool_choice": "auto", "parallel_tool_calls": false, "reasoning": {"effort": "low", "context": "all_turns"},
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "text": {"verbosity": "low"},
        "client_metadata": {"turn_id": ""},
    })
}

#[test]
fn a_warm_up_is_continued_as_the_whole_conversation() {
    for [first, then] in inputs_of_codex() {
        let warm_up = with(&request_of_codex(&first), &json!({"generate": false}));
        let response = answered(&message(&warm_up));
        let object = put(&response);
        assert_eq!(object.place, ObjectPlace::Connection);
        assert_eq!(object.items.len(), first.len());
        let next = with(
            &request_of_codex(&then),
            &json!({"previous_response_id": object.key}),
        );
        let next = Request {
            transport: Transport::Websocket,
            ..with_loaded(&next, vec![kept(object)], vec![])
        };
        let whole = message(&request_of_codex(&[first, then].concat()));
        // Only the member that a refusal of a tool names differs.
        let [next, whole] = [next, whole].map(|request| {
            let plan = format!("{:?}", turn(planned(&request).unwrap()));
            plan.replace("input[0].tools[0]", "previous_response_id")
        });
        assert_eq!(next, whole);
    }
}

#[test]
fn a_warm_up_has_both_forms() {
    let body = json!({"model": "m", "input": "x", "generate": false, "metadata": {"a": "b"}});
    let response = answered(&with_loaded(&body, vec![], vec![]));
    assert_eq!(response.frames, []);
    let object = put(&response);
    assert_eq!(object.place, ObjectPlace::Store);
    let head = ResponseHead::parse(&object.head).unwrap();
    assert_eq!((head.response, head.output), (response.body.as_str(), 0));
    assert_eq!(head.status, "completed");

    let streamed = with(&body, &json!({"stream": true}));
    let mut frames = answered(&with_loaded(&streamed, vec![], vec![])).frames;
    // As the host does.
    for (number, frame) in frames.iter_mut().enumerate() {
        if let Some(offset) = frame.number {
            frame.data.insert_str(offset as usize, &number.to_string());
        }
    }
    let [created, completed, done] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(done.data, "[DONE]");
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&completed.data).unwrap(),
        json!({"type": "response.completed", "response": body, "sequence_number": 1})
    );
    let created: Value = serde_json::from_str(&created.data).unwrap();
    assert_eq!(created["type"], "response.created");
    assert_eq!(created["response"]["status"], "in_progress");
    assert_eq!(created["sequence_number"], 0);
}

#[test]
fn a_conversation_is_not_warmed_up() {
    let conversation = StoredObject {
        format: crate::prompt::responses::conversations::FORMAT.to_owned(),
        ..response(
            "conv_1",
            "",
            stored(&[json!({"role": "user", "content": "x"})]),
        )
    };
    let body = json!({"model": "m", "input": "y", "generate": false, "conversation": "conv_1"});
    let problem = render(&with_loaded(&body, vec![conversation], vec![])).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("conversation"));
}

#[test]
fn a_warm_up_is_checked_and_without_store_nothing_is_kept() {
    let body = json!({"model": "m", "input": "x", "generate": false, "store": false});
    assert_eq!(answered(&with_loaded(&body, vec![], vec![])).changes, []);
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""});
    for (change, param) in [
        (json!({"model": null}), "model"),
        (json!({"input": null}), "input"),
        (json!({"input": [call]}), "input[0].call_id"),
        (json!({"reasoning": {"effort": 1}}), "reasoning.effort"),
        (json!({"generate": 0}), "generate"),
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
    ] {
        let body = with(&body, &change);
        let problem = render(&with_loaded(&body, vec![], vec![])).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(param), "{}", problem.message);
    }
}

#[test]
fn a_message_has_a_type_and_perhaps_a_name() {
    let body = json!({"model": "m", "input": "x"});
    let planned = |members: Value| planned(&message(&with(&body, &members)));
    let long = "x".repeat(256);
    for (id, stream_id) in [
        (json!(null), None),
        (json!("a_B-9.c"), Some("a_B-9.c")),
        (json!(long), Some(long.as_str())),
    ] {
        let plan = planned(json!({"type": "response.create", "stream": false, "stream_id": id}));
        let plan = plan.unwrap();
        assert!(plan.streaming);
        assert_eq!(plan.ignored, [""; 0]);
        let websocket = notes(&plan).websocket.unwrap();
        assert_eq!(websocket.stream_id.as_deref(), stream_id);
    }
    for wrong in ["", "a b", "\u{e9}", "\"", &"x".repeat(257)] {
        let message = json!({"type": "response.create", "stream_id": wrong});
        let problem = planned(message).unwrap_err();
        assert_eq!(problem.param.as_deref(), Some("stream_id"), "{wrong}");
    }
    let missing =
        "type: required: on a WebSocket, each message is a request of the type `response.create`";
    let unsupported =
        "type: only `response.create` is supported; to end a response early, close the WebSocket";
    for (wrong, message) in [
        (json!({}), missing),
        (json!({"type": null}), missing),
        (
            json!({"type": 7}),
            "type: expected a string, found an integer",
        ),
        (json!({"type": "response.cancel"}), unsupported),
        (json!({"type": "response.steer"}), unsupported),
    ] {
        let problem = planned(wrong).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidRequest);
        assert_eq!(problem.param.as_deref(), Some("type"));
        assert_eq!(problem.message, message);
    }
}

#[test]
fn over_http_the_members_of_a_message_are_ignored() {
    let plan = plan(r#"{"type":"response.create","model":"m","stream_id":"a b","input":"x"}"#);
    assert_eq!(plan.ignored, ["type", "stream_id"]);
    assert!(!plan.streaming);
    assert_eq!(notes(&plan).websocket, None);
}
