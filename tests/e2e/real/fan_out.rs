//! Fan-outs on the real Codex: the requests to the model, and the client's response.

mod ending; // failures, deadlines and clients that leave

use airlock_tests::model::ModelRequest;
use airlock_tests::{FanOut, Gate, Gateway, ModelAnswer, ScriptedModel, angle, fan_out};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A text in every draft, by which a synthesis is recognised.
const DRAFT: &str = "a draft";

/// A model whose candidates answer `a draft by N.`, and whose synthesis has this answer.
fn drafts(model: &ScriptedModel, candidates: usize, synthesis: ModelAnswer) {
    model.when(DRAFT, synthesis);
    for candidate in 1..=candidates {
        let answer = ModelAnswer::words(&draft(candidate));
        model.when_instructed(&angle(candidate), answer);
    }
}

fn draft(candidate: usize) -> String {
    format!("{DRAFT} by {candidate}.")
}

fn by(synthesis: &str) -> Value {
    json!({"airlock": {"synthesis": synthesis}})
}

/// The requests of the candidates, in their order, and the other requests.
fn sorted(
    model: &ScriptedModel,
    candidates: usize,
) -> Result<(Vec<ModelRequest>, Vec<ModelRequest>)> {
    let mut calls = model.calls();
    let mut sorted = Vec::new();
    for candidate in 1..=candidates {
        let of = |call: &ModelRequest| call.instructions().contains(&angle(candidate));
        let place = calls.iter().position(of);
        let place = place.with_context(|| format!("candidate {candidate} asked nothing"))?;
        sorted.push(calls.remove(place));
        ensure!(!calls.iter().any(of), "candidate {candidate} asked twice");
    }
    Ok((sorted, calls))
}

/// A fan-out with `merge`: one model request for each candidate and one for the synthesis, and the client receives all of it.
async fn merges(candidates: usize) -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, candidates, ModelAnswer::words("All of it, in one."));
    let gateway = Gateway::over_real(&model).await?;
    let messages = json!([{"role": "system", "content": "You are terse."}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]);
    let body = json!({"messages": messages, "stream_options": {"include_usage": true}});
    let response = gateway.client().fan_out(candidates, body.clone()).await?;
    assert_eq!(
        (response.text.as_str(), response.finish_reason.as_str()),
        ("All of it, in one.", "stop")
    );
    assert_eq!(response.tabs.len(), candidates);
    for candidate in 1..=candidates {
        assert_eq!(response.closed(candidate), Some(draft(candidate).as_str()));
        assert_eq!(response.tabs[candidate - 1].pieces, draft(candidate));
    }
    assert_eq!(
        response.airlock["synthesis"],
        json!({"strategy": "merge", "candidate": null})
    );
    let tokens = 100 * (candidates + 1);
    assert_eq!(response.usage.context("no usage")?["prompt_tokens"], tokens);

    let (candidate_calls, rest) = sorted(&model, candidates)?;
    let talk = ["one", "two", "three"];
    for call in &candidate_calls {
        assert!(call.instructions().contains("You are terse."));
        assert_eq!(texts(call), talk);
        assert_eq!(call.body["text"]["format"], Value::Null);
    }
    let [synthesis] = rest.as_slice() else {
        anyhow::bail!("not one synthesis: {}", rest.len())
    };
    assert!(synthesis.instructions().contains("You are terse."));
    let received = texts(synthesis);
    assert_eq!(received[..3], talk);
    for candidate in 1..=candidates {
        assert_eq!(received[3].matches(&draft(candidate)).count(), 1);
    }
    Ok(())
}

/// The messages after the instructions.
fn texts(call: &ModelRequest) -> Vec<String> {
    let said = call.messages().into_iter();
    said.filter(|(role, _)| role != "developer")
        .map(|(_, text)| text)
        .collect()
}

#[tokio::test]
async fn two_candidates_are_merged() -> Result<()> {
    merges(2).await
}

#[tokio::test]
async fn five_candidates_are_merged() -> Result<()> {
    merges(5).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_candidates_are_merged() -> Result<()> {
    merges(20).await
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_has_its_candidates_beside_it() -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, 5, ModelAnswer::words("All of it."));
    let gateway = Gateway::over_real(&model).await?;
    let reply = gateway.client().chat(fan_out(5, json!({}))).await?;
    assert_eq!(reply.text()?, "All of it.", "{}", reply.body);
    let candidates = reply.body["airlock"]["candidates"].as_array();
    let candidates = candidates.context("no candidates")?;
    assert_eq!(candidates.len(), 5);
    for (index, candidate) in candidates.iter().enumerate() {
        assert_eq!(candidate["text"], draft(index + 1), "{candidate}");
        assert_eq!(candidate["status"], "completed");
        assert_eq!(candidate["usage"]["total_tokens"], 105);
    }
    assert_eq!(reply.body["usage"]["total_tokens"], 630);
    Ok(())
}

