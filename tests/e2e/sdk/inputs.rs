//! Unusual requests of the official Python package over the real Codex: the package's result, and the model's input.

use airlock_tests::images::{STILLS, data_url};
use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, soon};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{KEY, script, succeeded};

/// Sends a group of the script's inputs, and returns the lines that it prints.
async fn send(group: &str, model: &ScriptedModel) -> Result<Vec<Value>> {
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .over_real(model)
        .await?;
    let mut command = script("inputs.py", &[group], &gateway)?;
    let output = soon("the script's end", command.output()).await??;
    let printed = output.stdout.clone();
    succeeded(output)?;
    let lines = serde_json::Deserializer::from_slice(&printed).into_iter::<Value>();
    Ok(lines.collect::<Result<Vec<_>, _>>()?)
}

/// The line of an input.
fn line(input: &str, stream: bool, outcome: &Value) -> Value {
    let mut line = outcome.clone();
    line["input"] = json!(input);
    line["stream"] = json!(stream);
    line
}

/// The lines of an input that has one outcome, without streaming and streamed.
fn both(input: &str, outcome: &Value) -> [Value; 2] {
    [false, true].map(|stream| line(input, stream, outcome))
}

/// The outcome of a text that is complete.
fn answer(text: &str) -> Value {
    json!({"text": text, "calls": [], "finish_reason": "stop"})
}

/// The outcome of an HTTP error.
fn status(status: u16, code: Option<&str>, param: Option<&str>) -> Value {
    json!({"status": status, "code": code, "param": param})
}

/// The outcome of a stream that ends with an error after this text.
fn broken(text: &str, code: &str) -> Value {
    json!({"text": text, "error": code})
}

/// The outcome of a stream that is read line by line.
fn by_lines(text: &str) -> Value {
    let content_type = "text/event-stream; charset=utf-8";
    json!({"content_type": content_type, "text": text, "reasoning": "", "calls": "", "tabs": []})
}

/// A message as the model receives it.
fn message(role: &str, text: &str) -> Value {
    let kind = match role {
        "assistant" => "output_text",
        _ => "input_text",
    };
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

/// The conversation of each request to the model.
fn conversations(model: &ScriptedModel) -> Vec<Vec<Value>> {
    let calls = model.calls();
    calls.iter().map(|call| call.items()).collect()
}

/// A text by which Codex includes a skill.
const WORDS: [&str; 5] = [
    "draw with $imagegen",
    "use $skill-creator, then $openai-docs.",
    "```sh\necho $imagegen\n```",
    "\\$imagegen",
    "US$imagegenb",
];

#[tokio::test]
async fn nothing_stands_beside_a_message_with_names_of_skills() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let (mut expected, mut sent) = (Vec::new(), Vec::new());
    for word in WORDS {
        let reply = answer(&format!("You said: {word}"));
        expected.extend(both(word, &reply));
        expected.extend(both(&format!("{word}, with tools"), &reply));
        sent.extend([word; 4].map(|word| vec![message("user", word)]));
    }
    assert_eq!(send("words", &model).await?, expected);
    assert_eq!(conversations(&model), sent);
    let calls = model.calls();
    let tools: Vec<_> = calls
        .iter()
        .map(|call| call.tool_names().concat())
        .collect();
    assert_eq!(tools, ["", "", "f", "f"].repeat(WORDS.len()));
    Ok(())
}

#[tokio::test]
async fn a_conversation_without_a_users_message_is_answered() -> Result<()> {
    let model = ScriptedModel::start().await?;
    // The synthesis receives the candidates' answers.
    model.when("an old pond", ModelAnswer::words("merged"));
    model.when_instructed("Write a haiku.", ModelAnswer::words("an old pond"));
    let expected = [
        both("system", &answer("an old pond")),
        both("developer", &answer("an old pond")),
        both("system and assistant", &answer("an old pond")),
        both("fan-out", &answer("merged")),
    ];
    assert_eq!(send("instructions", &model).await?, expected.concat());
    let alone = vec![message("developer", "Write a haiku.")];
    let begun = [alone.clone(), vec![message("assistant", "Rain,")]].concat();
    let sent = [vec![alone.clone(); 4], vec![begun; 2], vec![alone; 4]].concat();
    let is_synthesis = |items: &Vec<Value>| items.last().is_some_and(|item| item["role"] == "user");
    let (syntheses, others): (Vec<_>, Vec<_>) =
        conversations(&model).into_iter().partition(is_synthesis);
    assert_eq!(others, sent);
    assert_eq!(syntheses.len(), 2);
    for items in syntheses {
        let instructions = items[0]["content"][0]["text"].as_str();
        let instructions = instructions.context("a synthesis without instructions")?;
        assert!(
            instructions.starts_with("Write a haiku.\n\n"),
            "{instructions}"
        );
    }
    Ok(())
}

/// The position of an image, the message that is answered, and the index of the message with the image.
const PLACES: [(&str, &str, usize); 3] = [
    ("in a message", "what is this?", 0),
    ("in history", "sure?", 0),
    ("in a result", "look", 2),
];

