//! Every output of the model reaches the client, or is an error.

use airlock_tests::{FanOut, Frame, Gateway, ModelAnswer, ScriptedModel, tool};
use anyhow::Result;
use serde_json::{Value, json};

/// A tag that Codex removes from the model's text, with its content.
const OPEN: &str = "<oai-mem-citation>";
const CLOSE: &str = "</oai-mem-citation>";

/// The whole response, and the frames of the same response as a stream.
async fn both(
    model: &ScriptedModel,
    gateway: &Gateway,
    answer: ModelAnswer,
    more: Value,
) -> Result<(String, Vec<Frame>)> {
    model.otherwise(answer);
    let reply = gateway.client().chat(more.clone()).await?;
    anyhow::ensure!(reply.status == 200, "{}", reply.body);
    let whole = reply.text()?.to_owned();
    let frames = gateway.client().stream(more).await?.frames().await?;
    Ok((whole, frames))
}

/// The text of a stream, and its finish reason or error code.
fn ended(frames: &[Frame]) -> (String, String) {
    let text = frames.iter().map(Frame::text).collect();
    let reason: String = frames.iter().map(Frame::finish_reason).collect();
    let error = frames
        .iter()
        .find_map(|frame| frame.error()?["code"].as_str());
    (text, error.map_or(reason, str::to_owned))
}

#[tokio::test]
async fn tags_of_the_model_reach_the_client() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let tools = json!({"tools": [tool("f")]});
    // Codex keeps these, or cuts them up to the end; the cut text is delivered once the message is complete.
    let whole = [
        format!("A {OPEN}b"),
        format!("A {OPEN}b{CLOSE}"),
        format!("A {OPEN}b{OPEN}c"),
        format!("{OPEN}only"),
        format!("{OPEN}only{CLOSE}"),
        format!("{OPEN}{CLOSE}"),
        format!("A {OPEN}{OPEN}b{CLOSE}"),
        format!("A {CLOSE} b"),
        "A <oai-mem-".to_owned(),
        "A <OAI-MEM-CITATION>b</OAI-MEM-CITATION> c".to_owned(),
        "A <citation>b</citation> c".to_owned(),
        "A\n<proposed_plan>\n- b\n</proposed_plan>\nc".to_owned(),
        "A <think>b</think> \u{e200}cite\u{e202}turn0search0\u{e201} c【1†d】".to_owned(),
        "\n  A\u{2028}\u{0}\u{1b}[1m \r\n\n".to_owned(),
    ];
    for text in &whole {
        for more in [json!({}), tools.clone()] {
            let (response, frames) = both(&model, &gateway, ModelAnswer::words(text), more).await?;
            assert_eq!(response, *text);
            assert_eq!(ended(&frames), (text.clone(), "stop".to_owned()));
        }
    }
    // Text that was cut before other text cannot be inserted into a stream.
    let cut = [
        (format!("A {OPEN}b{CLOSE} c"), "A  c"),
        (format!("{OPEN}a{CLOSE}B"), "B"),
        (
            format!("A {OPEN}b{OPEN}c{CLOSE}d{CLOSE} e"),
            "A d</oai-mem-citation> e",
        ),
        (format!("A{OPEN}b{CLOSE}C{OPEN}d{CLOSE}E{OPEN}f"), "ACE"),
    ];
    for (text, left) in &cut {
        for more in [json!({}), tools.clone()] {
            let (response, frames) = both(&model, &gateway, ModelAnswer::words(text), more).await?;
            assert_eq!(response, *text);
            assert_eq!(
                ended(&frames),
                ((*left).to_owned(), "stream_restarted".to_owned())
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tag_may_be_cut_anywhere_into_deltas() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let text = format!("A {OPEN}b{CLOSE}");
    for at in 1..text.len() {
        let answer = ModelAnswer::new().text(&text[..at]).text(&text[at..]);
        let (response, frames) = both(&model, &gateway, answer, json!({})).await?;
        assert_eq!(response, text);
        assert_eq!(ended(&frames), (text.clone(), "stop".to_owned()), "{at}");
    }
    let letters = |text: &str| text.split("").fold(ModelAnswer::new(), ModelAnswer::text);
    let (response, frames) = both(&model, &gateway, letters(&text), json!({})).await?;
    assert_eq!(
        (response, ended(&frames)),
        (text.clone(), (text.clone(), "stop".to_owned()))
    );
    // As one item without deltas, and between other messages.
    let answer = ModelAnswer::new()
        .whole(text.clone())
        .message(Some("commentary"))
        .text(&text)
        .message(Some("final_answer"))
        .text(&text);
    let (response, frames) = both(&model, &gateway, answer, json!({})).await?;
    let all = [text.as_str(); 3].join("\n\n");
    assert_eq!(
        (response, ended(&frames)),
        (all.clone(), (all, "stop".to_owned()))
    );
    Ok(())
}

#[tokio::test]
async fn a_tag_within_json_is_part_of_it() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let text = json!({"a": format!("{OPEN}b{CLOSE}")}).to_string();
    let format = json!({"response_format": {"type": "json_object"}});
    let (response, frames) = both(&model, &gateway, ModelAnswer::words(&text), format).await?;
    assert_eq!(response, text);
    assert_eq!(ended(&frames).1, "stream_restarted");
    Ok(())
}

#[tokio::test]
async fn tags_of_candidates_reach_the_synthesis_and_the_client() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let draft = format!("A draft {OPEN}b{CLOSE} c");
    let merged = format!("Merged {OPEN}d{CLOSE}");
    model.when("A draft", ModelAnswer::words(&merged));
    model.otherwise(ModelAnswer::words(&draft));
    let response = gateway.client().fan_out(2, json!({})).await?;
    assert_eq!(
        (response.text.as_str(), response.finish_reason.as_str()),
        (merged.as_str(), "stop")
    );
    let synthesis = model.expect_calls(3).await?;
    let said: Vec<_> = synthesis
        .iter()
        .map(|call| call.user_text().matches(&draft).count())
        .collect();
    assert_eq!(said, [0, 0, 2]);
    closes(&response, &draft);
    let first = json!({"airlock": {"synthesis": "first"}});
    let response = gateway.client().fan_out(2, first).await?;
    assert_eq!(
        (response.text.as_str(), response.finish_reason.as_str()),
        (draft.as_str(), "stop")
    );
    Ok(())
}

