//! The body of a fan-out that is not streamed: its candidates, and the usage in both forms of response.

use airlock_tests::{FakeCodex, Gateway, Script, TabEnd, Usage, angle, fan_out};
use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{DRAFT, draft, drafts};

fn tokens(usage: &Value) -> [&Value; 5] {
    [
        &usage["prompt_tokens"],
        &usage["completion_tokens"],
        &usage["total_tokens"],
        &usage["prompt_tokens_details"]["cached_tokens"],
        &usage["completion_tokens_details"]["reasoning_tokens"],
    ]
}

#[tokio::test]
async fn the_message_is_the_answer_and_the_candidates_are_beside_it() -> Result<()> {
    let script = Script::new()
        .when(DRAFT, |turn| turn.text("the answer"))
        .when_instructed(&angle(1), |turn| turn.text(DRAFT))
        .when_instructed(&angle(2), |turn| {
            turn.text("half").fail("internalServerError", "sk-secret")
        })
        .when_instructed(&angle(3), |turn| {
            let message = "Incomplete response returned, reason: max_output_tokens";
            turn.text("cut").fail("other", message)
        })
        .when_instructed(&angle(4), |turn| turn.text(DRAFT).no_usage());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(fan_out(4, json!({}))).await?;
    assert_eq!(reply.text()?, "the answer", "{}", reply.body);
    assert_eq!(reply.body["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply.body["choices"].as_array().map(Vec::len), Some(1));
    let airlock = &reply.body["airlock"];
    assert_eq!(
        airlock["synthesis"],
        json!({"strategy": "merge", "candidate": null})
    );
    let Some([one, two, three, four]) = airlock["candidates"].as_array().map(Vec::as_slice) else {
        bail!("not four: {airlock}");
    };
    for (tab, candidate) in [one, two, three, four].into_iter().enumerate() {
        assert_eq!(candidate["tab"], tab + 1, "{candidate}");
        assert_eq!(candidate["model"], "gpt-5.5", "{candidate}");
        assert!(candidate["duration_ms"].is_u64(), "{candidate}");
    }
    assert_eq!(
        (&one["status"], &one["text"], &one["usage"]["prompt_tokens"]),
        (&json!("completed"), &json!(DRAFT), &json!(100))
    );
    assert_eq!((&two["status"], one.get("error")), (&json!("failed"), None));
    assert_eq!(two["error"]["exception_type"], "server_error", "{two}");
    assert!(!two.to_string().contains("sk-secret"), "{two}");
    assert_eq!(
        (&three["status"], &three["text"]),
        (&json!("incomplete"), &json!("cut"))
    );
    assert_eq!(
        (&four["status"], &four["usage"]),
        (&json!("completed"), &Value::Null)
    );
    Ok(())
}

#[tokio::test]
async fn usage_is_the_sum_of_all_turns_and_is_broken_down() -> Result<()> {
    let used = |input, cached, output, reasoning| Usage {
        input,
        cached,
        output,
        reasoning,
    };
    let script = Script::new()
        .when(DRAFT, |turn| {
            turn.text("the answer").usage(used(1000, 0, 300, 200))
        })
        .when_instructed(&angle(1), |turn| turn.text(DRAFT).usage(used(10, 5, 2, 1)))
        .when_instructed(&angle(2), |turn| {
            turn.text(DRAFT)
                .usage(used(20, 10, 4, 2))
                .text("more")
                .usage(used(30, 15, 6, 3))
        })
        .when_instructed(&angle(3), |turn| turn.text(DRAFT).no_usage());
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let (sum, candidates, synthesis) = (
        json!([1060, 312, 1372, 30, 206]),
        json!([60, 12, 72, 30, 6]),
        json!([1000, 300, 1300, 0, 200]),
    );
    let reply = gateway.client().chat(fan_out(3, json!({}))).await?;
    let body = &reply.body;
    assert_eq!(json!(tokens(&body["usage"])), sum, "{body}");
    let parts = &body["airlock"]["usage"];
    assert_eq!(json!(tokens(&parts["candidates"])), candidates, "{body}");
    assert_eq!(json!(tokens(&parts["synthesis"])), synthesis, "{body}");

    let options = json!({"stream_options": {"include_usage": true}});
    let response = gateway.client().fan_out(3, options).await?;
    assert_eq!(json!(tokens(&response.usage.unwrap_or_default())), sum);
    let parts = &response.airlock["usage"];
    assert_eq!(json!(tokens(&parts["candidates"])), candidates);
    assert_eq!(json!(tokens(&parts["synthesis"])), synthesis);
    let Some(TabEnd::Closed { usage, .. }) = &response.tabs[1].end else {
        bail!("{:?}", response.tabs);
    };
    assert_eq!(json!(tokens(usage)), json!([50, 10, 60, 25, 5]));
    Ok(())
}

#[tokio::test]
async fn a_void_synthesis_has_cost_what_it_cost() -> Result<()> {
    let costly = Usage {
        input: 1000,
        output: 1,
        ..Usage::default()
    };
    let script = Script::new()
        .when(DRAFT, |turn| {
            turn.reasoning("Hm.").usage(costly).fail("other", "no")
        })
        .every_turn(|turn| turn.text(DRAFT));
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let reply = gateway.client().chat(fan_out(2, json!({}))).await?;
    assert_eq!(reply.text()?, DRAFT);
    assert_eq!(reply.body["usage"]["prompt_tokens"], 1200, "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn a_picked_candidate_is_delivered_as_the_answer() -> Result<()> {
    let fake = FakeCodex::start(drafts(2, |turn| turn.text("unused")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let body = fan_out(2, json!({"airlock": {"synthesis": "first"}}));
    let reply = gateway.client().chat(body).await?;
    let airlock = &reply.body["airlock"];
    let picked = airlock["synthesis"]["candidate"]
        .as_u64()
        .unwrap_or_default();
    assert_eq!(reply.text()?, draft(picked.try_into()?), "{airlock}");
    let statuses: Vec<_> = airlock["candidates"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|candidate| candidate["status"].as_str())
        .collect();
    assert_eq!(statuses.len(), 2, "{airlock}");
    assert!(statuses.contains(&"completed"), "{airlock}");
    assert_eq!(airlock["usage"]["synthesis"], Value::Null, "{airlock}");
    Ok(())
}
