//! Replaced children, whose replies are not cut.

use airlock_tests::{Conversation, FakeCodex, Gate, Script, tool};
use anyhow::Result;
use serde_json::{Value, json};

use super::{complete, count, pid, spared};

#[tokio::test]
async fn a_child_that_has_done_enough_sees_its_turns_out() -> Result<()> {
    let gate = Gate::new();
    let script = Script::new().when("slow", |turn| turn.text("Hel").hold(&gate).text("lo"));
    let fake = FakeCodex::start(script)?;
    let gateway = spared()
        .settings("[fleet]\nrecycle_threads = 1")
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    let fleet = complete(&admin).await?;
    let (first, second) = (pid(&fleet, "serving")?, pid(&fleet, "spare")?);
    let messages = json!([{"role": "user", "content": "slow"}]);
    let mut stream = gateway
        .client()
        .stream(json!({"messages": messages}))
        .await?;
    assert_eq!(stream.next_text().await?, "Hel");
    let left = |fleet: &Value| count(fleet, "leaving") == 1 && count(fleet, "spare") == 1;
    let fleet = admin.fleet_is("a child that leaves", left).await?;
    assert_eq!(
        (pid(&fleet, "leaving")?, pid(&fleet, "serving")?),
        (first, second)
    );
    let leaving = fleet["children"].as_array().into_iter().flatten();
    let leaving: Vec<_> = leaving
        .filter(|child| child["state"] == "leaving")
        .collect();
    assert_eq!(
        (&leaving[0]["due"], &leaving[0]["turns"]),
        (&json!("threads"), &json!(1))
    );
    gate.open();
    assert_eq!(stream.text().await?, "lo");
    fake.expect_end(first).await?;
    let fleet = complete(&admin).await?;
    let replaced = fleet["replaced"].as_array().into_iter().flatten();
    let threads = replaced.filter(|one| one["reason"] == "threads");
    assert!(
        threads.clone().all(|one| one["children"] == 1) && threads.count() == 1,
        "{fleet}"
    );
    Ok(())
}

#[tokio::test]
async fn every_reply_is_whole_while_children_come_and_go() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = spared()
        .settings("[fleet]\nrecycle_threads = 5")
        .over_fake(&fake)
        .await?;
    for round in 0..10 {
        let requests = (0..6).map(|number| {
            let client = gateway.client().clone();
            async move {
                let text = format!("r{round}.{number}");
                anyhow::ensure!(client.ask(&text).await? == format!("You said: {text}"));
                Ok(())
            }
        });
        futures_util::future::try_join_all(requests).await?;
    }
    let fleet = gateway.admin().fleet().await?;
    assert!(
        fleet["started"]
            .as_u64()
            .is_some_and(|started| started >= 3),
        "{fleet}"
    );
    assert_eq!(fleet["threads"], 60);
    let log = gateway.log().await?;
    assert!(
        !log.contains("ERROR") && !log.contains("codex ended"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn parked_turns_of_a_replaced_child_end_and_are_rebuilt() -> Result<()> {
    let script = Script::new()
        .turn(|turn| turn.call("call_1", "get_weather", "{}").text("never told"))
        .turn(|turn| turn.text("Cold."));
    let fake = FakeCodex::start(script)?;
    let gateway = spared()
        .settings("[fleet]\nrecycle_threads = 1")
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    let first = pid(&complete(&admin).await?, "serving")?;
    let body = json!({"tools": [tool("get_weather")]});
    let mut talk = Conversation::new(gateway.client(), "How is Oslo?", body);
    talk.ask().await?;
    // The turn is parked, and its child exits without waiting for it.
    fake.expect_end(first).await?;
    let reply = talk.answer(&[("call_1", "7 degrees")]).await?;
    assert_eq!((&*reply.turn, &*reply.text), ("rebuilt", "Cold."));
    Ok(())
}

#[tokio::test]
async fn a_child_makes_way_when_it_is_old() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = spared()
        .settings("[fleet]\nrecycle_age = \"1s\"")
        .over_fake(&fake)
        .await?;
    let aged = |fleet: &Value| {
        let mut replaced = fleet["replaced"].as_array().into_iter().flatten();
        replaced.any(|one| one["reason"] == "age" && one["children"].as_u64() > Some(1))
    };
    gateway
        .admin()
        .fleet_is("children replaced for their age", aged)
        .await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    Ok(())
}
