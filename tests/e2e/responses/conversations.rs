//! Conversations: their routes, and responses that continue them.

use airlock_tests::{FakeCodex, Gate, Gateway, Script, soon};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{RESPONSES, body, create, get, history, id, message, not_found, request};

async fn post(gateway: &Gateway, path: &str, request: &Value) -> Result<Value> {
    body(&gateway.client().post(path, request.to_string()).await?)
}

#[tokio::test]
async fn a_conversation_grows_with_its_responses() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    let items = json!([{"type": "message", "role": "user", "content": "One"}]);
    let made = json!({"metadata": {"topic": "a"}, "items": items});
    let conversation = post(&gateway, "/v1/conversations", &made).await?;
    assert_eq!(
        (&conversation["object"], &conversation["metadata"]),
        (&json!("conversation"), &json!({"topic": "a"}))
    );
    let path = format!("/v1/conversations/{}", id(&conversation)?);
    assert_eq!(body(&get(&gateway, &path).await?)?, conversation);
    let next = json!({"model": "default", "input": "Two", "conversation": conversation["id"]});
    let response = create(&gateway, next).await?;
    assert_eq!(response["conversation"]["id"], conversation["id"]);
    assert_eq!(history(&fake), [message("user", "One")]);
    let next =
        json!({"model": "default", "input": "Three", "conversation": {"id": conversation["id"]}});
    create(&gateway, next).await?;
    let said = message("assistant", "You said: Two");
    assert_eq!(
        history(&fake),
        [message("user", "One"), message("user", "Two"), said]
    );

    let listed = body(&get(&gateway, &format!("{path}/items?order=asc&limit=2")).await?)?;
    assert_eq!(
        (
            listed["data"].as_array().unwrap().len(),
            &listed["has_more"]
        ),
        (2, &json!(true))
    );
    let item = format!("{path}/items/{}", id(&listed["data"][1])?);
    assert_eq!(body(&get(&gateway, &item).await?)?, listed["data"][1]);
    let left = body(&request(&gateway, Method::DELETE, &item).await?)?;
    assert_eq!(left["id"], conversation["id"]);
    not_found(&get(&gateway, &item).await?, "a deleted item");
    let added = json!({"items": [{"type": "message", "role": "user", "content": "Four"}]});
    post(&gateway, &format!("{path}/items"), &added).await?;
    let all = body(&get(&gateway, &format!("{path}/items?limit=100")).await?)?;
    assert_eq!(all["data"].as_array().unwrap().len(), 5, "{all}");

    let changed = post(&gateway, &path, &json!({"metadata": {"topic": "b"}})).await?;
    assert_eq!(changed["metadata"], json!({"topic": "b"}));
    let deleted = body(&request(&gateway, Method::DELETE, &path).await?)?;
    assert_eq!(
        deleted,
        json!({"id": conversation["id"], "object": "conversation.deleted", "deleted": true})
    );
    not_found(&get(&gateway, &path).await?, "a deleted conversation");
    Ok(())
}

#[tokio::test]
async fn a_conversation_is_used_by_one_response_at_a_time() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("a").hold(&gate)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let conversation = post(&gateway, "/v1/conversations", &json!({})).await?;
    let next = json!({"model": "default", "input": "hi", "conversation": conversation["id"]});
    let running = create(&gateway, next.clone());
    let busy = async {
        fake.expect("turn/start").await?;
        let reply = gateway.client().post(RESPONSES, next.to_string()).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (400, &json!("conversation_locked"))
        );
        gate.open();
        anyhow::Ok(())
    };
    let (ran, refused) = soon(
        "both responses",
        Box::pin(async { tokio::join!(running, busy) }),
    )
    .await?;
    refused?;
    ran?;
    create(&gateway, next).await?;
    Ok(())
}