/// Checks that both candidates end with this text.
fn closes(response: &FanOut, text: &str) {
    for candidate in [1, 2] {
        assert_eq!(response.closed(candidate), Some(text));
    }
}

#[tokio::test]
async fn a_refusal_is_not_an_empty_answer() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
        "additionalProperties": false});
    let formats = [
        json!({}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": schema}}}),
        json!({"tools": [tool("f")]}),
    ];
    let mut requested = 0;
    let refused = |streamed| ModelAnswer::new().refusal("I cannot help.", streamed);
    let unknown = ModelAnswer::new().item(json!({"type": "unheard_of", "id": "x", "text": "hi"}));
    for answer in [refused(true), refused(false), unknown] {
        model.otherwise(answer);
        for format in &formats {
            for streaming in [false, true] {
                let mut body = format.clone();
                body["stream"] = json!(streaming);
                let reply = gateway.client().chat(body).await?;
                requested += 1;
                assert_eq!(
                    (reply.status.as_u16(), reply.error("code")),
                    (502, &json!("empty_answer")),
                    "{}",
                    reply.body
                );
            }
        }
    }
    for answer in [
        ModelAnswer::new().text("Well.").refusal("No.", true),
        ModelAnswer::new()
            .text("Well.")
            .message(None)
            .refusal("No.", true),
    ] {
        model.otherwise(answer);
        let reply = gateway.client().chat(json!({})).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("incomplete_answer"))
        );
        let frames = gateway.client().stream(json!({})).await?.frames().await?;
        assert_eq!(
            ended(&frames),
            ("Well.".to_owned(), "incomplete_answer".to_owned())
        );
        requested += 2;
    }
    // Codex does not retry.
    assert_eq!(model.calls().len(), requested);
    Ok(())
}
