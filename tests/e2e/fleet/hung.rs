//! A hung child: turns that it has not begun move to another child, and those that it runs end once.

use airlock_tests::process::{Process, signal};
use airlock_tests::{FakeCodex, Frame, PATIENCE, Script};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::{complete, pid, spared};

#[tokio::test]
async fn a_turn_that_a_hung_child_has_not_begun_is_the_spares() -> Result<()> {
    // With a prewarmed thread, `turn/start` is the first message to the child.
    for ahead in ["0", "2"] {
        let fake = FakeCodex::start(Script::new())?;
        let gateway = spared()
            .environment("AIRLOCK_FLEET_WARM_THREADS", ahead)
            .over_fake(&fake)
            .await?;
        let admin = gateway.admin();
        complete(&admin).await?;
        // The second of two equal requests has a thread prewarmed for the next one.
        for question in ["zero", "one"] {
            let answer = gateway.client().ask(question).await?;
            assert_eq!(answer, format!("You said: {question}"));
        }
        if ahead != "0" {
            let waits = |fleet: &serde_json::Value| {
                let children = fleet["children"].as_array().into_iter().flatten();
                children
                    .clone()
                    .any(|child| child["warm_threads"].as_u64() > Some(0))
            };
            admin.fleet_is("a thread ahead", waits).await?;
        }
        let fleet = complete(&admin).await?;
        let (hung, spare) = (pid(&fleet, "serving")?, pid(&fleet, "spare")?);
        let process = Process::open(hung).context("the child that serves")?;
        signal(hung, Signal::STOP);
        // A child that has written something within the last 200 ms counts as alive.
        let is_quiet = |fleet: &serde_json::Value| {
            let mut children = fleet["children"].as_array().into_iter().flatten();
            children.any(|child| child["pid"] == hung && child["quiet_ms"].as_u64() > Some(200))
        };
        admin.fleet_is("a quiet child", is_quiet).await?;

        assert_eq!(gateway.client().ask("two").await?, "You said: two");
        let starts = fake.received("turn/start");
        assert_eq!(starts.len(), 3, "each turn began once: {starts:?}");
        let fleet = complete(&admin).await?;
        assert_eq!(pid(&fleet, "serving")?, spare);
        assert!(process.ended_within(PATIENCE)?);
        gateway.logged("codex does not respond").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hung_child_is_replaced_without_any_request() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = spared().over_fake(&fake).await?;
    let admin = gateway.admin();
    let fleet = complete(&admin).await?;
    let (hung, spare) = (pid(&fleet, "serving")?, pid(&fleet, "spare")?);
    signal(hung, Signal::STOP);
    let took = |fleet: &serde_json::Value| pid(fleet, "serving").is_ok_and(|pid| pid == spare);
    admin.fleet_is("the spare in its place", took).await?;
    Ok(())
}

#[tokio::test]
async fn a_turn_that_runs_on_a_hung_child_ends_once_and_is_not_run_again() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.text("Hel").hang()))?;
    let gateway = spared()
        .settings("[limits]\nheartbeat = \"1s\"")
        .over_fake(&fake)
        .await?;
    let fleet = complete(&gateway.admin()).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    signal(pid(&fleet, "serving")?, Signal::STOP);
    let frames = stream.frames().await?;
    let [failure, Frame::Done] = frames.as_slice() else {
        bail!("no error and [DONE]: {frames:?}")
    };
    assert_eq!(failure.error().context("no error")?["code"], "codex_exited");
    assert_eq!(fake.received("turn/start").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_child_that_was_stopped_for_a_while_ends_its_turns() -> Result<()> {
    let gate = airlock_tests::Gate::new();
    let script = Script::new().when("first", |turn| turn.text("Hel").hold(&gate).text("lo."));
    let fake = FakeCodex::start(script)?;
    let gateway = spared().over_fake(&fake).await?;
    let admin = gateway.admin();
    let fleet = complete(&admin).await?;
    let hung = pid(&fleet, "serving")?;
    let first = json!({"messages": [{"role": "user", "content": "first"}]});
    let mut stream = gateway.client().stream(first).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    signal(hung, Signal::STOP);
    // A request detects it, and the spare answers.
    assert_eq!(gateway.client().ask("second").await?, "You said: second");
    signal(hung, Signal::CONT);
    gate.open();
    assert_eq!(stream.text().await?, "lo.");
    fake.expect_end(hung).await?;
    complete(&admin).await?;
    Ok(())
}
