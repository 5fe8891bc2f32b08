//! Responses that run without their client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use airlock_tests::{FakeCodex, Gate, Gateway, Script, soon};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{RESPONSES, body, create, events, get, id, request, text};

fn background(more: &Value) -> Value {
    let mut request = json!({"model": "default", "input": "hi", "background": true});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

/// Polls a response until it has this status.
async fn reach(gateway: &Gateway, path: &str, status: &str) -> Result<Value> {
    let polled = async {
        loop {
            let response = body(&get(gateway, path).await?)?;
            if response["status"] == status {
                return anyhow::Ok(response);
            }
        }
    };
    soon(&format!("a response that is {status}"), polled).await?
}

/// A turn that waits for the gate within its text.
fn held(gate: &Gate) -> Script {
    Script::new().turn(|turn| turn.text("Hel").hold(gate).text("lo"))
}

#[tokio::test]
async fn a_background_response_is_polled_to_its_end() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(held(&gate))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let begun = create(&gateway, background(&json!({}))).await?;
    assert_eq!(
        (&begun["status"], &begun["background"]),
        (&json!("queued"), &json!(true))
    );
    let path = format!("/v1/responses/{}", id(&begun)?);
    reach(&gateway, &path, "in_progress").await?;
    gate.open();
    let ended = reach(&gateway, &path, "completed").await?;
    assert_eq!(text(&ended), "Hello");
    // It was not created as a stream.
    let reply = get(&gateway, &format!("{path}?stream=true")).await?;
    assert_eq!(reply.status.as_u16(), 404, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_stream_is_resumed_at_any_number() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(held(&gate))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let request = background(&json!({"stream": true}));
    let mut stream = gateway.client().events(RESPONSES, &request).await?;
    let frame = stream.next().await?.unwrap();
    let first = frame.data().unwrap().clone();
    assert_eq!(
        (&first["type"], &first["sequence_number"]),
        (&json!("response.created"), &json!(0))
    );
    let path = format!("/v1/responses/{}", id(&first["response"])?);
    // The client leaves, and the response goes on.
    drop(stream);
    let open = async |after: &str| {
        let path = format!("{path}?stream=true{after}");
        gateway.client().follow(&path).await
    };
    let mut running = open("&starting_after=1").await?;
    gate.open();
    let resumed = events(&mut running).await?;
    let whole = events(&mut open("").await?).await?;
    assert_eq!(whole[0], first);
    assert_eq!(whole.last().unwrap()["type"], "response.completed");
    for (number, event) in whole.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number));
    }
    assert_eq!(resumed, whole[2..]);
    for after in 0..whole.len() {
        let mut rest = open(&format!("&starting_after={after}")).await?;
        assert_eq!(
            events(&mut rest).await?,
            whole[after + 1..],
            "after {after}"
        );
    }
    let wrong = get(&gateway, &format!("{path}?stream=true&starting_after=x")).await?;
    assert_eq!(
        (wrong.status.as_u16(), wrong.error("param")),
        (400, &json!("starting_after"))
    );
    Ok(())
}

#[tokio::test]
async fn a_cancelled_response_stays_cancelled() -> Result<()> {
    let script = Script::new().turn(|turn| turn.text("Hel").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let begun = create(&gateway, background(&json!({}))).await?;
    let path = format!("/v1/responses/{}", id(&begun)?);
    fake.expect("turn/start").await?;
    let cancel = async || body(&request(&gateway, Method::POST, &format!("{path}/cancel")).await?);
    let cancelled = cancel().await?;
    assert_eq!(cancelled["status"], "cancelled");
    fake.expect("turn/interrupt").await?;
    assert_eq!(cancel().await?, cancelled);
    assert_eq!(body(&get(&gateway, &path).await?)?, cancelled);
    // Of a response that ran for its client, nothing can be cancelled.
    let foreground = create(&gateway, json!({"model": "default", "input": "hi"})).await?;
    let path = format!("/v1/responses/{}/cancel", id(&foreground)?);
    assert_eq!(request(&gateway, Method::POST, &path).await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn a_response_that_waits_for_a_turn_can_be_cancelled_and_deleted() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .settings("[limits]\nturns = 1")
        .over_fake(&fake)
        .await?;
    let running = create(&gateway, background(&json!({}))).await?;
    fake.expect("turn/start").await?;
    let waiting = create(&gateway, background(&json!({}))).await?;
    let path = format!("/v1/responses/{}", id(&waiting)?);
    let cancelled = request(&gateway, Method::POST, &format!("{path}/cancel")).await?;
    assert_eq!(body(&cancelled)?["status"], "cancelled");
    let path = format!("/v1/responses/{}", id(&running)?);
    let deleted = body(&request(&gateway, Method::DELETE, &path).await?)?;
    assert_eq!(deleted["deleted"], json!(true));
    fake.expect("turn/interrupt").await?;
    assert_eq!(get(&gateway, &path).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_response_of_a_killed_gateway_has_failed() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("Hel").hang());
    let fake = FakeCodex::start(script)?;
    let folder = tempfile::tempdir()?;
    let start = async || {
        Gateway::with()
            .data_dir(folder.path())
            .over_fake(&fake)
            .await
    };
    let mut gateway = start().await?;
    let begun = create(&gateway, background(&json!({}))).await?;
    fake.expect("turn/start").await?;
    gateway.signal(rustix::process::Signal::KILL);
    gateway.ended().await?;
    let gateway = start().await?;
    let path = format!("/v1/responses/{}", id(&begun)?);
    let lost = body(&get(&gateway, &path).await?)?;
    assert_eq!(
        (&lost["status"], &lost["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_stops_ends_what_runs_in_the_background() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("Hel").hang());
    let fake = FakeCodex::start(script)?;
    let folder = tempfile::tempdir()?;
    let start = async |settings: &str| {
        Gateway::with()
            .data_dir(folder.path())
            .settings(settings)
            .over_fake(&fake)
            .await
    };
    let mut gateway = start("[limits]\ndrain = \"50ms\"").await?;
    let begun = create(&gateway, background(&json!({}))).await?;
    fake.expect("turn/start").await?;
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await?.success());
    let gateway = start("").await?;
    let path = format!("/v1/responses/{}", id(&begun)?);
    let failed = body(&get(&gateway, &path).await?)?;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["error"]["code"], "server_error", "{failed}");
    let message = failed["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("stopping"), "{failed}");
    Ok(())
}

#[tokio::test]
async fn a_failure_of_the_model_is_stored() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.fail("serverOverloaded", "busy"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let begun = create(&gateway, background(&json!({}))).await?;
    let path = format!("/v1/responses/{}", id(&begun)?);
    let failed = reach(&gateway, &path, "failed").await?;
    assert_eq!(failed["error"]["code"], "server_error", "{failed}");
    Ok(())
}
