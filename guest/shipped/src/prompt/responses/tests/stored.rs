//! Stored responses: what continues them plans as the whole conversation does.

use serde_json::{Value, json};

use super::resumed::{first_round, requested, then};
use super::*;
use crate::bindings::airlock::policy::types::{
    Loaded, ObjectKeys, ObjectPlace, ObjectStatus, StoredItem, StoredObject,
};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::prompt::render;
use crate::prompt::responses::conversations::FORMAT as CONVERSATION_FORMAT;
use crate::stored_response::{RESPONSE_FORMAT, head};

/// The number of items that the model has written in the first round. The outputs of its calls follow.
const WRITTEN: usize = 6;

/// A stored response with this status and these items.
pub(super) fn response(key: &str, status: &str, items: Vec<StoredItem>) -> StoredObject {
    let response = json!({
        "id": key, "status": status, "output": [], "store": true, "background": false,
    });
    StoredObject {
        key: key.to_owned(),
        format: RESPONSE_FORMAT.to_owned(),
        head: head(&response.to_string()),
        status: ObjectStatus::Ended,
        has_log: false,
        items,
    }
}

pub(super) fn stored(items: &[Value]) -> Vec<StoredItem> {
    let item = |(index, item): (usize, &Value)| StoredItem {
        id: item["id"]
            .as_str()
            .map_or(format!("item_{index}"), str::to_owned),
        text: item.to_string(),
    };
    items.iter().enumerate().map(item).collect()
}

/// The request, for which the host has loaded these.
pub(super) fn with_loaded(
    body: &Value,
    objects: Vec<StoredObject>,
    items: Vec<StoredItem>,
) -> Request {
    Request {
        loaded: Some(Loaded { objects, items }),
        seed: "5eed".to_owned(),
        ..request(&body.to_string())
    }
}

/// What of a plan reaches Codex, and what resumes a turn.
pub(super) fn turn(plan: Plan) -> Plan {
    let notes = PlanNotes::from_text(&plan.notes);
    Plan {
        notes: format!("{:?}", notes.tools),
        object: None,
        ..plan
    }
}

/// The items that a response has after its turn has written these.
fn ended(plan: Plan, written: &[Value]) -> Vec<StoredItem> {
    let object = plan.object.unwrap();
    object.items.into_iter().chain(stored(written)).collect()
}

/// The request with this input in place of its own.
fn with_input(input: &[Value]) -> Value {
    let mut body = requested();
    body["input"] = input.into();
    body
}

#[test]
fn a_continued_response_plans_as_the_whole_conversation() {
    let first = first_round();
    let chain = ended(plan(&requested().to_string()), &first[..WRITTEN]);
    let mut body = with_input(&first[WRITTEN..]);
    body["previous_response_id"] = json!("resp_1");
    let request = with_loaded(
        &body,
        vec![response("resp_1", "completed", chain.clone())],
        vec![],
    );
    let continued = planned(&request).unwrap();
    let whole = then(requested(), first.clone());
    let expected = plan(&whole.to_string());
    assert!(expected.resume.is_some());
    assert_eq!(turn(continued.clone()), turn(expected));

    // Another round: the host concatenates the items of the bases.
    let call =
        json!({"type": "function_call", "call_id": "4", "name": "look.up", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "4", "output": ""});
    let object = continued.object.clone().unwrap();
    assert_eq!(object.key, "resp_5eed");
    assert_eq!(object.base.as_deref(), Some("resp_1"));
    assert_eq!(object.place, ObjectPlace::Store);
    let chain = [chain, ended(continued, std::slice::from_ref(&call))].concat();
    let mut body = with_input(std::slice::from_ref(&output));
    body["previous_response_id"] = json!("resp_5eed");
    let request = with_loaded(
        &body,
        vec![response("resp_5eed", "completed", chain)],
        vec![],
    );
    let expected = plan(&then(whole, [call, output]).to_string());
    assert!(expected.resume.is_some());
    assert_eq!(turn(planned(&request).unwrap()), turn(expected));
}

