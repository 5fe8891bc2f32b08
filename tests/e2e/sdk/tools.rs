//! Functions run by the packages' own helpers and by agent frameworks, over the real Codex, so that the model's input is
//! checked.

use std::collections::HashSet;

use airlock_tests::model::ModelRequest;
use anyhow::Result;

use super::scripted;

/// The results of calls that a script sends.
pub(super) struct Expected {
    /// The number of results.
    pub(super) results: usize,
    /// The number of requests with results that continue the thread of their calls. The others bring calls of elsewhere.
    pub(super) resumed: usize,
}

/// Runs a script, and checks that the model received each result that the script reports, once. Returns the requests to
/// the model.
pub(super) async fn calls_functions(name: &str, expected: Expected) -> Result<Vec<ModelRequest>> {
    let (printed, calls) = scripted::run(name, &[]).await?;
    // ok NAME CALL=RESULT CALL=RESULT
    let words = printed
        .lines()
        .flat_map(|line| line.split_whitespace().skip(2));
    let pairs = words.filter_map(|pair| pair.rsplit_once('='));
    let mut sent: Vec<_> = pairs
        .map(|(call, result)| (call.to_owned(), result.to_owned()))
        .collect();
    let mut brought: Vec<_> = calls.iter().flat_map(|call| call.brought()).collect();
    sent.sort();
    brought.sort();
    assert_eq!(sent.len(), expected.results, "{printed}");
    assert_eq!(brought, sent, "{printed}");
    assert_eq!(resumed(&calls), expected.resumed, "{printed}");
    Ok(calls)
}

/// The number of requests that bring results in a thread of an earlier request.
fn resumed(calls: &[ModelRequest]) -> usize {
    let mut threads = HashSet::new();
    let mut resumed = 0;
    for call in calls {
        let is_known = !threads.insert(call.header("thread-id"));
        resumed += usize::from(is_known && !call.brought().is_empty());
    }
    resumed
}

#[tokio::test]
async fn the_python_package_calls_functions() -> Result<()> {
    // looped, streamed, helped and parsed send 2 results each, speaking and replayed 1 each.
    let expected = Expected {
        results: 10,
        resumed: 5,
    };
    calls_functions("tools.py", expected).await?;
    Ok(())
}

#[tokio::test]
async fn the_node_package_runs_functions() -> Result<()> {
    // whole and streamed send 3 results each, one by one, together and togetherStreamed 2 each.
    let expected = Expected {
        results: 10,
        resumed: 8,
    };
    calls_functions("tools.mjs", expected).await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_works_in_steps() -> Result<()> {
    // whole, streamed and stepped send 3 results each, one by one, together 2, continued 2 and then 3.
    let expected = Expected {
        results: 16,
        resumed: 14,
    };
    calls_functions("agent.py", expected).await?;
    Ok(())
}
