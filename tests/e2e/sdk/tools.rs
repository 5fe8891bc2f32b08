//! Functions run by the packages' own helpers and by an agent framework, over the real Codex, so that the model's input is
//! checked.

use std::collections::HashSet;
use std::path::PathBuf;

use airlock_tests::{Gateway, ModelAnswer, ScriptedModel, programs, soon};
use anyhow::{Result, ensure};

use super::{KEY, asking};

/// The model with the answers that the scripts expect. It repeats any other text.
fn order(model: &ScriptedModel) {
    const OSLO: &str = r#"{"city":"Oslo"}"#;
    const WARMTH: &str = "It is 7 degrees.";
    let new = ModelAnswer::new;
    let words = ModelAnswer::words;
    let never = || words("never asked for");
    let both = new().call("call_oslo", "weather", OSLO).call(
        "call_bergen",
        "weather",
        r#"{"city":"Bergen"}"#,
    );
    model.rounds("call two", [both, words("Bergen is warmer.")]);
    let speaking = words("Let me look.").call("call_spoken", "weather", OSLO);
    model.rounds("speak, then call", [speaking, words(WARMTH)]);
    model.when_answered("toolu_from.elsewhere-1", words(WARMTH));
    let one = new().call("call_one", "weather", OSLO);
    model.rounds("call one", [one, never()]);
    let steps = [
        new().call("call_locate", "locate", r#"{"person":"Ann"}"#),
        new().call("call_weather", "weather", OSLO),
        new().call("call_dress", "dress", r#"{"degrees":7}"#),
        words("Wear a coat."),
    ];
    model.rounds("three steps", steps);
    // The framework's name for a typed answer.
    let report = new().call(
        "call_report",
        "final_result",
        r#"{"city":"Oslo","degrees":7}"#,
    );
    model.rounds("report", [report, never()]);
}

/// The outcome of a script.
struct Expected {
    /// The results that it sends.
    results: usize,
    /// The number of threads of its conversations: each turn with calls resumes in its own.
    threads: usize,
}

/// Runs a script, and checks that the model received each result that the script reports, once.
async fn calls_functions(program: PathBuf, arguments: &[&str], expected: Expected) -> Result<()> {
    let model = ScriptedModel::start().await?;
    order(&model);
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .over_real(&model)
        .await?;
    let mut command = asking(program, arguments, &gateway);
    let output = soon("the script's end", command.output()).await??;
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}{complaint}");
    // ok NAME CALL=RESULT CALL=RESULT
    let words = printed
        .lines()
        .flat_map(|line| line.split_whitespace().skip(2));
    let pairs = words.filter_map(|pair| pair.rsplit_once('='));
    let mut sent: Vec<_> = pairs
        .map(|(call, result)| (call.to_owned(), result.to_owned()))
        .collect();
    let calls = model.calls();
    let mut brought: Vec<_> = calls.iter().flat_map(|call| call.brought()).collect();
    sent.sort();
    brought.sort();
    assert_eq!(sent.len(), expected.results, "{printed}");
    assert_eq!(brought, sent, "{printed}");
    let threads: HashSet<_> = calls.iter().map(|call| call.header("thread-id")).collect();
    assert_eq!(threads.len(), expected.threads, "{printed}{threads:?}");
    Ok(())
}

#[tokio::test]
async fn the_python_package_calls_functions() -> Result<()> {
    let python = programs::tool("python/bin/python")?;
    programs::tool("python/stamp")?;
    let file = programs::workspace().join("tests/sdk/tools.py");
    // looped, streamed, helped and parsed send 2 each, speaking and replayed 1 each; chosen asks four things, speaking two.
    let expected = Expected {
        results: 10,
        threads: 11,
    };
    calls_functions(python, &[&file.to_string_lossy()], expected).await
}

#[tokio::test]
async fn the_node_package_runs_functions() -> Result<()> {
    programs::tool("node/stamp")?;
    let package = programs::tool("node")?;
    let file = programs::workspace().join("tests/sdk/tools.mjs");
    let arguments = [&*file.to_string_lossy(), &*package.to_string_lossy()].map(str::to_owned);
    let arguments = arguments.each_ref().map(String::as_str);
    // whole and streamed send 3 each, together and togetherStreamed 2 each, chosen none.
    let expected = Expected {
        results: 10,
        threads: 5,
    };
    calls_functions(PathBuf::from("node"), &arguments, expected).await
}

#[tokio::test]
async fn an_agent_works_in_steps() -> Result<()> {
    let python = programs::tool("python/bin/python")?;
    programs::tool("python/stamp")?;
    let file = programs::workspace().join("tests/sdk/agent.py");
    // whole, streamed and stepped send 3 each, together 2, continued 5; continued and typed ask two things each.
    let expected = Expected {
        results: 16,
        threads: 8,
    };
    calls_functions(python, &[&file.to_string_lossy()], expected).await
}
