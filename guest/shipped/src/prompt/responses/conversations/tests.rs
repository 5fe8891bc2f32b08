//! Conversations: what is stored, what is returned, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use serde_json::{Value, json};

use super::*;
use crate::RESPONSES_DIALECT;
use crate::bindings::airlock::policy::types::{Loaded, ObjectStatus, Request, Transport};
use crate::prompt::render;

const HEAD: &str =
    r#"{"id":"conv_1","object":"conversation","created_at":1700000000,"metadata":{"a":"b"}}"#;

/// A request to this route with these identifiers.
fn request(route: &str, path_parameters: &[&str], body: &str) -> Request {
    Request {
        id: "req_1".to_owned(),
        arrived: 1_700_000_000_999,
        dialect: RESPONSES_DIALECT.to_owned(),
        body: body.to_owned(),
        attachments: Vec::new(),
        settings: String::new(),
        nested: false,
        route: route.to_owned(),
        path_parameters: path_parameters.iter().map(|it| (*it).to_owned()).collect(),
        query: Vec::new(),
        seed: "5eed".to_owned(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn conversation(items: &[(&str, &str)]) -> StoredObject {
    StoredObject {
        key: "conv_1".to_owned(),
        format: "airlock.conversations.1".to_owned(),
        head: HEAD.to_owned(),
        status: ObjectStatus::Ended,
        has_log: false,
        items: items
            .iter()
            .map(|(id, text)| StoredItem {
                id: (*id).to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
    }
}

/// Renders a request, and once more with this conversation when it is requested.
fn rendered(mut request: Request, conversation: Option<StoredObject>) -> Result<Action, Problem> {
    match render(&request)? {
        Action::Load(keys) => {
            assert_eq!(keys.objects, request.path_parameters[..1]);
            assert_eq!(keys.items, Vec::<String>::new());
            request.loaded = Some(Loaded {
                objects: conversation.into_iter().collect(),
                items: Vec::new(),
            });
            render(&request)
        }
        other => Ok(other),
    }
}

/// The body and the changes of an answer.
fn answered(action: Result<Action, Problem>) -> (String, Vec<ObjectChange>) {
    match action.unwrap() {
        Action::Respond(response) => {
            assert_eq!(response.frames, []);
            assert!(!response.body.contains(['\n', '\r']), "{}", response.body);
            (response.body, response.changes)
        }
        other => panic!("{other:?}"),
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_conversation_is_created_with_its_items() {
    let body = "{\"metadata\":{\"a\":\"\\u2028\"},\"items\":[{\"role\":\"user\",\n\"content\":\"Hi\u{2028}\"},\
        {\"id\":\"msg_own\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[]},\
        {\"id\":\"msg_own\",\"role\":\"user\",\"content\":\"a\"},{\"id\":\"a/b\",\"role\":\"user\",\"content\":\"b\"}]}";
    let (head, changes) = answered(render(&request("POST /v1/conversations", &[], body)));
    assert_eq!(
        head,
        r#"{"id":"conv_5eed","object":"conversation","created_at":1700000000,"metadata":{"a":"\u2028"}}"#
    );
    let item = |id: &str, text: &str| StoredItem {
        id: id.to_owned(),
        text: text.to_owned(),
    };
    let object = NewObject {
        key: "conv_5eed".to_owned(),
        format: "airlock.conversations.1".to_owned(),
        base: None,
        head,
        items: vec![
            item("msg_5eed0000", r#"{"role":"user","content":"Hi\u2028"}"#),
            item(
                "msg_own",
                r#"{"id":"msg_own","type":"message","role":"assistant","content":[]}"#,
            ),
            item(
                "msg_5eed0002",
                r#"{"id":"msg_own","role":"user","content":"a"}"#,
            ),
            item(
                "msg_5eed0003",
                r#"{"id":"a/b","role":"user","content":"b"}"#,
            ),
        ],
        place: ObjectPlace::Store,
    };
    assert_eq!(changes, [ObjectChange::Put(object)]);
}

#[test]
fn a_conversation_may_be_empty() {
    for body in [
        "",
        " \n",
        "{}",
        r#"{"items":null,"metadata":null}"#,
        r#"{"items":[]}"#,
    ] {
        let (head, changes) = answered(render(&request("POST /v1/conversations", &[], body)));
        assert_eq!(
            head,
            r#"{"id":"conv_5eed","object":"conversation","created_at":1700000000,"metadata":{}}"#
        );
        let [ObjectChange::Put(object)] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!(object.items, []);
    }
}

#[test]
fn a_conversation_is_read_changed_and_deleted() {
    let route = |method: &str| format!("{method} /v1/conversations/{{conversation_id}}");
    let of = |method: &str, body: &str| {
        let request = request(&route(method), &["conv_1"], body);
        answered(rendered(request, Some(conversation(&[]))))
    };
    assert_eq!(of("GET", ""), (HEAD.to_owned(), Vec::new()));
    let changed =
        r#"{"id":"conv_1","object":"conversation","created_at":1700000000,"metadata":{"c":"d"}}"#;
    let change = ObjectChange::ReplaceHead(("conv_1".to_owned(), changed.to_owned()));
    assert_eq!(
        of("POST", r#"{"metadata":{"c":"d"}}"#),
        (changed.to_owned(), vec![change])
    );
    assert_eq!(
        json_of(&of("POST", r#"{"metadata":null}"#).0)["metadata"],
        json!({})
    );
    assert_eq!(
        of("DELETE", ""),
        (
            r#"{"id":"conv_1","object":"conversation.deleted","deleted":true}"#.to_owned(),
            vec![ObjectChange::Delete("conv_1".to_owned())]
        )
    );
}

const ITEMS: &str = "/v1/conversations/{conversation_id}/items";
const ITEM: &str = "/v1/conversations/{conversation_id}/items/{item_id}";

#[test]
fn items_are_added_with_identifiers_that_are_free() {
    let body = r#"{"items":[{"id":"msg_a","role":"user","content":"x"},{"type":"function_call_output","call_id":"c","output":"o"},
        {"id":"fc_b","type":"function_call","call_id":"d","name":"f","arguments":"{}"}]}"#;
    let request = request(&format!("POST {ITEMS}"), &["conv_1"], body);
    let stored = conversation(&[("msg_a", r#"{"role":"user","content":"w"}"#)]);
    let (list, changes) = answered(rendered(request, Some(stored)));
    let expected = json!({"object": "list", "first_id": "msg_5eed0000", "last_id": "fc_b", "has_more": false, "data": [
        {"id": "msg_5eed0000", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_text", "text": "x"}]},
        {"id": "fco_5eed0001", "type": "function_call_output", "status": "completed", "call_id": "c", "output": "o"},
        {"id": "fc_b", "type": "function_call", "status": "completed", "call_id": "d", "name": "f", "arguments": "{}"},
    ]});
    assert_eq!(json_of(&list), expected);
    let [ObjectChange::Append((key, items))] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(key, "conv_1");
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["msg_5eed0000", "fco_5eed0001", "fc_b"]);
}

#[test]
fn items_are_listed_read_and_removed() {
    let stored = || {
        conversation(&[
            ("a", r#"{"role":"user","content":"1"}"#),
            ("b", r#"{"role":"user","content":"2"}"#),
            ("a", r#"{"role":"user","content":"3"}"#),
        ])
    };
    let shown = |id: &str, text: &str| {
        json!({"id": id, "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_text", "text": text}]})
    };
    let mut listing = request(&format!("GET {ITEMS}"), &["conv_1"], "");
    listing.query = vec![("limit".to_owned(), "2".to_owned())];
    let (list, changes) = answered(rendered(listing.clone(), Some(stored())));
    assert_eq!(
        json_of(&list),
        json!({"object": "list", "data": [shown("a", "3"), shown("b", "2")], "first_id": "a", "last_id": "b", "has_more": true})
    );
    assert_eq!(changes, []);
    listing.query = vec![("order".to_owned(), "up".to_owned())];
    let problem = rendered(listing, Some(stored())).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("order"));

    let reading = request(&format!("GET {ITEM}"), &["conv_1", "a"], "");
    let (item, changes) = answered(rendered(reading, Some(stored())));
    assert_eq!(json_of(&item), shown("a", "3"));
    assert_eq!(changes, []);

    let removal = request(&format!("DELETE {ITEM}"), &["conv_1", "a"], "");
    let change = ObjectChange::RemoveItem(("conv_1".to_owned(), "a".to_owned()));
    assert_eq!(
        answered(rendered(removal, Some(stored()))),
        (HEAD.to_owned(), vec![change])
    );
}

#[test]
fn what_is_absent_is_not_found() {
    let foreign = StoredObject {
        format: "airlock.responses.1".to_owned(),
        ..conversation(&[])
    };
    let routes = [
        (
            "GET /v1/conversations/{conversation_id}".to_owned(),
            vec!["conv_1"],
        ),
        (
            "POST /v1/conversations/{conversation_id}".to_owned(),
            vec!["conv_1"],
        ),
        (
            "DELETE /v1/conversations/{conversation_id}".to_owned(),
            vec!["conv_1"],
        ),
        (format!("GET {ITEMS}"), vec!["conv_1"]),
        (format!("POST {ITEMS}"), vec!["conv_1"]),
        (format!("GET {ITEM}"), vec!["conv_1", "a"]),
        (format!("DELETE {ITEM}"), vec!["conv_1", "a"]),
    ];
    for (route, ids) in &routes {
        for found in [None, Some(foreign.clone())] {
            let problem = rendered(request(route, ids, "{"), found).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{route}");
            assert_eq!(problem.message, "Conversation with id 'conv_1' not found.");
            assert_eq!((problem.code, problem.param), (None, None));
        }
        let mut unstored = request(route, ids, "{");
        unstored.has_store = false;
        let problem = render(&unstored).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported, "{route}");
        assert_eq!(problem.code.as_deref(), Some("store_disabled"));
    }
    let long = "x".repeat(257);
    let problem = render(&request(&routes[0].0, &[&long], "")).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NotFound);
    for method in ["GET", "DELETE"] {
        let of_item = request(&format!("{method} {ITEM}"), &["conv_1", "c"], "");
        let problem = rendered(of_item, Some(conversation(&[]))).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::NotFound);
        assert_eq!(problem.message, "Item with id 'c' not found.");
    }
    let other = request("PUT /v1/conversations/{conversation_id}", &["conv_1"], "");
    let problem = rendered(other, Some(conversation(&[]))).unwrap_err();
    assert_eq!(problem.code.as_deref(), Some("unknown_route"));
}

#[test]
fn wrong_bodies_are_refused_by_their_fields() {
    let many = json!({"items": vec![json!({"role": "user", "content": "x"}); 21]}).to_string();
    let create = "POST /v1/conversations";
    let update = "POST /v1/conversations/{conversation_id}";
    let add = &format!("POST {ITEMS}");
    for (route, body, param, message) in [
        (create, "[]", None, "expected a JSON object"),
        (create, many.as_str(), Some("items"), "at most 20 items"),
        (
            create,
            r#"{"items":"x"}"#,
            Some("items"),
            "expected an array of items, found a string",
        ),
        (
            create,
            r#"{"items":[{"role":"bot","content":"x"}]}"#,
            Some("items[0].role"),
            "found `bot`",
        ),
        (
            create,
            r#"{"items":[{"type":"item_reference","id":"msg_1"}]}"#,
            Some("items[0].type"),
            "send the item itself",
        ),
        (
            create,
            r#"{"items":[{"type":"compaction_trigger"}]}"#,
            Some("items[0].type"),
            "cannot be stored",
        ),
        (
            create,
            r#"{"items":[{"type":"mcp_call"}]}"#,
            Some("items[0].type"),
            "not supported",
        ),
        (
            create,
            r#"{"metadata":{"a":1}}"#,
            Some("metadata"),
            "must be a string",
        ),
        (update, "{}", Some("metadata"), "required"),
        (
            update,
            r#"{"metadata":{},"items":[]}"#,
            Some("items"),
            "/items",
        ),
        (add, "", Some("items"), "required"),
        (add, r#"{"items":[]}"#, Some("items"), "required"),
        (
            add,
            r#"{"items":[{"role":"user","content":"x"}],"metadata":{}}"#,
            Some("metadata"),
            "change it with",
        ),
        (
            add,
            r#"{"items":[{"type":"function_call_output","output":"x"}]}"#,
            Some("items[0].call_id"),
            "required",
        ),
        (
            add,
            r#"{"items":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}]}"#,
            Some("items[0].content[0].image_url"),
            "cannot be read",
        ),
    ] {
        let ids: &[&str] = if route == create { &[] } else { &["conv_1"] };
        let problem = rendered(request(route, ids, body), Some(conversation(&[]))).expect_err(body);
        assert_eq!(problem.param.as_deref(), param, "{body}");
        assert!(problem.message.contains(message), "{}", problem.message);
    }
    let mut strict = request(create, &[], r#"{"x":1}"#);
    assert!(render(&strict).is_ok());
    strict.settings = r#"{"strict":true}"#.to_owned();
    assert_eq!(render(&strict).unwrap_err().param.as_deref(), Some("x"));
}
