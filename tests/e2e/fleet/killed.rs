//! Children killed at random: each request ends exactly once, and none runs twice.

use std::collections::HashMap;

use airlock_tests::process::signal;
use airlock_tests::{FakeCodex, Script};
use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream;
use rustix::process::Signal;
use serde_json::json;

use super::{pid, spared};

const REQUESTS: usize = 200;

#[tokio::test]
async fn each_request_ends_once_and_none_runs_twice() -> Result<()> {
    let script = Script::new().every_turn(|turn| turn.text("a").text("b").text("c"));
    let fake = FakeCodex::start(script)?;
    let gateway = spared()
        .settings("[fleet]\nchildren = 2")
        .over_fake(&fake)
        .await?;
    let (client, admin) = (gateway.client(), gateway.admin());
    let requests = stream::iter(0..REQUESTS).map(|number| async move {
        let messages = json!([{"role": "user", "content": format!("request {number};")}]);
        let reply = client.chat(json!({"messages": messages})).await?;
        let whole = reply.status.is_success();
        if whole {
            anyhow::ensure!(reply.text()? == "abc", "{}", reply.body);
        } else {
            // The only failures: the turn had begun, or no child was left.
            let code = reply.error("code");
            anyhow::ensure!(
                ["codex_exited", "codex_starting", "codex_failing"]
                    .iter()
                    .any(|it| code == it),
                "{}",
                reply.body
            );
        }
        Ok(whole)
    });
    let all = requests.buffer_unordered(6).collect::<Vec<Result<bool>>>();
    let killer = async {
        // Kills the serving child whenever some more turns have begun.
        for round in 1.. {
            if fake.expect_count("turn/start", round * 20).await.is_err() {
                break;
            }
            if let Ok(pid) = pid(&admin.fleet().await?, "serving") {
                signal(pid, Signal::KILL);
            }
        }
        // Fewer turns have begun than there were requests: the others were refused.
        std::future::pending::<Result<()>>().await
    };
    let outcomes = tokio::select! {
        outcomes = all => outcomes,
        killed = killer => { killed?; anyhow::bail!("the requests did not end") }
    };
    let outcomes: Vec<bool> = outcomes.into_iter().collect::<Result<_>>()?;
    assert_eq!(outcomes.len(), REQUESTS);
    let whole = outcomes.iter().filter(|whole| **whole).count();
    assert!(whole > REQUESTS / 4, "{whole} of {REQUESTS} were answered");
    assert!(fake.starts() > 5, "children were killed");
    let mut runs: HashMap<String, usize> = HashMap::new();
    for start in fake.received("turn/start") {
        let text = start["params"]["input"][0]["text"]
            .as_str()
            .context("no text")?;
        *runs.entry(text.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    Ok(())
}
