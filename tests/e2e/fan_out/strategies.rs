//! The strategies of a fan-out: merge, judge, vote and first, with a quorum or a deadline.

use airlock_tests::{FakeCodex, FanOut, Frame, Gate, Gateway, Script, angle, fan_out};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{DRAFT, draft, drafts, is_candidate};

fn by(synthesis: &str) -> Value {
    json!({"airlock": {"synthesis": synthesis}})
}

#[tokio::test]
async fn merge_gives_a_turn_of_its_own_the_conversation_and_the_candidates() -> Result<()> {
    let fake = FakeCodex::start(drafts(3, |turn| turn.text("the answer")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]);
    let response = gateway
        .client()
        .fan_out(3, json!({"messages": messages}))
        .await?;
    assert_eq!(response.text, "the answer");

    let starts = fake.received("turn/start");
    let (candidates, rest): (Vec<_>, Vec<_>) = starts.iter().partition(|start| is_candidate(start));
    assert_eq!((candidates.len(), rest.len()), (3, 1));
    let input = rest[0]["params"]["input"].to_string();
    for candidate in 1..=3 {
        assert!(input.contains(&draft(candidate)), "{input}");
    }
    // Each turn has the whole conversation as items of its own thread.
    let injected = fake.received("thread/inject_items");
    assert_eq!(injected.len(), 4);
    for items in injected {
        let items = items["params"]["items"]
            .as_array()
            .context("no items")?
            .clone();
        let texts: Vec<_> = items
            .iter()
            .filter_map(|item| item["content"][0]["text"].as_str())
            .collect();
        assert_eq!(texts, ["one", "two", "three"]);
    }
    let threads = fake.received("thread/start");
    let instructions: Vec<_> = threads
        .iter()
        .filter_map(|start| start["params"]["baseInstructions"].as_str())
        .collect();
    assert!(
        instructions
            .iter()
            .all(|text| text.starts_with("Be brief.\n\n")),
        "{instructions:?}"
    );
    for candidate in 1..=3 {
        let hinted = |text: &&&str| text.contains(&angle(candidate));
        assert_eq!(instructions.iter().filter(hinted).count(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn judge_picks_the_best_and_gives_reasons() -> Result<()> {
    let verdict = json!({"best": "A", "reasons": "It is the clearest."}).to_string();
    let fake = FakeCodex::start(drafts(3, |turn| turn.text(&verdict)))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let response = gateway.client().fan_out(3, by("judge")).await?;
    let synthesis = &response.airlock["synthesis"];
    assert_eq!(synthesis["strategy"], "judge");
    let best = synthesis["candidate"].as_u64().context("nobody")?;
    assert_eq!(response.text, draft(best.try_into()?));
    assert!(
        synthesis["reasons"].to_string().contains("the clearest"),
        "{synthesis}"
    );
    let starts = fake.received("turn/start");
    let consulted: Vec<_> = starts.iter().filter(|start| !is_candidate(start)).collect();
    assert_eq!(consulted.len(), 1);
    let schema = &consulted[0]["params"]["outputSchema"];
    assert_eq!(schema["additionalProperties"], false, "{schema}");
    assert_eq!(
        schema["properties"]["best"]["enum"]
            .as_array()
            .map(Vec::len),
        Some(3),
        "{schema}"
    );
    // The judge's text is not the answer.
    assert!(!response.text.contains("best"));
    Ok(())
}

#[tokio::test]
async fn a_judge_that_cannot_be_understood_costs_no_answer() -> Result<()> {
    for verdict in ["Well, A I think.", "{\"best\":\"Z\",\"reasons\":\"\"}"] {
        let fake = FakeCodex::start(drafts(2, |turn| turn.text(verdict)))?;
        let gateway = Gateway::over_fake(&fake).await?;
        let response = gateway.client().fan_out(2, by("judge")).await?;
        assert_eq!(response.text, draft(1), "of equals the first");
        let synthesis = &response.airlock["synthesis"];
        assert_eq!(
            (&synthesis["candidate"], &synthesis["fallback"]),
            (&json!(1), &json!(true))
        );
    }
    Ok(())
}

#[tokio::test]
async fn vote_takes_the_majority_without_asking_a_model() -> Result<()> {
    let second = Gate::new();
    let script = Script::new()
        .when_instructed(&angle(1), |turn| turn.text("**42.**"))
        .when_instructed(&angle(2), |turn| turn.hold(&second).text("42"))
        .when_instructed(&angle(3), |turn| turn.text("41").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(3, by("vote"))).await?;
    let mut frames = stream.frames_until(Frame::closes_tab).await?;
    second.open();
    frames.extend(stream.frames().await?);
    let response = FanOut::read(&frames)?;
    assert_eq!(response.text, "**42.**");
    let synthesis = &response.airlock["synthesis"];
    assert_eq!(
        (&synthesis["strategy"], &synthesis["candidate"]),
        (&json!("vote"), &json!(1))
    );
    assert_eq!(
        synthesis["votes"][0],
        json!({"candidates": [1, 2], "count": 2})
    );
    // Two of three suffice, without waiting for the third.
    fake.expect_endings("interrupted", 1).await?;
    assert_eq!(response.failed(3), Some("interrupted"));
    assert_eq!(fake.received("turn/start").len(), 3);
    Ok(())
}

#[tokio::test]
async fn first_interrupts_the_losers() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when_instructed(&angle(3), |turn| turn.hold(&gate).text("here"))
        .every_turn(|turn| turn.text("let me think").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(5, by("first"))).await?;
    fake.expect_count("turn/start", 5).await?;
    gate.open();
    let response = FanOut::read(&stream.frames().await?)?;
    assert_eq!(response.text, "here");
    assert_eq!(
        response.airlock["synthesis"],
        json!({"strategy": "first", "candidate": 3})
    );
    assert_eq!(response.closed(3), Some("here"));
    for loser in [1, 2, 4, 5] {
        assert_eq!(response.failed(loser), Some("interrupted"), "{response:?}");
    }
    fake.expect_count("turn/interrupt", 4).await?;
    fake.expect_endings("interrupted", 4).await?;
    fake.expect_count("thread/unsubscribe", 5).await?;
    assert_eq!(fake.received("turn/start").len(), 5, "nothing is run again");
    Ok(())
}

#[tokio::test]
async fn first_passes_over_a_failure_that_is_faster() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when_instructed(&angle(1), |turn| turn.fail("internalServerError", "no"))
        .when_instructed(&angle(2), |turn| turn.whole("  ", None))
        .every_turn(|turn| turn.hold(&gate).text("good"));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut stream = gateway.client().stream(fan_out(3, by("first"))).await?;
    fake.expect_endings("completed", 1).await?;
    fake.expect_endings("failed", 1).await?;
    gate.open();
    let response = FanOut::read(&stream.frames().await?)?;
    assert_eq!(response.text, "good");
    assert_eq!(response.airlock["synthesis"]["candidate"], 3);
    Ok(())
}

#[tokio::test]
async fn a_quorum_and_its_grace_time_do_not_wait_for_the_rest() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .when_instructed(&angle(4), |turn| turn.text("still ").hang())
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let airlock = json!({"airlock": {"quorum": 3, "grace_ms": 0}});
    let response = gateway.client().fan_out(4, airlock).await?;
    assert_eq!(response.text, "the answer");
    assert_eq!(response.failed(4), Some("interrupted"));
    fake.expect_endings("interrupted", 1).await?;
    let starts = fake.received("turn/start");
    let synthesis = starts.iter().find(|start| !is_candidate(start));
    let input = synthesis.context("no synthesis")?["params"]["input"].to_string();
    assert_eq!(input.matches(DRAFT).count(), 3, "{input}");
    assert!(!input.contains("still "), "{input}");
    Ok(())
}

#[tokio::test]
async fn a_candidate_that_answers_within_the_grace_time_counts() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .when_instructed(&angle(3), |turn| turn.hold(&gate).text("late, but here"))
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let airlock = json!({"airlock": {"quorum": 1, "grace_ms": 3_600_000}});
    let mut stream = gateway.client().stream(fan_out(3, airlock)).await?;
    fake.expect_endings("completed", 2).await?;
    gate.open();
    let response = FanOut::read(&stream.frames().await?)?;
    assert_eq!(response.text, "the answer");
    let starts = fake.received("turn/start");
    let synthesis = starts.iter().find(|start| !is_candidate(start));
    let input = synthesis.context("no synthesis")?["params"]["input"].to_string();
    assert!(input.contains("late, but here"), "{input}");
    Ok(())
}

#[tokio::test]
async fn at_the_deadline_what_is_there_decides() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(2), |turn| turn.text("in time"))
        .every_turn(|turn| turn.text("not").hang());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let airlock = json!({"airlock": {"deadline_ms": 1500}});
    let response = gateway.client().fan_out(3, airlock).await?;
    assert_eq!(response.text, "in time");
    assert_eq!(
        response.airlock["synthesis"],
        json!({"strategy": "merge", "candidate": 2})
    );
    fake.expect_endings("interrupted", 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_deadline_with_nothing_there_is_a_504() -> Result<()> {
    let fake = FakeCodex::start(Script::new().every_turn(|turn| turn.hang()))?;
    let gateway = Gateway::over_fake(&fake).await?;
    for (count, stream) in [(2, false), (4, true)] {
        let body = json!({"airlock": {"deadline_ms": 200}, "stream": stream});
        let reply = gateway.client().chat(fan_out(2, body)).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (504, &json!("deadline_exceeded")),
            "{}",
            reply.body
        );
        fake.expect_endings("interrupted", count).await?;
    }
    Ok(())
}
