//! A model whose stream breaks after a call, which Codex does not report, or that pauses between two calls.

use airlock_tests::{FakeCodex, Gate, Gateway, Script};
use anyhow::Result;
use futures_util::future::try_join;

use super::{BERGEN, OSLO, WEATHER, asking, called, injected, outcome};

/// A short `limits.call_silence`.
const SILENCE: &str = "[limits]\ncall_silence = \"200ms\"";

#[tokio::test]
async fn calls_before_a_stream_breaks_reach_the_client() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new()
            .turn(|turn| {
                turn.text("Let me see.")
                    .call("call_1", WEATHER, OSLO)
                    .reconnect(None)
                    .text("never told")
                    .hang()
            })
            .turn(|turn| turn.text("Cold."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::with().settings(SILENCE).over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is Oslo?").streaming(streaming);
        let reply = talk.ask().await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", "Let me see."));
        assert_eq!(reply.call()?.arguments, OSLO);
        fake.expect_threads_returned().await?;
        // The result that the gateway gave to Codex is not the client's.
        assert!(fake.results().iter().all(|result| !result.success));

        let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
        assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
        assert!(injected(&fake).ends_with(&called("call_1", OSLO, "7 degrees")));
        assert_eq!(fake.received("turn/start").len(), 2);
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_is_slow_between_two_calls_makes_both() -> Result<()> {
    for streaming in [false, true] {
        let gate = Gate::new();
        let script = Script::new()
            .turn(|turn| {
                turn.call("call_1", WEATHER, OSLO)
                    .hold(&gate)
                    .call("call_2", WEATHER, BERGEN)
                    .text("never told")
                    .hang()
            })
            .turn(|turn| turn.text("Cold."));
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::with().settings(SILENCE).over_fake(&fake).await?;
        let mut talk = asking(&gateway, "How is it?").streaming(streaming);
        // The turn continues only once the gateway has checked with Codex.
        let speaking = async {
            fake.expect_answer().await?;
            gate.open();
            anyhow::Ok(())
        };
        let (reply, ()) = try_join(talk.ask(), speaking).await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", ""));
        assert_eq!(reply.ids(), ["call_1", "call_2"]);
        fake.expect_endings("interrupted", 1).await?;

        let reply = talk.answer(&[("call_1", "7"), ("call_2", "9")]).await?;
        assert_eq!(outcome(&reply), ("rebuilt", "stop", "Cold."));
        fake.expect_threads_returned().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_goes_on_in_time_has_its_turn_wait() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new().turn(|turn| {
        turn.call("call_1", WEATHER, OSLO)
            .hold(&gate)
            .call("call_2", WEATHER, BERGEN)
            .text("Cold.")
    });
    let fake = FakeCodex::start(script)?;
    let gateway = Gateway::over_fake(&fake).await?;
    let mut talk = asking(&gateway, "How is it?");
    gate.open();
    assert_eq!(talk.ask().await?.ids(), ["call_1", "call_2"]);
    let reply = talk.answer(&[("call_1", "7"), ("call_2", "9")]).await?;
    assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
    fake.expect_threads_returned().await
}