#[tokio::test]
async fn a_broken_image_and_the_gateways_name_of_one_are_refused() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let mut expected = Vec::new();
    for (place, sent, _) in PLACES {
        let reply = answer(&format!("You said: {sent}"));
        expected.extend(both(&format!("whole PNG {place}"), &reply));
    }
    for (image, code) in [
        ("PNG without its end", Some("image_parse_error")),
        ("name of a GIF", Some("image_parse_error")),
        ("first bytes of a JPEG", Some("image_parse_error")),
        ("attachment:0", None),
    ] {
        for (place, _, number) in PLACES {
            let param = format!("messages[{number}].content[1].image_url.url");
            let refused = status(400, code, Some(&param));
            expected.extend(both(&format!("{image} {place}"), &refused));
        }
    }
    let first = Some("messages[0].content[1].image_url.url");
    expected.extend(both("attachment:0 twice", &status(400, None, first)));
    let reply = answer("You said: attachment:0");
    expected.extend(both("attachment:0 as text", &reply));
    assert_eq!(send("images", &model).await?, expected);

    // The valid image reached the model each time, and the others never did.
    let (media_type, bytes) = STILLS[0];
    let url = data_url(media_type, bytes);
    let seen = |items: &Vec<Value>| json!(items).to_string().matches(&url).count();
    let sent = conversations(&model);
    assert_eq!(
        sent.iter().map(seen).collect::<Vec<_>>(),
        [1, 1, 1, 1, 1, 1, 0, 0]
    );
    let text = vec![message("user", "attachment:0")];
    assert_eq!(sent[6..], [text.clone(), text]);
    Ok(())
}

#[tokio::test]
async fn ids_of_calls_that_the_api_refuses_are_changed() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let reply = answer("You said: hi");
    let twice = status(400, None, Some("messages[1].tool_calls[1].id"));
    let expected = [
        both("repeated in a conversation", &reply),
        both("repeated in a message", &twice),
        both("long and of two lines", &reply),
    ];
    assert_eq!(send("ids", &model).await?, expected.concat());
    let calls = model.calls();
    let sent: Vec<_> = calls.iter().map(|call| call.outputs()).collect();
    assert_eq!(sent.len(), 4);
    assert_eq!(
        (&sent[0], &sent[2]),
        (&sent[1], &sent[3]),
        "each time the same"
    );
    for (call, outputs) in calls.iter().zip(&sent) {
        let called: Vec<_> = call.calls().into_iter().map(|(id, ..)| id).collect();
        let mut ids: Vec<_> = outputs.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(called, ids, "calls and results alike");
        let fits = |id: &String| id.len() <= 64 && !id.contains('\n');
        assert!(ids.iter().all(fits), "{ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), outputs.len(), "{outputs:?}");
    }
    assert_eq!((&*sent[0][0].0, &sent[2][0].0), ("f:0", &"x".repeat(64)));
    let results = sent
        .iter()
        .map(|outputs| outputs.iter().map(|(_, result)| result));
    let results: Vec<Vec<_>> = results.map(|of_one| of_one.collect()).collect();
    assert_eq!(results[0], ["one", "two"]);
    assert_eq!(results[2], ["of 0", "of 1", "of 2", "of 3", "of 4"]);
    Ok(())
}

/// Texts that some readers split or misread unless they are escaped in frames.
const TEXTS: [(&str, &str); 2] = [
    ("beyond ASCII", "Zoë 日本 😀"),
    (
        "ends of lines",
        "\u{2028} \u{2029} \u{85} \u{b} \u{c} \u{1c} \u{1d} \u{1e}",
    ),
];

#[tokio::test]
async fn text_beyond_ascii_arrives_whole_however_it_is_read() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let (mut expected, mut sent) = (Vec::new(), Vec::new());
    for (name, text) in TEXTS {
        let plain = format!("a {text} b");
        let reply = format!("You said: {plain}");
        let arguments = json!({"a": text}).to_string();
        let merged = format!("merged {text}");
        let (call, think) = (format!("call with {text}"), format!("think of {text}"));
        model.when(&call, ModelAnswer::new().call("call_1", "f", &arguments));
        model.when(&think, ModelAnswer::new().reasoning(text).text("thought"));
        model.when(&reply, ModelAnswer::words(&merged));

        expected.extend(both(name, &answer(&reply)));
        expected.push(line(&format!("{name}, by lines"), true, &by_lines(&reply)));
        let called = json!({"text": null, "calls": [arguments], "finish_reason": "tool_calls"});
        expected.extend(both(&format!("{name} in arguments"), &called));
        let mut called = by_lines("");
        called["calls"] = json!(arguments);
        let mut thought = by_lines("thought");
        thought["reasoning"] = json!(text);
        let mut gathered = by_lines(&merged);
        gathered["tabs"] = json!([reply, reply]);
        for (place, outcome) in [
            ("arguments", called),
            ("reasoning", thought),
            ("candidates", gathered),
        ] {
            let input = format!("{name} in {place}, by lines");
            expected.push(line(&input, true, &outcome));
        }
        let all = [
            vec![plain.clone(); 3],
            vec![call; 3],
            vec![think],
            vec![plain; 2],
        ];
        sent.extend(all.concat());
    }
    assert_eq!(send("text", &model).await?, expected);
    let calls = model.calls();
    let is_synthesis = |text: &String| text.contains("You said: ");
    let (syntheses, others): (Vec<_>, Vec<_>) = calls
        .iter()
        .map(|call| call.user_text())
        .partition(is_synthesis);
    assert_eq!(others, sent);
    assert_eq!(syntheses.len(), TEXTS.len());
    Ok(())
}

