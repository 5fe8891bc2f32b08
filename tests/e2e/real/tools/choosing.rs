//! `tool_choice`, formats of the answer, and wrong calls of the model.

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, tool};
use anyhow::{Context, Result};
use serde_json::json;

use super::{OSLO, WEATHER, asking, outcome};

#[tokio::test]
async fn a_required_call_is_demanded_and_made() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    let tools = json!([tool(WEATHER), tool("other")]);
    let response = asking(&gateway, json!({"tool_choice": "required", "tools": tools}))
        .ask()
        .await?;
    assert_eq!(response.ids(), ["call_1"]);
    let model_request = model.call().await?;
    assert_eq!(model_request.tool_names(), [WEATHER, "other"]);
    // Codex always sends `auto`, so the instructions must contain the requirement.
    let plain = asking(&gateway, json!({})).ask().await?;
    assert_eq!(plain.finish_reason, "stop");
    assert_ne!(
        model_request.instructions(),
        model.call().await?.instructions()
    );
    Ok(())
}

#[tokio::test]
async fn of_tools_only_the_named_one_is_offered() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    let more = json!({"tools": [tool("other"), tool(WEATHER)],
        "tool_choice": {"type": "function", "function": {"name": WEATHER}}});
    assert_eq!(asking(&gateway, more).ask().await?.ids(), ["call_1"]);
    let model_request = model.call().await?;
    assert_eq!(model_request.tool_names(), [WEATHER]);
    assert!(model_request.instructions().contains(WEATHER));
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_required_and_not_made_is_an_error() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::words("I would rather not."));
    let body = asking(&gateway, json!({"tool_choice": "required"})).request();
    let reply = gateway.client().chat(body).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("tool_choice_unmet")),
        "{}",
        reply.body
    );
    Ok(())
}

#[tokio::test]
async fn arguments_that_are_no_json_reach_the_client_as_written() -> Result<()> {
    for broken in [r#"{"city":"#, "", "not json"] {
        for streaming in [false, true] {
            let model = ScriptedModel::start().await?;
            let gateway = Gateway::over_real(&model).await?;
            model.next(ModelAnswer::new().call("call_1", WEATHER, broken));
            model.when_answered("call_1", ModelAnswer::words("I see."));
            let mut talk = asking(&gateway, json!({})).streaming(streaming);
            assert_eq!(talk.ask().await?.call()?.arguments, broken);
            let response = talk.answer(&[("call_1", "Error: no JSON")]).await?;
            assert_eq!(outcome(&response), ("rebuilt", "stop", "I see."));
            // Codex may have sent the model its own result before it was interrupted.
            let calls = model.calls();
            let last = calls.last().context("none")?;
            assert_eq!(last.calls()[0].2, broken);
            assert_eq!(last.outputs()[0].1, "Error: no JSON");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_that_nobody_offered_is_answered_by_codex() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("call_1", "nope", "{}"));
    model.next(ModelAnswer::words("Then not."));
    let response = asking(&gateway, json!({})).ask().await?;
    assert_eq!(outcome(&response), ("", "stop", "Then not."));
    let outputs = model
        .expect_calls(2)
        .await?
        .pop()
        .context("none")?
        .outputs();
    assert_eq!(outputs[0].1, "unsupported call: nope");
    Ok(())
}

#[tokio::test]
async fn an_answer_keeps_its_form_after_a_result() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    model.next(ModelAnswer::new().call("call_1", WEATHER, OSLO));
    model.next(ModelAnswer::words("{\"degrees\":7}"));
    let schema = json!({"type": "object", "properties": {"degrees": {"type": "integer"}},
        "required": ["degrees"], "additionalProperties": false});
    let format = json!({"type": "json_schema",
        "json_schema": {"name": "weather", "strict": true, "schema": schema}});
    let mut talk = asking(&gateway, json!({"response_format": format}));
    talk.ask().await?;
    let response = talk.answer(&[("call_1", "7")]).await?;
    assert_eq!(outcome(&response), ("resumed", "stop", "{\"degrees\":7}"));
    for call in model.expect_calls(2).await? {
        assert_eq!(call.format().context("no format")?["schema"], schema);
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_that_codex_cannot_read_is_the_clients_to_mend() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    for wrong in [
        json!({"type": "object", "required": true}),
        json!({"type": "object", "properties": {"a": {"type": "array", "items": []}}}),
    ] {
        let mut unread = tool("unread");
        unread["function"]["parameters"] = wrong;
        let tools = json!([tool(WEATHER), unread]);
        let reply = gateway.client().chat(json!({"tools": tools})).await?;
        assert_eq!(reply.status.as_u16(), 400, "{}", reply.body);
        assert_eq!(reply.error("code"), "invalid_function_parameters");
        assert_eq!(reply.error("param"), "tools[1].function.parameters");
    }
    assert!(model.calls().is_empty());
    Ok(())
}
