//! Messages of a WebSocket.

use serde_json::json;

use super::stored::with_loaded;
use super::*;

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
