//! Requests as real clients send them, compared with what the model receives through the real Codex.

use airlock_tests::{Conversation, Frame, Gateway, ModelAnswer, ScriptedModel, fan_out, tool};
use anyhow::{Context, Result};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const NO_PARKING: &str = "[limits]\nparked_turns = 0";

#[tokio::test]
async fn instructions_alone_reach_the_model_once() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    for (messages, items) in [
        (json!([message("system", "Write a haiku.")]), 1),
        (json!([message("developer", "Write a haiku.")]), 1),
        (
            json!([
                message("system", "Write a haiku."),
                message("assistant", "")
            ]),
            1,
        ),
        (
            json!([
                message("system", "Write a haiku."),
                message("assistant", "Rain,")
            ]),
            2,
        ),
    ] {
        model.next(ModelAnswer::words("an old pond"));
        let reply = gateway.client().chat(json!({"messages": messages})).await?;
        assert_eq!(reply.text()?, "an old pond", "{messages}");
        let injected = model.call().await?.messages();
        let mut expected = vec![("developer".to_owned(), "Write a haiku.".to_owned())];
        if items > 1 {
            expected.push(("assistant".to_owned(), "Rain,".to_owned()));
        }
        assert_eq!(injected, expected, "{messages}");
    }
    model.next(ModelAnswer::words("an old pond"));
    let body = json!({"messages": [message("system", "Write a haiku.")]});
    assert_eq!(
        gateway.client().stream(body.clone()).await?.text().await?,
        "an old pond"
    );
    model.call().await?;

    model.otherwise(ModelAnswer::words("an old pond"));
    let reply = gateway.client().chat(fan_out(2, body)).await?;
    assert_eq!(reply.text()?, "an old pond");
    for call in [model.call().await?, model.call().await?] {
        let instructions = call.instructions();
        assert_eq!(
            instructions.matches("Write a haiku.").count(),
            1,
            "{instructions}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_turn_of_instructions_alone_waits_for_its_tools() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("f:0", "f", "{}"));
    model.next(ModelAnswer::new().call("f:0", "f", "{\"city\":\"Oslo\"}"));
    model.next(ModelAnswer::words("done"));
    let mut talk = Conversation::new(gateway.client(), "", json!({"tools": [tool("f")]}));
    talk.messages = vec![json!({"role": "system", "content": "Call f."})];
    talk.ask().await?;
    // The same id in the next round, as some models number their calls.
    assert_eq!(talk.answer(&[("f:0", "one")]).await?.turn, "resumed");
    let response = talk.answer(&[("f:0", "two")]).await?;
    assert_eq!(
        (response.turn.as_str(), response.text.as_str()),
        ("resumed", "done")
    );
    Ok(())
}

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
}

/// A user's message, and an assistant's message with calls and their results for each of these lists.
fn rounds(rounds: &[&[&str]]) -> Vec<Value> {
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    for ids in rounds {
        let calls: Vec<_> = ids.iter().map(|id| call(id)).collect();
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        let result =
            |id: &&str| json!({"role": "tool", "tool_call_id": id, "content": format!("of {id}")});
        messages.extend(ids.iter().map(result));
    }
    messages
}

#[tokio::test]
async fn ids_that_the_api_refuses_are_digested_and_repeated_ones_are_apart() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with()
        .settings(NO_PARKING)
        .over_real(&model)
        .await?;
    let begin = "x".repeat(64);
    let (a, b, long) = (format!("{begin}a"), format!("{begin}b"), "y".repeat(1_324));
    let all: [&[&str]; 3] = [&["f:0", &begin], &["f:0"], &["f:0", &a, &b, &long, "a\nb"]];
    let mut before: Vec<(String, Value)> = Vec::new();
    for end in 1..=all.len() {
        let body = json!({"messages": rounds(&all[..end]), "tools": [tool("f")]});
        gateway.client().chat(body).await?.text()?;
        let request = model.call().await?;
        let outputs = request.outputs();
        let ids: Vec<_> = outputs.iter().map(|(id, _)| id.clone()).collect();
        let calls: Vec<_> = request.calls().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(calls, ids, "calls and results alike");
        let mut distinct = ids.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
        assert!(
            ids.iter().all(|id| id.len() <= 64 && !id.contains('\n')),
            "{ids:?}"
        );
        assert_eq!(ids[..2], ["f:0", begin.as_str()]);
        assert_eq!(outputs[..before.len()], before, "the same each time");
        before = outputs;
    }
    let outputs: Vec<_> = before.iter().map(|(_, output)| output.clone()).collect();
    let expected = all
        .concat()
        .iter()
        .map(|id| json!(format!("of {id}")))
        .collect::<Vec<_>>();
    assert_eq!(outputs, expected);
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_the_model_names_the_clients_field() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let tools = json!([tool("e"), tool("f")]);
    let rows = [
        ("input[1].call_id", json!({}), Some("messages")),
        (
            "tools[3].parameters",
            json!({"tools": tools}),
            Some("tools[1].function.parameters"),
        ),
        (
            "text.format.schema",
            json!({"response_format": schema}),
            Some("response_format.json_schema.schema"),
        ),
        (
            "reasoning.effort",
            json!({"reasoning": {"effort": "low"}}),
            Some("reasoning.effort"),
        ),
        ("model", json!({}), Some("model")),
        ("client_metadata", json!({}), None),
    ];
    for (upstream, body, field) in rows {
        for stream in [false, true] {
            let message = format!("Invalid '{upstream}' of 'f': no.");
            model.next(ModelAnswer::refused(upstream, &message));
            let mut body = body.clone();
            body["stream"] = json!(stream);
            let reply = gateway.client().chat(body).await?;
            assert_eq!(reply.status, 400, "{}", reply.body);
            assert_eq!(*reply.error("code"), "upstream_bad_request");
            assert_eq!(reply.error("param").as_str(), field, "{}", reply.body);
            let said = reply.error("message").as_str().unwrap_or_default();
            assert!(said.contains(&message), "{said}");
            let is_ours = said.contains(&format!("`{upstream}` is a field of the"));
            assert_eq!(is_ours, field != Some(upstream), "{said}");
        }
    }
    Ok(())
}