#[tokio::test]
async fn half_a_surrogate_pair_is_the_replacement_character() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let reply = answer("You said: hi");
    let expected = [
        both("content", &answer("You said: a\u{fffd}b")),
        both("result", &reply),
        both("key", &reply),
        both("name", &reply),
    ];
    assert_eq!(send("halves", &model).await?, expected.concat());
    let calls = model.calls();
    assert_eq!(calls.len(), 8);
    for call in &calls[..2] {
        assert_eq!(call.items(), [message("user", "a\u{fffd}b")]);
    }
    for call in &calls[2..4] {
        assert_eq!(call.outputs(), [("c".to_owned(), json!("a\u{fffd}b"))]);
    }
    for call in &calls[4..6] {
        let properties = &call.tools()[0]["parameters"]["properties"];
        assert_eq!(*properties, json!({"a\u{fffd}b": {"type": "string"}}));
    }
    for call in &calls[6..] {
        // A name with characters that Codex refuses is replaced.
        assert_eq!(call.tool_names(), ["f__c5c530a4"]);
    }
    Ok(())
}

#[tokio::test]
async fn what_the_model_writes_arrives_or_is_an_error() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let refusal = |answer: ModelAnswer, streamed| answer.refusal("I cannot help.", streamed);
    let new = ModelAnswer::new;
    model.when("refused in deltas", refusal(new(), true));
    model.when("refused at once", refusal(new(), false));
    model.when("refused after text", refusal(new().text("Well."), true));
    let mut expected = Vec::new();
    let empty = status(502, Some("empty_answer"), None);
    let incomplete = status(502, Some("incomplete_answer"), None);
    let cut = broken("Well.", "incomplete_answer");
    for (input, whole, streamed) in [
        ("refused in deltas", &empty, &empty),
        ("refused at once", &empty, &empty),
        ("refused after text", &incomplete, &cut),
    ] {
        for input in [input, &format!("{input}, with a schema")] {
            expected.push(line(input, false, whole));
            expected.push(line(input, true, streamed));
        }
    }
    // A tag with text after it cannot be inserted into a stream.
    let cut = broken("You said:  c", "stream_restarted");
    for (input, streamed) in [
        ("<oai-mem-citation>b", None),
        ("<oai-mem-citation>b</oai-mem-citation>", None),
        ("<oai-mem-citation>b</oai-mem-citation> c", Some(&cut)),
        ("\n<proposed_plan>\n- b\n</proposed_plan>\nc", None),
    ] {
        let reply = answer(&format!("You said: {input}"));
        expected.push(line(input, false, &reply));
        expected.push(line(input, true, streamed.unwrap_or(&reply)));
    }
    assert_eq!(send("answers", &model).await?, expected);
    // The model receives no request twice.
    assert_eq!(model.calls().len(), expected.len());
    Ok(())
}

/// Members of a schema, as the model must receive them.
const MEMBERS: [(&str, &str); 5] = [
    (
        "exclusiveMaximum",
        r#""exclusiveMaximum":18446744073709551616.0"#,
    ),
    ("minimum", r#""minimum":-9223372036854775809.0"#),
    ("enum", r#""enum":[18446744073709551616.0]"#),
    ("default", r#""default":18446744073709551616.0"#),
    (
        "64 bits",
        r#""minimum":-9223372036854775808,"maximum":18446744073709551615"#,
    ),
];

#[tokio::test]
async fn integers_beyond_64_bits_reach_the_model_in_schemas() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let reply = answer("You said: hi");
    let inputs =
        MEMBERS.map(|(name, _)| [format!("{name} in a format"), format!("{name} in a tool")]);
    let inputs = inputs.as_flattened().iter();
    let expected: Vec<_> = inputs.flat_map(|input| both(input, &reply)).collect();
    assert_eq!(send("numbers", &model).await?, expected);
    let calls = model.calls();
    assert_eq!(calls.len(), expected.len());
    for (calls, (name, member)) in calls.chunks(4).zip(MEMBERS) {
        let text =
            format!(r#"{{"type":"object","properties":{{"n":{{"type":"integer",{member}}}}}}}"#);
        let schema: Value = serde_json::from_str(&text)?;
        for call in &calls[..2] {
            let format = call.format().context("no format")?;
            assert_eq!(format["schema"], schema, "{name}");
        }
        for call in &calls[2..] {
            // The description contains the parts of a function's schema that Codex drops.
            let tool = &call.tools()[0];
            let described = tool["description"].as_str().unwrap_or_default();
            let is_complete = described.ends_with(&text) || tool["parameters"] == schema;
            assert!(is_complete, "{name}: {tool}");
        }
    }
    Ok(())
}
