//! Candidates of a fan-out with tools: the shipped policy offers them none, but another may.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::Result;
use serde_json::json;

use super::{OSLO, WEATHER, asking_with, outcome};

#[tokio::test]
async fn a_candidate_that_calls_waits_and_goes_on_as_the_answer() -> Result<()> {
    for streaming in [false, true] {
        let script = Script::new()
            .when_instructed("candidate 1", |turn| turn.text("Still thinking.").hang())
            .when_instructed("candidate 2", |turn| {
                turn.text("Let me see.")
                    .call("call_1", WEATHER, OSLO)
                    .text("Cold.")
            });
        let fake = FakeCodex::start(script)?;
        let gateway = Gateway::with()
            .settings("[limits]\nturns = 2")
            .policy(airlock_tests::components::HOSTILE)
            .over_fake(&fake)
            .await?;
        let more = json!({"user": "hostile:candidates"});
        let mut talk = asking_with(&gateway, "How is Oslo?", more).streaming(streaming);
        let reply = talk.ask().await?;
        assert_eq!(outcome(&reply), ("", "tool_calls", "Let me see."));
        let started = fake.received("thread/start");
        assert_eq!(started.len(), 2);
        for started in started {
            assert_eq!(started["params"]["dynamicTools"][0]["name"], WEATHER);
        }
        // The other turn ends, and this one holds no permit.
        fake.expect_endings("interrupted", 1).await?;
        assert_eq!(fake.received("turn/interrupt").len(), 1);

        let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
        assert_eq!(outcome(&reply), ("resumed", "stop", "Cold."));
        assert_eq!(fake.received("turn/start").len(), 2);
        assert_eq!(fake.expect_result().await?.output, "7 degrees");
        fake.expect_threads_returned().await?;
    }
    Ok(())
}
