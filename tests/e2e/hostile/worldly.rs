//! Policies that import WASI: they get a clock that stands still, constant random bytes and an output to the log, and no access
//! to the machine.

use airlock_tests::policies::worldly;
use airlock_tests::{FakeCodex, Gateway, GatewayBuilder, Script};
use anyhow::{Context, Result};
use serde_json::Value;

fn with_worldly() -> Result<GatewayBuilder> {
    let gateway = Gateway::with()
        .administered()
        .environment("SECRET_OF_THE_HOST", "hush");
    Ok(gateway.policy_file("worldly.wasm", worldly()?))
}

#[tokio::test]
async fn a_policy_that_reaches_for_the_outside_gets_nothing_of_it() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = with_worldly()?.over_fake(&fake).await?;
    gateway.admin().activate("worldly", None).await?;
    let answer = gateway.client().ask("stamp:outside").await?;
    let (reached, said) = answer.split_once("} ").context("no report")?;
    assert_eq!(said, "You said: stamp:outside");
    let reached: Value = serde_json::from_str(&format!("{reached}}}"))?;
    for nothing in ["variables", "arguments", "input"] {
        assert_eq!(reached[nothing], 0, "{nothing}: {reached}");
    }
    for closed in ["read", "list", "write", "tcp", "udp", "name"] {
        let outcome = reached[closed].as_str().context("no outcome")?;
        assert_ne!(outcome, "got", "{closed}: {reached}");
    }
    for granted in ["random", "spoken"] {
        assert_eq!(reached[granted], true, "{granted}: {reached}");
    }
    assert_eq!(reached["clock"], false, "it stands still: {reached}");
    for line in ["stamp speaks to stdout", "stamp speaks to stderr"] {
        gateway.logged(line).await?;
    }
    assert!(!gateway.log().await?.contains("hush"));
    Ok(())
}

#[tokio::test]
async fn without_wasi_such_a_policy_is_refused() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = with_worldly()?.settings("[policies]\nwasi = false");
    let gateway = gateway.over_fake(&fake).await?;
    let reply = gateway.admin().try_activate("worldly", None).await?;
    let message = reply.error("message").as_str().unwrap_or_default();
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(
        message.contains("imports WASI, which `policies.wasi` forbids"),
        "{message}"
    );
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}
