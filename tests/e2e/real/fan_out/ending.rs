//! Failures of candidates, deadlines, and clients that leave, observed at the model's sockets.

use std::time::{Duration, Instant};

use airlock_tests::model::ModelRequest;
use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, angle, fan_out};
use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{DRAFT, draft, drafts, sorted};

#[tokio::test]
async fn one_that_fails_costs_its_tab() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.when_instructed(&angle(4), ModelAnswer::status(500, "server_error"));
    drafts(&model, 5, ModelAnswer::words("The answer."));
    let gateway = Gateway::over_real(&model).await?;
    let response = gateway.client().fan_out(5, json!({})).await?;
    assert_eq!(response.text, "The answer.");
    assert_eq!(response.failed(4), Some("server_error"), "{response:?}");
    let (_, rest) = sorted(&model, 5)?;
    let received = rest
        .first()
        .map(ModelRequest::user_text)
        .unwrap_or_default();
    for candidate in [1, 2, 3, 5] {
        assert!(received.contains(&draft(candidate)), "{received}");
    }
    assert!(!received.contains(&draft(4)), "{received}");
    Ok(())
}

/// The client's error for a failure that all candidates have. Codex does not retry these failures.
async fn all_fail(fault: ModelAnswer, status: u16, code: &str) -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(fault);
    let gateway = Gateway::with().retries(2).over_real(&model).await?;
    for (expected, stream) in [(5, false), (10, true)] {
        let body = fan_out(5, json!({"stream": stream}));
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (status, &json!(code)),
            "{}",
            reply.body
        );
        assert_eq!(model.calls().len(), expected, "once for each candidate");
    }
    Ok(())
}

#[tokio::test]
async fn a_spent_quota_is_a_429() -> Result<()> {
    let fault = ModelAnswer::status(429, "insufficient_quota");
    all_fail(fault, 429, "insufficient_quota").await
}

#[tokio::test]
async fn a_conversation_that_does_not_fit_is_a_400_without_a_retry() -> Result<()> {
    let fault = ModelAnswer::status(400, "context_length_exceeded");
    all_fail(fault, 400, "context_length_exceeded").await
}

#[tokio::test]
async fn a_rate_limit_of_all_candidates_has_retry_after() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::status(429, "rate_limit_exceeded"));
    let gateway = Gateway::over_real(&model).await?;
    let reply = gateway.client().chat(fan_out(3, json!({}))).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (429, &json!("rate_limit_exceeded")),
        "{}",
        reply.body
    );
    assert!(reply.header("retry-after").parse::<u32>().is_ok());
    Ok(())
}

#[tokio::test]
async fn different_faults_are_a_502_that_lists_them() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let faults = [
        ModelAnswer::status(429, "insufficient_quota"),
        ModelAnswer::status(500, "server_error"),
        ModelAnswer::new().failed("cyber_policy"),
        ModelAnswer::status(503, "server_is_overloaded"),
        ModelAnswer::new().text("half").disconnect(),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        model.when_instructed(&angle(index + 1), fault);
    }
    let gateway = Gateway::over_real(&model).await?;
    let reply = gateway.client().chat(fan_out(5, json!({}))).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error("code")),
        (502, &json!("all_candidates_failed")),
        "{}",
        reply.body
    );
    assert!(
        !reply.body.to_string().contains("scripted"),
        "{}",
        reply.body
    );
    let (_, rest) = sorted(&model, 5)?;
    assert!(rest.is_empty(), "nothing to synthesise: {rest:?}");
    Ok(())
}

/// Waits until Codex has closed all of these connections, and prints how long after `gone` that was. The time is
/// not asserted: the machine may be busy.
async fn all_left(calls: &[ModelRequest], gone: Instant) -> Result<Duration> {
    try_join_all(calls.iter().map(ModelRequest::left)).await?;
    Ok(gone.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_closes_every_candidates_connection() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::new().text("let me ").hang());
    let gateway = Gateway::over_real(&model).await?;
    for candidates in [5, 20] {
        let before = model.calls().len();
        let mut stream = gateway
            .client()
            .stream(fan_out(candidates, json!({})))
            .await?;
        let mut talking = 0;
        while talking < candidates {
            let event = stream.next_tool_event().await?;
            talking += usize::from(event["type"] == "codex_tab_chunk");
        }
        let calls = model.calls().split_off(before);
        assert_eq!(calls.len(), candidates);
        let gone = Instant::now();
        drop(stream);
        let taken = all_left(&calls, gone).await?;
        println!("{candidates} candidates: their connections were closed after {taken:.1?}");
    }
    assert_eq!(model.calls().len(), 25, "nothing is run again");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_before_the_headers_closes_them_too() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::new().hang());
    let gateway = Gateway::over_real(&model).await?;
    let calls = {
        let asking = gateway.client().chat(fan_out(5, json!({})));
        tokio::select! {
            reply = asking => bail!("an answer: {:?}", reply?.body),
            calls = model.expect_calls(5) => calls?,
        }
    };
    all_left(&calls, Instant::now()).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_the_synthesis_closes_its_connection() -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, 5, ModelAnswer::new().text("The ").hang());
    let gateway = Gateway::over_real(&model).await?;
    let mut stream = gateway.client().stream(fan_out(5, json!({}))).await?;
    assert_eq!(stream.next_text().await?, "The ");
    let (candidate_calls, rest) = sorted(&model, 5)?;
    assert!(candidate_calls.iter().all(|call| !call.was_left()));
    assert_eq!(rest.len(), 1);
    let gone = Instant::now();
    drop(stream);
    let taken = all_left(&rest, gone).await?;
    println!("the synthesis: its connection was closed after {taken:.1?}");
    assert_eq!(gateway.client().ask("next").await?, "You said: next");
    Ok(())
}

#[tokio::test]
async fn at_the_deadline_what_is_there_is_the_answer() -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, 2, ModelAnswer::words("The answer."));
    model.otherwise(ModelAnswer::new().text("let me ").hang());
    let gateway = Gateway::over_real(&model).await?;
    let hints: Vec<_> = (1..=4)
        .map(|number| json!({"hint": angle(number)}))
        .collect();
    let airlock = json!({"deadline_ms": 3000, "candidates": hints});
    let body = json!({"airlock": airlock});
    let response = gateway.client().fan_out(4, body).await?;
    assert_eq!(response.text, "The answer.");
    let (candidate_calls, rest) = sorted(&model, 4)?;
    for candidate in [3, 4] {
        candidate_calls[candidate - 1].left().await?;
    }
    let received = rest
        .first()
        .map(ModelRequest::user_text)
        .unwrap_or_default();
    assert_eq!(received.matches(DRAFT).count(), 2, "{received}");
    Ok(())
}

#[tokio::test]
async fn a_synthesis_that_fails_at_once_gives_way_to_the_best_candidate() -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, 3, ModelAnswer::status(500, "server_error"));
    let gateway = Gateway::over_real(&model).await?;
    let response = gateway.client().fan_out(3, json!({})).await?;
    assert_eq!(response.text, draft(1));
    assert_eq!(
        (&response.error, &response.airlock["synthesis"]["fallback"]),
        (&None::<Value>, &json!(true))
    );
    Ok(())
}
