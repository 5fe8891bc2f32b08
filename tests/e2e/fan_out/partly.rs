//! Failures of some candidates or of the synthesis, and clients that leave.

use airlock_tests::{FakeCodex, FanOut, Gate, Gateway, Script, TabEnd, TurnPlan, angle, fan_out};
use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{DRAFT, draft, drafts, is_candidate};

/// A text that no client may receive.
const SECRET: &str = "sk-upstream-secret in /home/someone";

#[tokio::test]
async fn a_candidate_that_fails_costs_its_tab_and_nothing_else() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .when_instructed(&angle(2), |turn| {
            turn.text("half").fail("rateLimitExceeded", SECRET)
        })
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(3, json!({}))).await?;
    let response = FanOut::read(&stream.frames().await?)?;
    assert!(!String::from_utf8_lossy(stream.raw()).contains("sk-upstream"));
    assert_eq!(
        (response.text.as_str(), response.finish_reason.as_str()),
        ("the answer", "stop")
    );
    assert_eq!(response.failed(2), Some("rate_limit_error"), "{response:?}");
    assert_eq!(
        (response.closed(1), response.closed(3)),
        (Some(DRAFT), Some(DRAFT))
    );
    let starts = fake.received("turn/start");
    let synthesis = starts.iter().find(|start| !is_candidate(start));
    let input = synthesis.context("no synthesis")?["params"]["input"].to_string();
    assert!(input.contains(DRAFT) && !input.contains("half"), "{input}");
    Ok(())
}

#[tokio::test]
async fn the_only_answer_is_passed_on_as_it_is() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(2), |turn| turn.text("the only ").text("one"))
        .every_turn(|turn| turn.fail("internalServerError", SECRET));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    for synthesis in ["merge", "judge", "vote"] {
        let body = json!({"airlock": {"synthesis": synthesis}});
        let response = gateway.client().fan_out(3, body).await?;
        assert_eq!(response.text, "the only one");
        assert_eq!(
            response.airlock["synthesis"],
            json!({"strategy": synthesis, "candidate": 2})
        );
    }
    assert_eq!(fake.received("turn/start").len(), 9, "no judge is asked");
    Ok(())
}

#[tokio::test]
async fn one_fault_of_all_is_the_fault_of_the_request() -> Result<()> {
    let rows = [
        ("usageLimitExceeded", 429, "insufficient_quota", false),
        ("rateLimitExceeded", 429, "rate_limit_exceeded", true),
        ("serverOverloaded", 503, "server_overloaded", true),
        ("unauthorized", 503, "codex_not_signed_in", false),
        (
            "contextWindowExceeded",
            400,
            "context_length_exceeded",
            false,
        ),
        ("internalServerError", 502, "upstream_error", false),
    ];
    for (info, status, code, retry) in rows {
        let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.fail(info, SECRET)))?;
        let gateway = Gateway::over_fake(&fake).await?;
        for stream in [false, true] {
            let reply = gateway
                .client()
                .chat(fan_out(3, json!({"stream": stream})))
                .await?;
            let about = format!("{info}, stream {stream}: {}", reply.body);
            assert_eq!(reply.status.as_u16(), status, "{about}");
            assert_eq!(reply.error("code"), code, "{about}");
            assert!(!reply.body.to_string().contains("sk-upstream"), "{about}");
            let after = reply.header("retry-after").parse::<u32>();
            assert!(!retry || after.is_ok(), "{about}: {:?}", reply.headers);
        }
        assert_eq!(
            fake.received("turn/start").len(),
            6,
            "{info}: nothing is retried"
        );
    }
    Ok(())
}

#[tokio::test]
async fn different_faults_are_listed_in_general_words() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(1), |turn| turn.fail("rateLimitExceeded", SECRET))
        .when_instructed(&angle(2), |turn| turn.fail("internalServerError", SECRET))
        .when_instructed(&angle(3), |turn| turn.fail("cyberPolicy", SECRET));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    for stream in [false, true] {
        let body = fan_out(3, json!({"stream": stream}));
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("all_candidates_failed")),
            "stream {stream}: {}",
            reply.body
        );
        assert!(
            !reply.body.to_string().contains("sk-upstream"),
            "{}",
            reply.body
        );
    }
    Ok(())
}