/// A schema as the client writes it, and as the model must receive it. None if it must be refused.
const SCHEMAS: [(&str, Option<&str>); 24] = [
    (
        r#"{"maximum":18446744073709551615}"#,
        Some(r#"{"maximum":18446744073709551615}"#),
    ),
    (
        r#"{"exclusiveMaximum":18446744073709551616}"#,
        Some(r#"{"exclusiveMaximum":18446744073709551616.0}"#),
    ),
    (
        r#"{"minimum":-9223372036854775808}"#,
        Some(r#"{"minimum":-9223372036854775808}"#),
    ),
    (
        r#"{"minimum":-9223372036854775809}"#,
        Some(r#"{"minimum":-9223372036854775809.0}"#),
    ),
    (
        r#"{"enum":[18446744073709551616,-9223372036854775809]}"#,
        Some(r#"{"enum":[18446744073709551616.0,-9223372036854775809.0]}"#),
    ),
    (
        r#"{"default":18446744073709551616}"#,
        Some(r#"{"default":18446744073709551616.0}"#),
    ),
    (
        r#"{"default":{"a":[170141183460469231731687303715884105727]}}"#,
        Some(r#"{"default":{"a":[170141183460469231731687303715884105727.0]}}"#),
    ),
    (
        r#"{"default":340282366920938463463374607431768211456}"#,
        Some(r#"{"default":340282366920938463463374607431768211456.0}"#),
    ),
    (
        r#"{"maximum":1E5,"minimum":1.5}"#,
        Some(r#"{"maximum":1e5,"minimum":1.5}"#),
    ),
    (r#"{"maximum":1e-400}"#, Some(r#"{"maximum":0.0}"#)),
    (r#"{"maximum":1E400}"#, None),
    (r#"{"maximum":-0}"#, Some(r#"{"maximum":0}"#)),
    (r#"{"maximum":-0.0}"#, Some(r#"{"maximum":-0.0}"#)),
    (
        r#"{"type":"string","type":"integer"}"#,
        Some(r#"{"type":"integer"}"#),
    ),
    (r#"{"default":{"$serde_json::private::Number":"7"}}"#, None),
    (r#"{"default":{"$serde_json::private::Number":"x"}}"#, None),
    (
        r#"{"properties":{"\u0024serde_json::private::RawValue":{"type":"string"}}}"#,
        None,
    ),
    (
        r#"{"default":"$serde_json::private::Number"}"#,
        Some(r#"{"default":"$serde_json::private::Number"}"#),
    ),
    (
        r#"{"properties":{"__proto__":{"type":"string"},"":{"type":"null"}}}"#,
        Some(r#"{"properties":{"__proto__":{"type":"string"},"":{"type":"null"}}}"#),
    ),
    (
        r#"{"description":"a\u0000b\ud83d\ude00\u2028"}"#,
        Some(r#"{"description":"a\u0000b\ud83d\ude00\u2028"}"#),
    ),
    (
        r#"{"description":"\ud83d"}"#,
        Some(r#"{"description":"\ufffd"}"#),
    ),
    (
        r#"{"\ude00":1,"ty\u0070e":"object"}"#,
        Some(r#"{"\ufffd":1,"type":"object"}"#),
    ),
    ("{\"a\" :\r\n\t[ 1 , true ] }", Some(r#"{"a":[1,true]}"#)),
    (
        r#"{"title":"attachment:0"}"#,
        Some(r#"{"title":"attachment:0"}"#),
    ),
];

#[tokio::test]
async fn schemas_reach_the_model_as_they_are_meant_or_are_refused_at_their_field() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let message = r#""model":"gpt-5.5","messages":[{"role":"user","content":"hi"}]"#;
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let (deepest, deeper) = (deep(64), deep(65));
    let deep = [
        (deepest.as_str(), Some(deepest.as_str())),
        (deeper.as_str(), None),
    ];
    for (schema, expected) in SCHEMAS.into_iter().chain(deep) {
        model.next(ModelAnswer::words("{}"));
        let format =
            format!(r#"{{"type":"json_schema","json_schema":{{"name":"a","schema":{schema}}}}}"#);
        let body = format!(r#"{{{message},"response_format":{format}}}"#);
        let reply = gateway.client().post(CHAT, body).await?;
        let Some(expected) = expected else {
            assert_eq!(reply.status, 400, "{schema}: {}", reply.body);
            assert_eq!(
                *reply.error("param"),
                "response_format.json_schema.schema",
                "{schema}"
            );
            continue;
        };
        assert_eq!(reply.status, 200, "{schema}: {}", reply.body);
        let request = model.call().await?;
        let format = request.format().context("no format")?;
        let expected: Value = serde_json::from_str(expected)?;
        assert_eq!(format["schema"], expected, "{schema}");
    }
    // Codex passes on only a part of a function's schema, so it suffices that it can be parsed.
    for (schema, expected) in SCHEMAS.into_iter().chain(deep) {
        let schema = format!(r#"{{"properties":{{"a":{schema}}}}}"#);
        let tools =
            format!(r#"[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#);
        let body = format!(r#"{{{message},"tools":{tools}}}"#);
        let reply = gateway.client().post(CHAT, body).await?;
        let fits = expected.is_some() && !schema.contains(&deepest);
        let outcome = (reply.status.as_u16(), reply.error("param").as_str());
        let refused = (400, Some("tools[0].function.parameters"));
        assert_eq!(
            outcome,
            if fits { (200, None) } else { refused },
            "{schema}: {}",
            reply.body
        );
    }
    Ok(())
}

#[tokio::test]
async fn half_a_surrogate_pair_reaches_the_model_as_the_replacement_character() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::with()
        .settings(NO_PARKING)
        .over_real(&model)
        .await?;
    let body = r#"{"model":"gpt-5.5","made\ud83d":1,"messages":[
        {"role":"system","content":"S\ud83d"},
        {"role":"user","content":[{"type":"text","text":"\ude00\ud83d \ud83d\ude00 \\ud83d"}]},
        {"role":"assistant","tool_calls":[{"id":"c\ud83d","type":"function","function":{"name":"f\ud83d","arguments":"{\"a\":\"\\ud83d \ud83d\"}"}}]},
        {"role":"tool","tool_call_id":"c\ud83d","content":"r\ud83d"}]"#;
    for stream in ["", r#","stream":true"#] {
        model.next(ModelAnswer::words("fine"));
        let reply = gateway
            .client()
            .post(CHAT, format!("{body}{stream}}}"))
            .await?;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let request = model.call().await?;
        let expected = [
            ("developer", "S\u{fffd}"),
            ("user", "\u{fffd}\u{fffd} \u{1f600} \\ud83d"),
        ];
        let expected = expected.map(|(role, text)| (role.to_owned(), text.to_owned()));
        assert_eq!(request.messages(), expected);
        let (_, _, arguments) = request.calls().pop().context("no call")?;
        assert_eq!(arguments, "{\"a\":\"\\ufffd \u{fffd}\"}");
        let (_, output) = request.outputs().pop().context("no result")?;
        assert_eq!(output, "r\u{fffd}");
    }
    Ok(())
}

#[tokio::test]
async fn the_hosts_name_of_an_image_is_words_in_a_clients_text() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let item = r#"{"type":"input_image","image_url":"attachment:0"}"#;
    let messages = json!([
        {"role": "system", "content": "attachment:0"},
        {"role": "user", "content": "attachment:0"},
        {"role": "assistant", "content": item},
        {"role": "user", "content": [{"type": "text", "text": "attachment:0"}, {"type": "text", "text": "attachment:1"}]},
    ]);
    let mut stream = gateway
        .client()
        .stream(json!({"messages": messages}))
        .await?;
    let frames = stream.frames().await?;
    assert_eq!(frames.last(), Some(&Frame::Done));
    let messages = model.call().await?.messages();
    let messages: Vec<_> = messages.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        messages,
        [
            "attachment:0",
            "attachment:0",
            item,
            "attachment:0attachment:1"
        ]
    );
    Ok(())
}
