//! The start and the end, orderly or not, of the gateway and of the Codex under it.

use std::path::PathBuf;
use std::time::Duration;

use airlock_tests::{FakeCodex, Frame, Gate, Gateway, Script, ScriptedResponse};
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use rustix::process::Signal;
use serde_json::json;

#[tokio::test]
async fn without_codex_the_gateway_serves_and_reports_what_to_do() -> Result<()> {
    let gateway = Gateway::with()
        .over(PathBuf::from("/nonexistent/codex"))
        .await?;
    assert_eq!(gateway.client().get("/healthz").await?.status, 200);
    // A completion waits until the state of Codex is known; `/readyz` reports at once.
    for reply in [
        gateway.client().chat(json!({})).await?,
        gateway.client().get("/readyz").await?,
    ] {
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (503, &json!("codex_not_installed")),
            "{}",
            reply.body
        );
        assert_eq!(reply.error("type"), "server_error");
        assert!(
            !reply.body.to_string().contains("/nonexistent"),
            "paths are for the log: {}",
            reply.body
        );
    }
    Ok(())
}

#[tokio::test]
async fn it_serves_on_the_configured_number_of_threads() -> Result<()> {
    for workers in ["1", "3"] {
        let fake = FakeCodex::start(Script::new())?;
        let gateway = Gateway::with()
            .environment("AIRLOCK_WORKERS", workers)
            .over_fake(&fake)
            .await?;
        let requests = (0..20).map(|number| {
            let client = gateway.client().clone();
            async move { client.ask(&format!("question {number}")).await }
        });
        for (number, answer) in try_join_all(requests).await?.into_iter().enumerate() {
            assert_eq!(answer, format!("You said: question {number}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_free_is_given_back_while_it_is_idle() -> Result<()> {
    let gateway = Gateway::with()
        .over(PathBuf::from("/nonexistent/codex"))
        .await?;
    // The background thread exists only if jemalloc has found its settings.
    let mut names = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", gateway.pid()))? {
        // A thread may exit meanwhile.
        names.extend(std::fs::read_to_string(thread?.path().join("comm")).ok());
    }
    assert!(
        names.iter().any(|name| name.starts_with("jemalloc_bg")),
        "{names:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_codex_of_an_untested_version_is_not_run() -> Result<()> {
    let fake = FakeCodex::start(Script::new().version("codex-cli 0.42.0"))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (503, &json!("codex_unsupported_version")),
        "{}",
        reply.body
    );
    assert_eq!(fake.starts(), 0);
    Ok(())
}

#[tokio::test]
async fn a_codex_that_nobody_signed_in_to_is_a_503_and_never_a_401() -> Result<()> {
    let fake = FakeCodex::start(Script::new().signed_out())?;
    let gateway = Gateway::over_fake(&fake).await?;
    for reply in [
        gateway.client().chat(json!({})).await?,
        gateway.client().get("/readyz").await?,
    ] {
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (503, &json!("codex_not_signed_in")),
            "{}",
            reply.body
        );
    }
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_new_login_after_a_refused_one_is_taken_up() -> Result<()> {
    let refused = json!({"httpConnectionFailed": {"httpStatusCode": 401}});
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.fail(refused, "no")))?;
    let gateway = Gateway::with()
        .settings("[codex]\nlogin = \"separate\"")
        .over_fake(&fake)
        .await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (503, &json!("codex_not_signed_in")),
        "{}",
        reply.body
    );
    fake.expect_start().await?;
    std::fs::write(gateway.codex_home().join("auth.json"), "{}")?;
    fake.expect_start().await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn a_child_that_answers_makes_it_ready() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::over_fake(&fake).await?;
    gateway.client().ask("hi").await?;
    let reply = gateway.client().get("/readyz").await?;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["status"]),
        (200, &json!("ready"))
    );
    let initialize = fake.expect("initialize").await?;
    assert_eq!(initialize["params"]["clientInfo"]["name"], "airlock");
    fake.expect("initialized").await?;
    let hello = fake.expect_start().await?;
    assert!(
        hello
            .arguments
            .iter()
            .any(|argument| argument == "app-server"),
        "{:?}",
        hello.arguments
    );
    Ok(())
}

#[tokio::test]
async fn a_child_that_never_answers_does_not_make_it_ready() -> Result<()> {
    let fake = FakeCodex::start(Script::new().always("initialize", ScriptedResponse::Silence))?;
    let gateway = Gateway::with()
        .settings("[limits]\ncall_timeout = \"200ms\"")
        .over_fake(&fake)
        .await?;
    let reply = gateway.client().get("/readyz").await?;
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.body);
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_killed_mid_turn_is_an_error_and_the_next_request_works() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new()
            .turn(|turn| turn.text("Hel").hang())
            .turn(|turn| turn.text("Hel").hang()),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "Hel");
    fake.kill().await?;
    let frames = stream.frames().await?;
    let [failure, Frame::Done] = frames.as_slice() else {
        bail!("no error and [DONE]: {frames:?}")
    };
    let error = failure.error().context("no error")?;
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!("codex_exited"), &json!("server_error"))
    );

    {
        let asking = gateway.client().chat(json!({}));
        tokio::pin!(asking);
        tokio::select! {
            reply = &mut asking => bail!("an answer: {:?}", reply?.body),
            response = fake.expect_count("turn/start", 2) => response?,
        }
        fake.kill().await?;
        let reply = asking.await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("codex_exited")),
            "{}",
            reply.body
        );
    }
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    assert_eq!(fake.starts(), 3);
    assert_eq!(fake.received("turn/start").len(), 3, "no turn ran twice");
    Ok(())
}