#[tokio::test]
async fn the_judge_is_given_a_schema_and_its_choice_is_the_answer() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let verdict = json!({"best": "B", "reasons": "It is the clearest."}).to_string();
    drafts(&model, 5, ModelAnswer::new().text(&verdict));
    let gateway = Gateway::over_real(&model).await?;
    let response = gateway.client().fan_out(5, by("judge")).await?;
    let synthesis = &response.airlock["synthesis"];
    let best = synthesis["candidate"].as_u64().context("nobody")?;
    assert_eq!(response.text, draft(best.try_into()?));
    assert!(synthesis["fallback"].is_null(), "{synthesis}");
    let (_, rest) = sorted(&model, 5)?;
    let [judge] = rest.as_slice() else {
        anyhow::bail!("not one judge: {}", rest.len())
    };
    let format = &judge.body["text"]["format"];
    assert_eq!(
        (&format["type"], &format["strict"]),
        (&json!("json_schema"), &json!(true))
    );
    assert_eq!(
        format["schema"]["properties"]["best"]["enum"],
        json!(["A", "B", "C", "D", "E"])
    );
    Ok(())
}

#[tokio::test]
async fn the_majority_is_the_answer_without_a_model_request() -> Result<()> {
    let model = ScriptedModel::start().await?;
    // Three equal answers end the vote, so none may come before all candidates have started.
    let gate = Gate::new();
    let texts = ["Paris.", "London", "paris", "\"Paris\"", "Rome"];
    for (candidate, text) in (1..).zip(texts) {
        let answer = ModelAnswer::new().hold(&gate).text(text);
        model.when_instructed(&angle(candidate), answer);
    }
    let gateway = Gateway::over_real(&model).await?;
    let client = gateway.client();
    let requests = async {
        model.expect_calls(5).await?;
        gate.open();
        anyhow::Ok(())
    };
    let (response, requests) = tokio::join!(client.fan_out(5, by("vote")), requests);
    requests?;
    let response = response?;
    let normal = response.text.to_lowercase();
    assert!(normal.contains("paris"), "{}", response.text);
    assert_eq!(response.airlock["synthesis"]["votes"][0]["count"], 3);
    let (_, rest) = sorted(&model, 5)?;
    assert!(rest.is_empty(), "{rest:?}");
    Ok(())
}

#[tokio::test]
async fn the_first_answer_closes_the_others_connections() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gate = Gate::new();
    model.when_instructed(&angle(2), ModelAnswer::new().hold(&gate).text("here"));
    model.otherwise(ModelAnswer::new().text("let me ").hang());
    let gateway = Gateway::over_real(&model).await?;
    let mut stream = gateway.client().stream(fan_out(5, by("first"))).await?;
    model.expect_calls(5).await?;
    gate.open();
    let response = FanOut::read(&stream.frames().await?)?;
    assert_eq!(response.text, "here");
    assert_eq!(response.airlock["synthesis"]["candidate"], 2);
    let (candidate_calls, rest) = sorted(&model, 5)?;
    assert!(rest.is_empty(), "{rest:?}");
    for (index, call) in candidate_calls.iter().enumerate() {
        if index == 1 {
            assert!(!call.was_left());
        } else {
            call.left().await?;
            assert_eq!(response.failed(index + 1), Some("interrupted"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_quorum_closes_the_connections_of_the_rest() -> Result<()> {
    let model = ScriptedModel::start().await?;
    drafts(&model, 3, ModelAnswer::words("The answer."));
    model.otherwise(ModelAnswer::new().text("let me ").hang());
    let gateway = Gateway::over_real(&model).await?;
    let hints: Vec<_> = (1..=5)
        .map(|number| json!({"hint": angle(number)}))
        .collect();
    let airlock = json!({"quorum": 3, "grace_ms": 50, "candidates": hints});
    let response = gateway
        .client()
        .fan_out(5, json!({"airlock": airlock}))
        .await?;
    assert_eq!(response.text, "The answer.");
    let (candidate_calls, rest) = sorted(&model, 5)?;
    for candidate in [4, 5] {
        candidate_calls[candidate - 1].left().await?;
        assert_eq!(response.failed(candidate), Some("interrupted"));
    }
    let [synthesis] = rest.as_slice() else {
        anyhow::bail!("not one synthesis: {}", rest.len())
    };
    assert_eq!(synthesis.user_text().matches(DRAFT).count(), 3);
    Ok(())
}

#[tokio::test]
async fn requests_of_candidates_have_the_header_of_their_depth() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    gateway.client().fan_out(2, by("first")).await?;
    let call = model.call().await?;
    // By these headers, a gateway that is the model provider of another refuses to fan out again.
    assert_eq!(call.header("x-airlock-depth"), Some("1"));
    assert_eq!(call.header("originator"), Some("airlock"));
    assert!(call.header("thread-id").is_some());
    Ok(())
}