#[test]
fn a_conversation_plans_as_the_whole_conversation() {
    let first = first_round();
    let conversation = StoredObject {
        format: CONVERSATION_FORMAT.to_owned(),
        head: "{}".to_owned(),
        items: ended(plan(&requested().to_string()), &first[..WRITTEN]),
        ..response("conv_1", "", vec![])
    };
    let mut body = with_input(&first[WRITTEN..]);
    body["conversation"] = json!({"id": "conv_1"});
    let plan = planned(&with_loaded(&body, vec![conversation], vec![])).unwrap();
    let object = plan.object.clone().unwrap();
    assert_eq!((object.base, object.items.len()), (None, 3));
    let stored = notes(&plan).stored.unwrap();
    assert_eq!(stored.conversation.as_deref(), Some("conv_1"));
    let lock = plan.lock.clone().unwrap();
    assert_eq!(lock.key, "conv_1");
    assert_eq!(lock.busy.code.as_deref(), Some("conversation_locked"));
    assert_eq!(echo(&plan)["conversation"], json!({"id": "conv_1"}));
    let whole = then(requested(), first);
    let expected = super::plan(&whole.to_string());
    let unlocked = Plan { lock: None, ..plan };
    assert_eq!(turn(unlocked), turn(expected));
}

#[test]
fn references_plan_as_their_items() {
    let first = first_round();
    let whole = then(requested(), first.clone());
    let all: Vec<Value> = whole["input"].as_array().unwrap().clone();
    let known = stored(&all);
    // Clients refer to what they know to be stored, with a type or without.
    let items = all.iter().zip(&known).enumerate();
    let input: Vec<Value> = items
        .map(|(index, (item, stored))| match index % 3 {
            0 => item.clone(),
            1 => json!({"type": "item_reference", "id": stored.id}),
            _ => json!({"id": stored.id, "type": null}),
        })
        .collect();
    let request = with_loaded(&with_input(&input), vec![], known.clone());
    let unloaded = Request {
        loaded: None,
        ..request.clone()
    };
    let Ok(Action::Load(ObjectKeys { objects, items })) = render(&unloaded) else {
        panic!("it needs items");
    };
    let referred = known.iter().enumerate().filter(|(index, _)| index % 3 > 0);
    let mut expected: Vec<&str> = referred.map(|(_, item)| item.id.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(
        (objects.len(), items),
        (0, expected.into_iter().map(str::to_owned).collect())
    );

    let plan = planned(&request).unwrap();
    // Items are copied, so that the response does not depend on others.
    let copied: Vec<String> = plan
        .object
        .clone()
        .unwrap()
        .items
        .into_iter()
        .map(|it| it.text)
        .collect();
    assert_eq!(copied, all.iter().map(Value::to_string).collect::<Vec<_>>());
    assert_eq!(turn(plan), turn(super::plan(&whole.to_string())));
}

#[test]
fn a_stored_image_is_found_among_the_attachments() {
    let image =
        json!({"role": "user", "content": [{"type": "input_image", "image_url": "attachment:0"}]});
    let body = json!({"model": "m", "input": "x", "previous_response_id": "resp_1"});
    let object = response("resp_1", "completed", stored(&[image]));
    let mut request = with_loaded(&body, vec![object], vec![]);
    request.attachments[0].path = "loaded.objects[0].items[0].content[0].image_url".to_owned();
    let history = planned(&request).unwrap().history;
    assert_eq!(
        history,
        [
            r#"{"type":"message","role":"user","content":[{"type":"input_image","image_url":"attachment:0"}]}"#
        ]
    );
}

#[test]
fn the_response_says_where_it_is_stored() {
    // The transport, whether there is a store, `store`, the place, and what the response says.
    let (http, websocket) = (Transport::Http, Transport::Websocket);
    for (transport, has_store, store, place, says) in [
        (http, true, None, Some(ObjectPlace::Store), true),
        (http, true, Some(true), Some(ObjectPlace::Store), true),
        (http, true, Some(false), None, false),
        (http, false, Some(true), None, false),
        (websocket, true, None, Some(ObjectPlace::Store), true),
        (
            websocket,
            true,
            Some(false),
            Some(ObjectPlace::Connection),
            false,
        ),
        (websocket, false, None, Some(ObjectPlace::Connection), false),
    ] {
        let body = json!({"type": "response.create", "model": "m", "input": "x", "store": store});
        let plan = planned(&Request {
            transport,
            has_store,
            ..request(&body.to_string())
        })
        .unwrap();
        let object = plan.object.as_ref();
        assert_eq!(
            object.map(|object| object.place),
            place,
            "{transport:?} {has_store} {store:?}"
        );
        assert_eq!(notes(&plan).stored.is_some(), place.is_some());
        assert_eq!(echo(&plan)["store"], says);
    }
}

#[test]
fn a_response_in_the_store_copies_the_items_of_the_connection() {
    let earlier = stored(&[json!({"role": "user", "content": "x"})]);
    let response = r#"{"status":"completed","output":[],"store":false,"background":false}"#;
    let object = StoredObject {
        head: head(response),
        ..super::stored::response("resp_1", "", earlier.clone())
    };
    for (store, base, count) in [(true, None, 2), (false, Some("resp_1"), 1)] {
        let body = json!({"type": "response.create", "model": "m", "input": "y", "store": store, "previous_response_id": "resp_1"});
        let request = Request {
            transport: Transport::Websocket,
            ..with_loaded(&body, vec![object.clone()], vec![])
        };
        let plan = planned(&request).unwrap();
        assert_eq!(plan.history.len(), 1);
        assert_eq!(echo(&plan)["previous_response_id"], "resp_1");
        let object = plan.object.unwrap();
        assert_eq!((object.base.as_deref(), object.items.len()), (base, count));
    }
}

#[test]
fn identifiers_of_items_are_the_clients_if_they_can_be() {
    let long = "x".repeat(257);
    let body = json!({"model": "m", "input": [
        {"role": "user", "content": "x", "id": "mine"},
        {"role": "user", "content": "x", "id": ""},
        {"role": "user", "content": "x", "id": 7},
        {"role": "user", "content": "x", "id": long},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]});
    let plan = planned(&with_loaded(&body, vec![], vec![])).unwrap();
    let items = plan.object.unwrap().items;
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "mine",
            "msg_5eedff0001",
            "msg_5eedff0002",
            "msg_5eedff0003",
            "rs_5eedff0004",
            "fc_5eedff0005",
            "fco_5eedff0006"
        ]
    );
}

