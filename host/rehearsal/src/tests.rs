//! Tests of the scripted model, from request to events.

#![allow(clippy::unwrap_used, reason = "tests")]

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::*;

fn script(request: &Value) -> Vec<Value> {
    let request = ModelRequest::read(request.to_string().as_bytes()).unwrap();
    stream::script(&request, &answer::to(&request, 0), request.scenario())
}

fn request() -> Value {
    json!({"model": "m", "stream": true, "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What is “this”?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        ]},
    ]})
}

fn text(script: &[Value], kind: &str) -> String {
    script
        .iter()
        .filter(|event| event["type"] == kind)
        .map(|event| event["delta"].as_str().unwrap())
        .collect()
}

#[test]
fn an_answer_states_that_it_is_a_rehearsal_and_quotes_the_last_message() {
    let received = text(&script(&request()), "response.output_text.delta");
    assert!(received.contains("rehearsal"), "{received}");
    assert!(received.contains("2 earlier messages"), "{received}");
    assert!(received.contains("1 image."), "{received}");
    assert!(
        received.ends_with("You said: “What is “this”?”"),
        "{received}"
    );
}

#[test]
fn events_come_as_the_responses_api_sends_them() {
    let script = script(&request());
    let mut kinds: Vec<&str> = script
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let numbers: Vec<u64> = script
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.iter().copied().eq(0..script.len() as u64),
        "{numbers:?}"
    );
    let whole = &script.last().unwrap()["response"];
    assert_eq!(
        whole["output"][0]["content"][0]["text"],
        text(&script, "response.output_text.delta")
    );
    let usage = &whole["usage"];
    let [input, output, total] =
        ["input_tokens", "output_tokens", "total_tokens"].map(|name| usage[name].as_u64().unwrap());
    assert!(
        input > 0 && output > 0 && total == input + output,
        "{usage}"
    );
}

