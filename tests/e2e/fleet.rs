//! The children of Codex: spares, replacements, failures, orphans of an earlier gateway, and prewarmed threads.

mod hung; // children that do not respond
mod killed; // children killed at random
mod orphans; // processes of a killed gateway
mod prewarm; // threads before they are needed
mod replaced; // replaced children

use airlock_tests::{Admin, FakeCodex, Gateway, GatewayBuilder, Script, ScriptedResponse};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A gateway with a spare, and admin routes.
fn spared() -> GatewayBuilder {
    Gateway::with()
        .administered()
        .environment("AIRLOCK_FLEET_SPARE", "true")
}

/// The number of children in this state.
fn count(fleet: &Value, state: &str) -> usize {
    let children = fleet["children"].as_array().into_iter().flatten();
    children.filter(|child| child["state"] == state).count()
}

/// The process ID of the only child in this state.
pub(crate) fn pid(fleet: &Value, state: &str) -> Result<u32> {
    let mut children = fleet["children"].as_array().into_iter().flatten();
    let child = children.find(|child| child["state"] == state);
    let pid = child.and_then(|child| child["pid"].as_u64());
    Ok(u32::try_from(pid.context("no such child")?)?)
}

async fn complete(admin: &Admin) -> Result<Value> {
    let is = |fleet: &Value| count(fleet, "serving") == 1 && count(fleet, "spare") == 1;
    admin.fleet_is("one that serves and a spare", is).await
}

#[tokio::test]
async fn operators_see_the_children_and_what_they_do() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = spared().over_fake(&fake).await?;
    gateway.client().ask("hi").await?;
    let fleet = complete(&gateway.admin()).await?;
    assert_eq!(
        fleet["circuit"],
        json!({"state": "closed", "failures": 0, "retry_in_ms": 0, "problem": null})
    );
    assert_eq!(
        (&fleet["threads"], &fleet["started"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(fleet["turns"]["capacity"], fleet["turns"]["limit"]);
    let metrics = gateway.admin().metrics().await?;
    for line in [
        r#"airlock_codex_children{state="serving"} 1"#,
        r#"airlock_codex_children{state="spare"} 1"#,
        r#"airlock_codex_children{state="leaving"} 0"#,
        "airlock_codex_starts_total 2",
        "airlock_codex_threads_total 1",
        r#"airlock_codex_replaced_total{reason="threads"} 0"#,
        "airlock_codex_circuit_open 0",
    ] {
        assert!(
            metrics.lines().any(|it| it == line),
            "no {line} in\n{metrics}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_spare_takes_the_place_of_one_that_is_killed() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = spared().over_fake(&fake).await?;
    let admin = gateway.admin();
    let fleet = complete(&admin).await?;
    let (killed, spare) = (pid(&fleet, "serving")?, pid(&fleet, "spare")?);
    airlock_tests::process::signal(killed, rustix::process::Signal::KILL);
    fake.expect_end(killed).await?;
    assert_eq!(
        gateway.client().ask("still there?").await?,
        "You said: still there?"
    );
    let fleet = complete(&admin).await?;
    assert_eq!(pid(&fleet, "serving")?, spare);
    assert_eq!(fleet["started"], 3);
    Ok(())
}

#[tokio::test]
async fn turns_go_to_the_child_that_has_the_fewest() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("here").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .administered()
        .settings("[fleet]\nchildren = 3")
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    admin
        .fleet_is("three children", |fleet| count(fleet, "serving") == 3)
        .await?;
    let mut streams = Vec::new();
    for _ in 0..6 {
        let mut stream = gateway.client().stream(json!({})).await?;
        assert_eq!(stream.next_text().await?, "here");
        streams.push(stream);
    }
    let fleet = admin.fleet().await?;
    let turns: Vec<_> = fleet["children"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|child| &child["turns"])
        .collect();
    assert_eq!(turns, [2, 2, 2]);
    assert_eq!(fleet["turns"]["running"], 6);
    Ok(())
}

#[tokio::test]
async fn the_circuit_opens_after_repeated_failures_and_closes_by_a_probe() -> Result<()> {
    let mut script = Script::new();
    for _ in 0..4 {
        script = script.answer("initialize", ScriptedResponse::Exit(1));
    }
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with().administered().over_fake(&fake).await?;
    let admin = gateway.admin();
    let fleet = admin
        .fleet_is("an open circuit", |fleet| {
            fleet["circuit"]["state"] != "closed"
        })
        .await?;
    assert!(fleet["circuit"]["failures"].as_u64() >= Some(3), "{fleet}");
    assert!(
        fleet["circuit"]["problem"]
            .as_str()
            .is_some_and(|it| it.contains("airlock doctor"))
    );
    // `/readyz` responds at once while the circuit is open, without a probe.
    let reply = gateway.client().get("/readyz").await?;
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.body);
    admin
        .fleet_is("a closed circuit", |fleet| {
            fleet["circuit"]["state"] == "closed"
        })
        .await?;
    assert_eq!(gateway.client().ask("again").await?, "You said: again");
    Ok(())
}

#[tokio::test]
async fn a_codex_that_does_not_keep_up_gets_fewer_turns_at_once() -> Result<()> {
    let script = Script::new().answer("thread/start", ScriptedResponse::overloaded());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::with()
        .administered()
        .settings("[limits]\nturns = 40")
        .over_fake(&fake)
        .await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    let fewer = |fleet: &Value| fleet["turns"]["capacity"] == 30;
    let fleet = gateway.admin().fleet_is("fewer turns", fewer).await?;
    assert_eq!(
        (&fleet["turns"]["limit"], &fleet["turns"]["running"]),
        (&json!(40), &json!(0))
    );
    Ok(())
}

/// A Codex that is killed the first `times` that it runs with `--version`, and is `fake` after that.
fn killed_at_first(fake: &FakeCodex, times: usize) -> Result<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let program = fake.folder().join("killed");
    let count = fake.folder().join("count");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then\n  echo x >> '{0}'\n  [ \"$(wc -l < '{0}')\" -gt {times} ] || kill -KILL $$\nfi\nexec '{1}' \"$@\"\n",
        count.display(),
        fake.binary().display()
    );
    std::fs::write(&program, text)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

#[tokio::test]
async fn a_codex_that_is_killed_as_it_prints_its_version_is_started_again() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with().over(killed_at_first(&fake, 1)?).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    let log = gateway.log().await?;
    assert!(
        log.contains("--version ended with signal: 9 (SIGKILL)"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_codex_that_is_killed_again_and_again_fails_and_is_not_missing() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let program = killed_at_first(&fake, 1000)?;
    let gateway = Gateway::with().administered().over(program).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (
            reply.status.as_u16(),
            reply.error("code"),
            reply.header("retry-after")
        ),
        (503, &json!("codex_failing"), "10"),
        "{}",
        reply.body
    );
    let status = gateway.client().get("/api/codex/status").await?.body;
    assert_eq!(
        (
            &status["installed"],
            &status["version"],
            status.get("install")
        ),
        (&json!(true), &json!(null), None),
        "{status}"
    );
    assert!(
        status["problem"]
            .to_string()
            .contains("Codex does not start"),
        "{status}"
    );
    Ok(())
}
