//! Threads that are started before a request needs them.

use std::collections::HashSet;

use airlock_tests::{FakeCodex, Gateway, GatewayBuilder, Script, tool};
use anyhow::Result;
use serde_json::{Value, json};

fn prewarming() -> GatewayBuilder {
    Gateway::with()
        .administered()
        .environment("AIRLOCK_FLEET_WARM_THREADS", "2")
}

fn waiting(threads: u64) -> impl Fn(&Value) -> bool {
    move |fleet| fleet["children"][0]["warm_threads"] == threads
}

#[tokio::test]
async fn a_request_finds_a_thread_that_is_just_like_the_last_ones() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = prewarming().over_fake(&fake).await?;
    let (client, admin) = (gateway.client(), gateway.admin());
    let asking = |system: &str, text: &str| {
        json!({"model": "gpt-5.5", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": text}]})
    };
    for text in ["one", "two"] {
        client.chat(asking("Be kind.", text)).await?;
    }
    admin.fleet_is("a thread ahead", waiting(1)).await?;
    let started = fake.received("thread/start");
    assert_eq!(started.len(), 3);
    assert_eq!(started[2]["params"], started[0]["params"]);
    let reply = client.chat(asking("Be kind.", "three")).await?;
    assert_eq!(
        (reply.text()?, &reply.body["model"]),
        ("You said: three", &json!("gpt-5.5"))
    );
    // The request got the prewarmed thread, and another is prewarmed for the next.
    admin.fleet_is("another thread ahead", waiting(1)).await?;
    assert_eq!(fake.received("thread/start").len(), 4);
    client.chat(asking("Be cruel.", "four")).await?;
    let started = fake.received("thread/start");
    assert_eq!(started.len(), 5);
    let instructions = started[4]["params"]["baseInstructions"].to_string();
    assert!(instructions.contains("Be cruel."), "{instructions}");
    let turns = fake.received("turn/start");
    let threads: HashSet<_> = turns
        .iter()
        .map(|it| it["params"]["threadId"].to_string())
        .collect();
    assert_eq!(threads.len(), 4, "no thread has two turns");
    Ok(())
}

#[tokio::test]
async fn a_request_with_tools_finds_one_that_has_just_these() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = prewarming().over_fake(&fake).await?;
    let (client, admin) = (gateway.client(), gateway.admin());
    let asking = |name: &str| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        json!({"tools": [tool(name)], "messages": messages})
    };
    for name in ["one", "other", "one", "other"] {
        client.chat(asking(name)).await?;
    }
    admin.fleet_is("a thread ahead of each", waiting(2)).await?;
    client.chat(asking("one")).await?;
    admin.fleet_is("a thread ahead of each", waiting(2)).await?;
    let started = fake.received("thread/start");
    let named = |tool: &str| {
        let tools = started
            .iter()
            .map(|it| &it["params"]["dynamicTools"][0]["name"]);
        tools.filter(|name| **name == tool).count()
    };
    assert_eq!((named("one"), named("other")), (4, 3));
    Ok(())
}
