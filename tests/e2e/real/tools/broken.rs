//! A model whose stream breaks after a call, or pauses between two: the real Codex reports neither until the call is answered.

use airlock_tests::{Gate, Gateway, ModelAnswer, ScriptedModel};
use anyhow::{Context, Result};
use futures_util::future::try_join;
use serde_json::json;

use super::{BERGEN, OSLO, WEATHER, asking, outcome, output};
use crate::real::recorded::RecordedCodex;

/// A short `limits.call_silence`.
const SILENCE: &str = "[limits]\ncall_silence = \"200ms\"";

#[tokio::test]
async fn calls_before_a_stream_breaks_reach_the_client() -> Result<()> {
    type Break = fn(ModelAnswer) -> ModelAnswer;
    let rows: [(bool, u32, Break); 4] = [
        (false, 0, ModelAnswer::disconnect),
        (true, 2, ModelAnswer::disconnect),
        (false, 2, ModelAnswer::eof),
        (true, 0, ModelAnswer::eof),
    ];
    for (streaming, retries, breaks) in rows {
        let codex = RecordedCodex::new()?;
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::with()
            .settings(SILENCE)
            .retries(retries)
            .over_real_at(codex.program(), &model)
            .await?;
        let gate = Gate::new();
        let answer = ModelAnswer::words("Let me see.").call("call_1", WEATHER, OSLO);
        model.next(breaks(answer.hold(&gate)));
        model.when_answered("call_1", ModelAnswer::words("It is cold."));
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        // Data in transit may be lost when a connection breaks.
        let breaking = async {
            codex.expect_call().await?;
            gate.open();
            anyhow::Ok(())
        };
        let (reply, ()) = try_join(talk.ask(), breaking).await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", "Let me see."));
        assert_eq!(reply.call()?.arguments, OSLO);
        codex.expect_closed(1).await?;

        let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
        assert_eq!(outcome(&reply), ("rebuilt", "stop", "It is cold."));
        codex.expect_closed(2).await?;
        let calls = model.calls();
        let last = calls.last().context("none")?;
        assert_eq!(last.outputs(), [output("call_1", "7 degrees")]);
        assert_eq!(calls.len(), 2, "nobody asked behind the client's back");
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_slow_between_two_calls_makes_both() -> Result<()> {
    for streaming in [false, true] {
        let codex = RecordedCodex::new()?;
        let model = ScriptedModel::start().await?;
        let gateway = Gateway::with()
            .settings(SILENCE)
            .over_real_at(codex.program(), &model)
            .await?;
        let gate = Gate::new();
        let answer = ModelAnswer::new()
            .call("call_1", WEATHER, OSLO)
            .hold(&gate)
            .call("call_2", WEATHER, BERGEN);
        model.next(answer);
        let mut talk = asking(&gateway, json!({})).streaming(streaming);
        // The model continues only once the gateway has checked with Codex.
        let speaking = async {
            codex.expect_answered().await?;
            gate.open();
            anyhow::Ok(())
        };
        let (reply, ()) = try_join(talk.ask(), speaking).await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", ""));
        assert_eq!(reply.ids(), ["call_1", "call_2"]);

        model.when_answered("call_2", ModelAnswer::words("Both cold."));
        let reply = talk.answer(&[("call_1", "7"), ("call_2", "9")]).await?;
        assert_eq!(outcome(&reply), ("rebuilt", "stop", "Both cold."));
        let calls = model.calls();
        let last = calls.last().context("none")?;
        assert_eq!(
            last.outputs(),
            [output("call_1", "7"), output("call_2", "9")]
        );
        assert_eq!(calls.len(), 2);
        codex.expect_closed(2).await?;
    }
    Ok(())
}
