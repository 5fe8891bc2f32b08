//! Responses that are retrieved, continued and deleted.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::{body, create, get, history, id, message, not_found, request, text};

#[tokio::test]
async fn a_response_is_retrieved_as_it_was_and_continued() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let asked = json!({"model": "default", "input": "One", "instructions": "Be brief."});
    let first = create(&gateway, asked).await?;
    assert_eq!(
        (first["store"].as_bool(), text(&first)),
        (Some(true), "You said: One".to_owned())
    );
    let path = format!("/v1/responses/{}", id(&first)?);
    assert_eq!(body(&get(&gateway, &path).await?)?, first);

    let next = json!({"model": "default", "input": "Two", "previous_response_id": first["id"]});
    let second = create(&gateway, next).await?;
    assert_eq!(second["previous_response_id"], first["id"]);
    assert_eq!(text(&second), "You said: Two");
    assert_eq!(
        history(&fake),
        [
            message("user", "One"),
            message("assistant", "You said: One")
        ]
    );
    let third = json!({"model": "default", "input": "Three", "previous_response_id": second["id"], "stream": true});
    let mut stream = gateway.client().events(super::RESPONSES, &third).await?;
    let events = super::events(&mut stream).await?;
    let completed = &events.last().unwrap()["response"];
    assert_eq!(text(completed), "You said: Three");
    assert_eq!(history(&fake).len(), 4);
    // Stored by the time at which the last event arrives.
    let path = format!("/v1/responses/{}", id(completed)?);
    assert_eq!(&body(&get(&gateway, &path).await?)?, completed);

    let listed = body(&get(&gateway, &format!("{path}/input_items?order=asc")).await?)?;
    let texts: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        ["One", "You said: One", "Two", "You said: Two", "Three"]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_stored_is_not_found_and_all_of_it_alike() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let forgotten = json!({"model": "default", "input": "One", "store": false});
    let forgotten = create(&gateway, forgotten).await?;
    let deleted = create(&gateway, json!({"model": "default", "input": "One"})).await?;
    let continued =
        json!({"model": "default", "input": "Two", "previous_response_id": deleted["id"]});
    let continued = create(&gateway, continued).await?;
    let path = format!("/v1/responses/{}", id(&deleted)?);
    let gone = body(&request(&gateway, Method::DELETE, &path).await?)?;
    assert_eq!(
        gone,
        json!({"id": deleted["id"], "object": "response", "deleted": true})
    );
    let mut bodies = Vec::new();
    for unknown in [id(&forgotten)?, id(&deleted)?, "resp_none"] {
        for method in [Method::GET, Method::DELETE] {
            let reply = request(&gateway, method, &format!("/v1/responses/{unknown}")).await?;
            not_found(&reply, unknown);
            bodies.push(reply.body.to_string().replace(unknown, "ID"));
        }
        let next = json!({"model": "default", "input": "Two", "previous_response_id": unknown});
        let reply = gateway
            .client()
            .post(super::RESPONSES, next.to_string())
            .await?;
        assert_eq!(reply.status.as_u16(), 400, "{}", reply.body);
        assert_eq!(reply.error("code"), &json!("previous_response_not_found"));
        assert_eq!(reply.error("param"), &json!("previous_response_id"));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Its items stay with the response that continues it.
    let next =
        json!({"model": "default", "input": "Three", "previous_response_id": continued["id"]});
    create(&gateway, next).await?;
    assert_eq!(history(&fake).len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_gateway_without_a_store_answers_that_nothing_is_stored() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .settings("[store]\nmode = \"off\"")
        .over_fake(&fake)
        .await?;
    let response = create(&gateway, json!({"model": "default", "input": "One"})).await?;
    assert_eq!(response["store"], json!(false));
    not_found(
        &get(&gateway, &format!("/v1/responses/{}", id(&response)?)).await?,
        "a response",
    );
    let background = json!({"model": "default", "input": "One", "background": true});
    let reply = gateway
        .client()
        .post(super::RESPONSES, background.to_string())
        .await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("param")),
        (400, &json!("background"))
    );
    Ok(())
}

#[tokio::test]
async fn stored_responses_outlive_a_killed_gateway() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let folder = tempfile::tempdir()?;
    let start = async || {
        Gateway::with()
            .data_dir(folder.path())
            .over_fake(&fake)
            .await
    };
    let mut gateway = start().await?;
    let response = create(&gateway, json!({"model": "default", "input": "One"})).await?;
    gateway.signal(rustix::process::Signal::KILL);
    gateway.ended().await?;
    let gateway = start().await?;
    let path = format!("/v1/responses/{}", id(&response)?);
    assert_eq!(body(&get(&gateway, &path).await?)?, response);
    Ok(())
}

#[tokio::test]
async fn calls_are_answered_by_the_id_of_their_response() -> Result<()> {
    let script = Script::new().turn(|turn| turn.call("call_1", "weather", "{}").text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": false}]);
    let first = json!({"model": "default", "input": "How is Oslo?", "tools": tools});
    let first = create(&gateway, first).await?;
    assert_eq!(first["output"][0]["type"], "function_call", "{first}");
    let output = json!([{"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "7 degrees"}]);
    let next = json!({"model": "default", "input": output, "tools": tools, "previous_response_id": first["id"]});
    let reply = gateway
        .client()
        .post(super::RESPONSES, next.to_string())
        .await?;
    assert_eq!(text(&body(&reply)?), "Cold.");
    assert_eq!(reply.header("x-airlock-turn"), "resumed");
    Ok(())
}