#[test]
fn a_schema_is_satisfied_and_a_summary_given_when_requested() {
    let mut request = request();
    request["text"] = json!({"format": {"type": "json_schema", "strict": true, "name": "x", "schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}});
    request["reasoning"] = json!({"effort": "low", "summary": "auto"});
    let script = script(&request);
    let received: Value =
        serde_json::from_str(&text(&script, "response.output_text.delta")).unwrap();
    assert_eq!(received, json!({"city": "rehearsal"}));
    assert!(!text(&script, "response.reasoning_summary_text.delta").is_empty());
    let output = &script.last().unwrap()["response"]["output"];
    assert_eq!(
        (&output[0]["type"], &output[1]["type"]),
        (&json!("reasoning"), &json!("message"))
    );
}

/// The shipped policy's words for `response_format: {"type": "json_object"}`.
const OBJECT: &str = "ScriptedAnswer with exactly one valid JSON object and nothing else: no prose before or after it and no code fence.";

#[test]
fn a_json_object_is_answered_where_the_instructions_want_one() {
    let received = |instructions: &str| {
        let mut request = request();
        request["input"][0]["content"][0]["text"] = json!(instructions);
        text(&script(&request), "response.output_text.delta")
    };
    for instructions in [
        OBJECT.to_owned(),
        format!("Be brief.\n\n{OBJECT}"),
        "Reply with a JSON object, nothing else.".to_owned(),
    ] {
        let object: Value = serde_json::from_str(&received(&instructions)).unwrap();
        assert!(object["rehearsal"].as_str().unwrap().contains("rehearsal"));
        assert_eq!(object["you_said"], "What is “this”?");
    }
    for instructions in ["Explain what a JSON object is.", "Be brief, nothing else."] {
        assert!(
            received(instructions).starts_with("This is"),
            "{instructions}"
        );
    }
    // A user who speaks of it does not ask for it in the policy's name.
    let mut request = request();
    request["input"][1]["content"][0]["text"] = json!(OBJECT);
    assert!(text(&script(&request), "response.output_text.delta").starts_with("This is"));
}

#[test]
fn what_is_no_request_is_not_answered() {
    for body in ["", "[]", "{}", r#"{"model": 1}"#] {
        assert!(ModelRequest::read(body.as_bytes()).is_none(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_server_sent_events() {
    let request = ModelRequest::read(request().to_string().as_bytes()).unwrap();
    let answer = answer::to(&request, 0);
    let events = stream::events(&request, &answer, Scenario::Answer);
    let sent: Vec<_> = events.collect().await;
    assert_eq!(
        sent.len(),
        stream::script(&request, &answer, Scenario::Answer).len()
    );
    for event in sent {
        let event = String::from_utf8(event.unwrap().to_vec()).unwrap();
        let (kind, data) = event
            .strip_prefix("event: ")
            .unwrap()
            .split_once("\ndata: ")
            .unwrap();
        let data: Value = serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
        assert_eq!(data["type"], kind);
    }
}

#[tokio::test]
async fn only_who_knows_the_secret_finds_it() {
    let tasks = Tasks::default();
    let first = start(&tasks).await.unwrap().base_url;
    let second = start(&tasks).await.unwrap().base_url;
    let secret = |url: &str| {
        url.strip_prefix("http://127.0.0.1:")
            .unwrap()
            .split('/')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_eq!(secret(&first).len(), 32);
    assert_ne!(secret(&first), secret(&second));
    tasks.stop().await;
}

#[test]
fn it_calls_the_named_functions_and_reports_their_results() {
    let function = |name: &str| {
        let city = json!({"type": "string", "enum": ["Oslo"]});
        json!({"type": "function", "name": name, "parameters":
            {"type": "object", "properties": {"city": city}, "required": ["city"]}})
    };
    let mut request = request();
    request["tools"] = json!([
        function("request_user_input"),
        function("weather"),
        function("traffic")
    ]);
    let calls = |request: &Value| -> Vec<String> {
        let script = script(request);
        let items = script
            .iter()
            .filter(|event| event["type"] == "response.output_item.done");
        let calls = items.filter(|event| event["item"]["type"] == "function_call");
        calls
            .map(|event| {
                let item = &event["item"];
                assert_eq!(item["arguments"], r#"{"city":"Oslo"}"#);
                item["name"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert!(calls(&request).is_empty(), "none is named");
    request["input"][4]["content"][0]["text"] = "weather and traffic, please".into();
    assert_eq!(calls(&request), ["weather", "traffic"]);
    request["input"][4]["content"][0]["text"] = "please".into();
    request["input"][0]["content"][0]["text"] = "You must answer by calling a function.".into();
    assert_eq!(calls(&request), ["weather"]);

    let input = request["input"].as_array_mut().unwrap();
    input.push(
        json!({"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}),
    );
    input.push(json!({"type": "function_call_output", "call_id": "c", "output": "7 degrees"}));
    assert!(calls(&request).is_empty());
    let received = text(&script(&request), "response.output_text.delta");
    assert!(
        received.contains("weather returned: “7 degrees”."),
        "{received}"
    );
}

/// The script of a request with this message of the user and this instruction.
fn provoked(question: &str, instruction: &str) -> Vec<Value> {
    let mut request = request();
    request["input"][4]["content"][0]["text"] = question.into();
    request["input"][0]["content"][0]["text"] = instruction.into();
    script(&request)
}

#[test]
fn each_scenario_ends_as_the_responses_api_would() {
    let end = |question: &str| {
        let script = provoked(question, "Be brief.");
        let last = script.last().unwrap().clone();
        (text(&script, "response.output_text.delta"), last)
    };
    let (whole, last) = end("Hello");
    assert_eq!(last["type"], "response.completed");
    for (name, reason) in [
        ("length", "max_output_tokens"),
        ("content-filter", "content_filter"),
    ] {
        let (half, last) = end(&format!("Say “rehearse:{name}”, please"));
        assert_eq!(last["type"], "response.incomplete", "{name}");
        assert_eq!(last["response"]["incomplete_details"]["reason"], reason);
        assert!(whole.starts_with(half.get(..60).unwrap()), "{half}");
    }
    for (name, code) in [
        ("overloaded", "server_is_overloaded"),
        ("context-length", "context_length_exceeded"),
    ] {
        let (none, last) = end(&format!("rehearse:{name}"));
        assert_eq!(none, "");
        assert_eq!(last["type"], "response.failed", "{name}");
        assert_eq!(last["response"]["error"]["code"], code);
    }
    let (half, last) = end("rehearse:broken.");
    assert!(!half.is_empty());
    assert_eq!(last["type"], "response.output_text.delta");
    assert_eq!(
        end("rehearse:nothing and rehearse: and xrehearse:slow").1["type"],
        "response.completed"
    );
}

#[test]
fn a_scenario_stands_in_the_question_or_the_instructions_and_is_not_repeated() {
    let scenario = |question: &str, instruction: &str| {
        let mut request = request();
        request["input"][4]["content"][0]["text"] = question.into();
        request["input"][0]["content"][0]["text"] = instruction.into();
        let request = ModelRequest::read(request.to_string().as_bytes()).unwrap();
        let answer = answer::to(&request, 0).text.unwrap();
        assert!(!answer.contains(scenario::PREFIX), "{answer}");
        request.scenario()
    };
    assert_eq!(scenario("rehearse:slow", ""), Scenario::Slow);
    assert_eq!(scenario("hi", "Angle: rehearse:slow"), Scenario::Slow);
    assert_eq!(
        scenario("rehearse:broken", "rehearse:slow"),
        Scenario::Broken
    );
    assert_eq!(scenario("hi", "Be brief."), Scenario::Answer);
}

#[test]
fn answers_differ_by_turns_and_repeat_a_hint() {
    let mut request = request();
    request["input"][0]["content"][0]["text"] = "Be brief.\n\nApproach the user's request from this angle:\n\nArgue from cost.\n\nThe angle guides where you look and how you reason.".into();
    let request = ModelRequest::read(request.to_string().as_bytes()).unwrap();
    let texts: Vec<String> = (0..4)
        .map(|earlier| answer::to(&request, earlier).text.unwrap())
        .collect();
    assert_eq!(texts[0], texts[3]);
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
    for text in texts {
        assert!(text.contains("The hint was: “Argue from cost.”."), "{text}");
    }
}

#[test]
fn the_documentation_lists_every_scenario() {
    let page = include_str!("../../../docs/rehearsal.md");
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `rehearse:")?.split('`').next())
        .collect();
    let known: Vec<&str> = scenario::SCENARIOS.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, known);
}
