//! Requests as they reach the model through the real Codex, and the responses.

use airlock_tests::{Frame, Gate, Gateway, ModelAnswer, ScriptedModel, Usage};
use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

/// A PNG of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn a_question_is_answered_whole_and_streamed() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let usage = Usage {
        input: 50,
        cached: 20,
        output: 30,
        reasoning: 10,
    };
    model.next(ModelAnswer::words("Hello from the model.").usage(Some(usage)));
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.text()?, "Hello from the model.");
    let usage = &reply.body["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(50), &json!(30))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 20);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 10);

    // Held in the middle: the earlier text arrives before the rest is sent.
    let gate = Gate::new();
    model.next(ModelAnswer::new().text("Hel").hold(&gate).text("lo."));
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    gate.open();
    let frames = stream.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "lo.");
    assert_eq!(
        frames.iter().map(Frame::finish_reason).collect::<String>(),
        "stop"
    );
    assert_eq!(frames.last(), Some(&Frame::Done));
    let authorization = model.call().await?.authorization;
    assert_eq!(
        authorization.as_deref(),
        Some(format!("Bearer {}", airlock_tests::model::KEY).as_str())
    );
    Ok(())
}

#[tokio::test]
async fn a_conversation_reaches_the_model_in_order() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let messages = json!([
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]);
    let reply = gateway.client().chat(json!({"messages": messages})).await?;
    assert_eq!(reply.text()?, "You said: three");
    let call = model.call().await?;
    let messages = call.messages();
    let messages: Vec<_> = messages
        .iter()
        .map(|(role, text)| (role.as_str(), text.as_str()))
        .collect();
    let [(first, instructions), rest @ ..] = messages.as_slice() else {
        anyhow::bail!("nothing was said")
    };
    assert_eq!(*first, "developer");
    assert!(instructions.contains("You are terse."), "{instructions}");
    assert!(
        instructions.len() < 2000,
        "Codex's own instructions are replaced: {} bytes",
        instructions.len()
    );
    assert_eq!(
        rest,
        [("user", "one"), ("assistant", "two"), ("user", "three")]
    );
    Ok(())
}

#[tokio::test]
async fn a_conversation_that_ends_with_the_assistant_is_continued() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::words("a time"));
    let messages =
        json!([{"role": "user", "content": "Once"}, {"role": "assistant", "content": "upon"}]);
    assert_eq!(
        gateway
            .client()
            .chat(json!({"messages": messages}))
            .await?
            .text()?,
        "a time"
    );
    let messages = model.call().await?.messages();
    assert_eq!(
        messages.last(),
        Some(&("assistant".to_owned(), "upon".to_owned()))
    );
    Ok(())
}

#[tokio::test]
async fn a_schema_becomes_the_models_format() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::words("{\"answer\":4}"));
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
    assert_eq!(
        gateway
            .client()
            .chat(json!({"response_format": format}))
            .await?
            .text()?,
        "{\"answer\":4}"
    );
    let format = model.call().await?.body["text"]["format"].take();
    assert_eq!(
        (&format["type"], &format["strict"]),
        (&json!("json_schema"), &json!(true))
    );
    assert_eq!(format["schema"], schema);
    Ok(())
}

#[tokio::test]
async fn an_image_reaches_the_model() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let image = json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]);
    let messages = json!([{"role": "user", "content": image}, {"role": "assistant", "content": "a pixel"},
        {"role": "user", "content": image}]);
    gateway
        .client()
        .chat(json!({"messages": messages}))
        .await?
        .text()?;
    let call = model.call().await?;
    let images = call.body["input"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|item| item["content"].as_array())
        .flatten()
        .filter(|part| part["type"] == "input_image")
        .count();
    assert_eq!(
        images, 2,
        "one in the history and one in the question: {}",
        call.body["input"]
    );
    Ok(())
}

#[tokio::test]
async fn reasoning_and_effort_go_there_and_back() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(
        ModelAnswer::new()
            .reasoning("First ")
            .reasoning("think.")
            .text("Then speak."),
    );
    let body = json!({"reasoning_effort": "high", "reasoning": {"summary": "detailed"}});
    let frames = gateway.client().stream(body).await?.frames().await?;
    assert_eq!(
        frames.iter().map(Frame::reasoning).collect::<String>(),
        "First think."
    );
    assert_eq!(
        frames.iter().map(Frame::text).collect::<String>(),
        "Then speak."
    );
    let call = model.call().await?;
    assert_eq!(call.body["reasoning"]["effort"], "high");
    assert_eq!(call.body["reasoning"]["summary"], "detailed");
    Ok(())
}

#[tokio::test]
async fn several_messages_and_messages_without_deltas_arrive_once() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.otherwise(
        ModelAnswer::new()
            .message(Some("commentary"))
            .text("Let me see.")
            .message(Some("final_answer"))
            .text("It ")
            .text("is 4."),
    );
    assert_eq!(
        gateway.client().ask("2+2?").await?,
        "Let me see.\n\nIt is 4."
    );
    assert_eq!(
        gateway.client().stream(json!({})).await?.text().await?,
        "Let me see.\n\nIt is 4."
    );
    model.otherwise(ModelAnswer::new().whole("All at once.").usage(None));
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.text()?, "All at once.");
    assert_eq!(
        reply.body.get("usage").unwrap_or(&Value::Null),
        &Value::Null
    );
    Ok(())
}

#[tokio::test]
async fn models_are_codexs_own_and_a_providers_others_are_passed_on() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let list = gateway.client().get("/v1/models").await?;
    let ids: Vec<_> = list.body["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert!(ids.contains(&"gpt-5.5"), "{ids:?}");
    let reply = gateway
        .client()
        .chat(json!({"model": "somebodys-own-model"}))
        .await?;
    assert_eq!(reply.text()?, "You said: hi");
    assert_eq!(model.call().await?.body["model"], "somebodys-own-model");
    Ok(())
}

#[tokio::test]
async fn the_model_gets_no_tools_of_the_machine() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    gateway.client().ask("hi").await?;
    let call = model.call().await?;
    let tools: Vec<_> = call.body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str().or(tool["type"].as_str()))
        .collect();
    for dangerous in [
        "shell",
        "exec_command",
        "local_shell",
        "web_search",
        "view_image",
        "write_stdin",
    ] {
        assert!(!tools.contains(&dangerous), "{tools:?}");
    }
    let size = call.body.to_string().len();
    assert!(size < 16 << 10, "Codex adds {size} bytes to two letters");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_streams_at_once_keep_apart() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    let client = gateway.client();
    let all = (0..20).map(|number| async move {
        let question = format!("this is question {number} of twenty");
        let messages = json!([{"role": "user", "content": question}]);
        let text = client
            .stream(json!({"messages": messages}))
            .await?
            .text()
            .await?;
        anyhow::ensure!(
            text == format!("You said: {question}"),
            "{question}: {text}"
        );
        Ok(())
    });
    try_join_all(all).await?;
    assert_eq!(model.calls().len(), 20);
    Ok(())
}