#[test]
fn of_a_duplicate_input_the_last_counts_after_the_stored_items() {
    let object = response(
        "resp_1",
        "completed",
        stored(&[json!({"role": "user", "content": "a"})]),
    );
    let body = r#"{"model":"m","input":[{"type":"item_reference","id":"gone"}],"input":"b","input":"c","previous_response_id":"resp_1"}"#;
    let unloaded = request(body);
    let keys = ObjectKeys {
        objects: vec!["resp_1".to_owned()],
        items: vec![],
    };
    assert_eq!(render(&unloaded), Ok(Action::Load(keys)));
    let loaded = Some(Loaded {
        objects: vec![object],
        items: vec![],
    });
    let plan = planned(&Request { loaded, ..unloaded }).unwrap();
    assert_eq!(plan.history.len(), 1);
    assert_eq!(plan.object.unwrap().items.len(), 1);
}

#[test]
fn too_many_references_are_refused() {
    let references = |count: usize| {
        let items: Vec<Value> = (0..count)
            .map(|index| json!({"id": format!("msg_{index}")}))
            .collect();
        request(&json!({"model": "m", "input": items}).to_string())
    };
    assert!(
        matches!(render(&references(1_000)), Ok(Action::Load(keys)) if keys.items.len() == 1_000)
    );
    let problem = render(&references(1_001)).unwrap_err();
    assert_eq!(
        problem.message,
        "input: at most 1000 references to stored items"
    );
}

#[test]
fn tokens_are_estimated_with_the_stored_items() {
    let route = "POST /v1/responses/input_tokens".to_owned();
    let body = json!({"input": "y", "previous_response_id": "resp_1"});
    let earlier = json!({"role": "user", "content": "A question of some length, which counts."});
    let object = response(
        "resp_1",
        "completed",
        stored(std::slice::from_ref(&earlier)),
    );
    let tokens = |request: Request| match render(&Request {
        route: route.clone(),
        ..request
    }) {
        Ok(Action::Respond(response)) => response.body,
        other => panic!("{other:?}"),
    };
    let whole = json!({"input": [earlier, {"role": "user", "content": "y"}]});
    assert_eq!(
        tokens(with_loaded(&body, vec![object], vec![])),
        tokens(request(&whole.to_string()))
    );
    let unknown = Request {
        route,
        ..with_loaded(&body, vec![], vec![])
    };
    assert_eq!(
        render(&unknown).unwrap_err().code.as_deref(),
        Some("previous_response_not_found")
    );
}
