//! The routes of a stored response: each names it by its path, and finds only responses of the client.

use serde_json::{Value, json};

use super::stored::response;
use super::*;
use crate::bindings::airlock::policy::types::{
    Loaded, LogPosition, ObjectChange, ObjectKeys, ObjectStatus, StoredItem, StoredObject,
};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::prompt::render;
use crate::prompt::responses::conversations::FORMAT as CONVERSATION_FORMAT;
use crate::stored_response::head;

const ROUTES: [&str; 4] = [
    "GET /v1/responses/{response_id}",
    "DELETE /v1/responses/{response_id}",
    "POST /v1/responses/{response_id}/cancel",
    "GET /v1/responses/{response_id}/input_items",
];

fn about(route: &str, id: &str, query: &[(&str, &str)]) -> Request {
    let query = query.iter();
    Request {
        route: route.to_owned(),
        path_parameters: vec![id.to_owned()],
        query: query
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..request("")
    }
}

fn with(request: Request, object: &StoredObject) -> Request {
    let objects = vec![object.clone()];
    Request {
        loaded: Some(Loaded {
            objects,
            items: vec![],
        }),
        ..request
    }
}

/// A response in the background.
fn background(status: ObjectStatus, stated: &str) -> StoredObject {
    let response = json!({"id": "resp_1", "status": stated, "output": [], "store": true, "background": true, "error": null});
    StoredObject {
        head: head(&response.to_string()),
        status,
        ..super::stored::response("resp_1", "", vec![])
    }
}

fn body(action: Result<Action, Problem>) -> Value {
    match action {
        Ok(Action::Respond(response)) => serde_json::from_str(&response.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_route_loads_the_response_and_knows_no_other() {
    let unknown = [
        response("resp_2", "completed", vec![]),
        StoredObject {
            format: CONVERSATION_FORMAT.to_owned(),
            ..response("resp_1", "completed", vec![])
        },
        StoredObject {
            head: String::new(),
            ..response("resp_1", "completed", vec![])
        },
    ];
    for route in ROUTES {
        let request = about(route, "resp_1", &[]);
        let keys = ObjectKeys {
            objects: vec!["resp_1".to_owned()],
            items: vec![],
        };
        assert_eq!(render(&request), Ok(Action::Load(keys)), "{route}");
        let expected = Problem {
            kind: ProblemKind::NotFound,
            code: None,
            message: "Response with id 'resp_1' not found.".to_owned(),
            param: None,
            retry_after_seconds: None,
        };
        let nothing = Some(Loaded {
            objects: vec![],
            items: vec![],
        });
        let absent = Request {
            loaded: nothing,
            ..request.clone()
        };
        assert_eq!(render(&absent), Err(expected.clone()), "{route}");
        for object in &unknown {
            assert_eq!(
                render(&with(request.clone(), object)),
                Err(expected.clone()),
                "{route}"
            );
        }
        // A key that the host would not take is not loaded.
        for id in ["", &"x".repeat(257)] {
            assert_eq!(
                render(&about(route, id, &[])).unwrap_err().kind,
                ProblemKind::NotFound
            );
        }
    }
}

#[test]
fn a_lost_response_has_failed() {
    for (route, stated) in [(ROUTES[0], "queued"), (ROUTES[2], "in_progress")] {
        let lost = background(ObjectStatus::Lost, stated);
        let body = body(render(&with(about(route, "resp_1", &[]), &lost)));
        assert_eq!(body["status"], "failed");
        assert_eq!(body["error"]["code"], "server_error");
        assert_eq!(body["id"], "resp_1");
    }
}

#[test]
fn a_stream_is_followed_from_any_event() {
    let follow = |query: &[(&str, &str)], has_log: bool| {
        let object = StoredObject {
            has_log,
            ..background(ObjectStatus::Ended, "completed")
        };
        render(&with(about(ROUTES[0], "resp_1", query), &object))
    };
    for (query, after) in [
        (vec![("stream", "true")], None),
        (vec![("stream", "true"), ("starting_after", "0")], Some(0)),
        (
            vec![
                ("starting_after", "9999"),
                ("stream", "true"),
                ("include", "x"),
            ],
            Some(9_999),
        ),
    ] {
        let key = "resp_1".to_owned();
        assert_eq!(
            follow(&query, true),
            Ok(Action::Follow(LogPosition { key, after }))
        );
        let gone = follow(&query, false).unwrap_err();
        assert_eq!(
            (gone.kind, gone.param.as_deref()),
            (ProblemKind::NotFound, Some("stream"))
        );
    }
    assert_eq!(
        body(follow(&[("stream", "false")], true))["status"],
        "completed"
    );
    for (name, value) in [
        ("starting_after", ""),
        ("starting_after", "-1"),
        ("starting_after", "1.5"),
        ("stream", "yes"),
    ] {
        let problem = follow(&[("stream", "true"), (name, value)], true).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::InvalidRequest, "{value}");
        assert_eq!(problem.param.as_deref(), Some(name), "{value}");
    }
}

#[test]
fn a_running_response_is_stopped_and_any_other_stays() {
    let cancel = |object: &StoredObject| render(&with(about(ROUTES[2], "resp_1", &[]), object));
    let running = background(ObjectStatus::Running, "queued");
    assert_eq!(cancel(&running), Ok(Action::Stop("resp_1".to_owned())));
    for stated in ["completed", "cancelled", "failed", "incomplete"] {
        let ended = background(ObjectStatus::Ended, stated);
        assert_eq!(body(cancel(&ended))["status"], stated);
    }
    let problem = cancel(&response("resp_1", "completed", vec![])).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::InvalidRequest);
    assert_eq!(problem.code.as_deref(), Some("not_in_background"));
}

#[test]
fn a_deleted_response_is_named() {
    for object in [
        response("resp_1", "completed", vec![]),
        background(ObjectStatus::Running, "queued"),
    ] {
        let action = render(&with(about(ROUTES[1], "resp_1", &[]), &object));
        let Ok(Action::Respond(response)) = &action else {
            panic!("{action:?}")
        };
        assert_eq!(
            response.changes,
            [ObjectChange::Delete("resp_1".to_owned())]
        );
        let expected = json!({"id": "resp_1", "object": "response", "deleted": true});
        assert_eq!(body(action), expected);
    }
}

#[test]
fn the_input_ends_before_the_output() {
    let item = |id: &str| StoredItem {
        id: id.to_owned(),
        text: r#"{"role":"user","content":"x"}"#.to_owned(),
    };
    let items = vec![item("a"), item("b"), item("c")];
    let output = |ids: &[&str]| {
        let output: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        json!({"status": "completed", "output": output, "store": true, "background": false})
            .to_string()
    };
    for (ids, listed) in [(&["c"][..], ["b", "a"]), (&["b", "c"], ["a", ""])] {
        let object = StoredObject {
            head: head(&output(ids)),
            ..response("resp_1", "", items.clone())
        };
        let list = body(render(&with(about(ROUTES[3], "resp_1", &[]), &object)));
        let found: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        let listed: Vec<&str> = listed.into_iter().filter(|id| !id.is_empty()).collect();
        assert_eq!(found, listed);
    }
    let object = StoredObject {
        head: head(&output(&["c"])),
        ..response("resp_1", "", items)
    };
    let list = body(render(&with(
        about(ROUTES[3], "resp_1", &[("limit", "1"), ("order", "asc")]),
        &object,
    )));
    let expected = json!({
        "object": "list",
        "data": [{"id": "a", "type": "message", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": "x"}]}],
        "first_id": "a", "last_id": "a", "has_more": true,
    });
    assert_eq!(list, expected);
}