#[tokio::test]
async fn a_child_that_goes_before_the_turn_began_is_replaced_unseen() -> Result<()> {
    let fake = FakeCodex::start(Script::new().answer("thread/start", ScriptedResponse::Exit(1)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    assert_eq!(fake.received("turn/start").len(), 1);
    Ok(())
}

#[tokio::test]
async fn children_that_all_go_before_the_turn_began_are_not_offered_it_for_ever() -> Result<()> {
    let fake = FakeCodex::start(Script::new().always("thread/start", ScriptedResponse::Exit(1)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("codex_exited")),
        "{}",
        reply.body
    );
    assert_eq!(fake.received("turn/start").len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_child_that_exits_in_a_turn_fails_it_and_the_turn_is_not_run_again() -> Result<()> {
    let fake = FakeCodex::start(Script::new().turn(|turn| turn.exit(1)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("codex_exited")),
        "{}",
        reply.body
    );
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    assert_eq!(fake.received("turn/start").len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_reply_that_was_finished_before_the_child_went_is_whole() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new().every_turn(|turn| turn.burst(500, 10).text("end").then_exit(0)),
    )?;
    let gateway = Gateway::over_fake(&fake).await?;
    let whole = gateway.client().ask("hi").await?;
    assert_eq!((whole.len(), whole.ends_with("end")), (5003, true));
    let frames = gateway.client().stream(json!({})).await?.frames().await?;
    assert_eq!(
        frames.iter().map(|frame| frame.text().len()).sum::<usize>(),
        5003
    );
    assert_eq!(
        frames.iter().map(Frame::finish_reason).collect::<String>(),
        "stop"
    );
    Ok(())
}

#[tokio::test]
async fn lines_that_make_no_sense_are_passed_over() -> Result<()> {
    let script = Script::new().turn(|turn| {
        turn.text("Hel")
            .line("this is not json")
            .line("{\"method\":")
            .line(b"\xff\xfe\x00".to_vec())
            .line("")
            .line("[]")
            .line("{\"id\":999999,\"result\":{}}")
            .line("{\"id\":\"x\",\"error\":{\"code\":1,\"message\":\"m\"}}")
            .line("{\"method\":\"no/such/notification\",\"params\":{\"threadId\":\"nowhere\",\"turnId\":\"never\"}}")
            .line("{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"nowhere\",\"delta\":\"not yours\"}}")
            .line("{\"method\":\"turn/completed\",\"params\":5}")
            .notify("item/somethingNew/delta", json!({"itemId": "x", "delta": "not text"}))
            .notify("warning", json!({"message": "a word of warning"}))
            .text("lo.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    assert_eq!(gateway.client().ask("hi").await?, "Hello.");
    assert_eq!(fake.starts(), 1);
    Ok(())
}

#[tokio::test]
async fn a_first_signal_lets_a_running_reply_end() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(
        Script::new().turn(|turn| turn.text("before ").hold(&gate).text("after")),
    )?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let pid = fake.expect_start().await?.pid;
    let mut stream = gateway.client().stream(json!({})).await?;
    assert_eq!(stream.next_text().await?, "before ");
    gateway.signal(Signal::TERM);
    gateway.logged("signal").await?;
    gate.open();
    let frames = stream.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), "after");
    assert_eq!(frames.last(), Some(&Frame::Done));
    drop(stream);
    let status = gateway.ended().await?;
    assert!(status.success(), "{status}");
    fake.expect_end(pid).await
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let fake = FakeCodex::start(
        Script::new()
            .stubborn()
            .turn(|turn| turn.text("a").ignore_interrupt().hang()),
    )?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let pid = fake.expect_start().await?.pid;
    let mut stream = gateway.client().stream(json!({})).await?;
    stream.next_text().await?;
    gateway.signal(Signal::TERM);
    gateway.logged("signal").await?;
    gateway.signal(Signal::TERM);
    gateway.ended().await?;
    fake.expect_end(pid).await
}

#[tokio::test]
async fn a_child_that_will_not_go_is_made_to() -> Result<()> {
    let fake = FakeCodex::start(Script::new().stubborn())?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    gateway.client().ask("hi").await?;
    let pid = fake.expect_start().await?.pid;
    gateway.signal(Signal::INT);
    gateway.ended().await?;
    fake.expect_end(pid).await
}

#[tokio::test]
async fn a_gateway_that_is_killed_leaves_no_codex_behind() -> Result<()> {
    let fake = FakeCodex::start(Script::new().stubborn().turn(|turn| turn.text("a").hang()))?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(json!({})).await?;
    stream.next_text().await?;
    let processes = gateway.processes();
    assert!(!processes.is_empty());
    gateway.signal(Signal::KILL);
    for process in processes {
        assert!(
            process.ended_within(Duration::from_secs(1))?,
            "{} lives on",
            process.command
        );
    }
    gateway.ended().await?;
    Ok(())
}