#[tokio::test]
async fn all_failing_after_the_headers_are_frames() -> Result<()> {
    let gate = Gate::new();
    let script =
        Script::new().every_turn(|turn| turn.text("half").hold(&gate).fail("other", SECRET));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(3, json!({}))).await?;
    assert_eq!(stream.status(), 200);
    gate.open();
    let response = FanOut::read(&stream.frames().await?)?;
    assert_eq!(
        response.error.as_ref().map(|error| &error["code"]),
        Some(&json!("upstream_error")),
        "{response:?}"
    );
    for tab in &response.tabs {
        let Some(TabEnd::Failed {
            message,
            exception_type,
        }) = &tab.end
        else {
            bail!("{tab:?}");
        };
        assert_eq!(
            (tab.pieces.as_str(), exception_type.as_str()),
            ("half", "server_error")
        );
        assert!(!message.contains("sk-upstream"), "{message}");
    }
    assert!(response.text.is_empty() && response.finish_reason.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_synthesis_that_fails_before_its_first_word_gives_way_to_the_best_candidate() -> Result<()>
{
    let script = Script::new()
        .when(DRAFT, |turn| turn.reasoning("Hm.").fail("other", SECRET))
        .when_instructed(&angle(2), |turn| turn.text(DRAFT).text(", and the longest"))
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let longest = format!("{DRAFT}, and the longest");
    let expected = json!({"strategy": "merge", "candidate": 2, "fallback": true});
    let response = gateway.client().fan_out(3, json!({})).await?;
    assert_eq!((&response.text, &response.error), (&longest, &None));
    assert_eq!(response.finish_reason, "stop");
    assert_eq!(response.airlock["synthesis"], expected);
    let reply = gateway.client().chat(fan_out(3, json!({}))).await?;
    assert_eq!(reply.text()?, longest);
    assert_eq!(reply.body["airlock"]["synthesis"], expected);
    Ok(())
}

#[tokio::test]
async fn a_synthesis_without_text_gives_way_too() -> Result<()> {
    let fake = FakeCodex::start(drafts(2, |turn| turn))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let expected = json!({"strategy": "merge", "candidate": 1, "fallback": true});
    let response = gateway.client().fan_out(2, json!({})).await?;
    assert_eq!((response.text, response.error), (draft(1), None));
    assert_eq!(response.airlock["synthesis"], expected);
    let reply = gateway.client().chat(fan_out(2, json!({}))).await?;
    assert_eq!(reply.text()?, draft(1));
    Ok(())
}

#[tokio::test]
async fn a_synthesis_that_fails_late_gives_way_where_nothing_of_it_has_left() -> Result<()> {
    let synthesis = |turn: TurnPlan| turn.text("The ans").fail("other", SECRET);
    let fake = FakeCodex::start(drafts(2, synthesis))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(fan_out(2, json!({}))).await?;
    assert_eq!(reply.text()?, draft(1));
    assert_eq!(reply.body["airlock"]["synthesis"]["fallback"], true);
    Ok(())
}

#[tokio::test]
async fn a_synthesis_that_fails_later_is_an_error_and_the_end() -> Result<()> {
    let gate = Gate::new();
    let fake = FakeCodex::start(drafts(2, |turn| {
        turn.text("The ans").hold(&gate).fail("other", SECRET)
    }))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(2, json!({}))).await?;
    let mut frames = stream
        .frames_until(|frame| !frame.text().is_empty())
        .await?;
    gate.open();
    frames.extend(stream.frames().await?);
    let response = FanOut::read(&frames)?;
    assert_eq!(response.text, "The ans");
    assert_eq!(
        response.error.as_ref().map(|error| &error["code"]),
        Some(&json!("upstream_error"))
    );
    assert!(response.finish_reason.is_empty(), "{response:?}");
    assert_eq!(response.closed(1), Some(draft(1).as_str()));
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_interrupts_every_candidate() -> Result<()> {
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.text("Hel").hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(5, json!({}))).await?;
    fake.expect_count("turn/start", 5).await?;
    stream.next_tool_event().await?;
    drop(stream);
    fake.expect_count("turn/interrupt", 5).await?;
    fake.expect_endings("interrupted", 5).await?;
    fake.expect_count("thread/unsubscribe", 5).await?;
    assert_eq!(fake.received("turn/start").len(), 5, "no synthesis of it");
    Ok(())
}

#[tokio::test]
async fn candidates_that_have_not_started_are_interrupted_once_they_have() -> Result<()> {
    let start = Gate::new();
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.start_at(&start).hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    {
        let asking = gateway.client().chat(fan_out(3, json!({})));
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            started = fake.expect_count("turn/start", 3) => started?,
        }
    }
    fake.expect_count("turn/interrupt", 3).await?;
    start.open();
    fake.expect_endings("interrupted", 3).await
}

#[tokio::test]
async fn a_client_that_leaves_interrupts_the_synthesis() -> Result<()> {
    let fake = FakeCodex::start(drafts(3, |turn| turn.text("The ").hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(3, json!({}))).await?;
    assert_eq!(stream.next_text().await?, "The ");
    drop(stream);
    fake.expect("turn/interrupt").await?;
    fake.expect_endings("interrupted", 1).await?;
    fake.expect_count("thread/unsubscribe", 4).await?;
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}
