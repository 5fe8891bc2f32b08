//! Children killed at random: each request ends exactly once, and the model receives none twice.

use std::collections::HashMap;

use airlock_tests::process::signal;
use airlock_tests::{Gateway, ModelAnswer, ScriptedModel};
use anyhow::{Result, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use rustix::process::Signal;
use serde_json::json;

use crate::fleet::pid;

const REQUESTS: usize = 200;

/// The number of model requests between two kills.
const ROUND: usize = 15;

#[tokio::test]
async fn each_of_200_requests_ends_once_and_none_is_run_twice() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.otherwise(ModelAnswer::words("a few words"));
    let gateway = Gateway::with().administered().over_real(&model).await?;
    let (client, admin) = (gateway.client(), gateway.admin());
    let requests = stream::iter(0..REQUESTS).map(|number| async move {
        let messages = json!([{"role": "user", "content": format!("request {number};")}]);
        let reply = client.chat(json!({"messages": messages})).await?;
        let whole = reply.status.is_success();
        if whole {
            ensure!(reply.text()? == "a few words", "{}", reply.body);
        } else {
            // The only failures: the turn had begun, or no child was left.
            let code = reply.error("code");
            let codes = ["codex_exited", "codex_starting", "codex_failing"];
            ensure!(codes.iter().any(|it| code == it), "{}", reply.body);
        }
        Ok(whole)
    });
    let all = requests.buffer_unordered(4).collect::<Vec<Result<bool>>>();
    let mut kills = 0;
    let killer = async {
        for round in 1.. {
            if model.expect_calls(round * ROUND).await.is_err() {
                break;
            }
            if let Ok(pid) = pid(&admin.fleet().await?, "serving") {
                signal(pid, Signal::KILL);
                kills += 1;
            }
        }
        // Fewer requests have reached the model than were sent: the others were refused.
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
    assert!(kills > 3, "{kills} children were killed");
    let mut runs: HashMap<String, usize> = HashMap::new();
    for call in model.calls() {
        *runs.entry(call.user_text()).or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    Ok(())
}
