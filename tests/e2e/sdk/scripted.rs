//! The scripted model with the answers that the scripts of `tests/sdk` expect. It repeats any other text.

use std::process::Output;
use std::time::Duration;

use airlock_tests::model::ModelRequest;
use airlock_tests::{Gate, Gateway, ModelAnswer, ScriptedModel, Usage, within};
use anyhow::Result;
use serde_json::json;

use super::{KEY, script, succeeded};

/// Timeout of a script, which may send a hundred requests.
const SCRIPT: Duration = Duration::from_secs(90);

/// The encrypted content of the model's reasoning.
pub(super) const ENCRYPTED: &str = "gAAAA-scripted";

const OSLO: &str = r#"{"city":"Oslo"}"#;
const WARMTH: &str = "It is 7 degrees.";

/// Runs a script over the real Codex and this model. Returns what it printed, and the requests to the model.
pub(super) async fn run(name: &str, arguments: &[&str]) -> Result<(String, Vec<ModelRequest>)> {
    let gate = Gate::new();
    let model = model(&gate).await?;
    let gateway = Gateway::with()
        .environment("AIRLOCK_API_KEY", KEY)
        .settings("[limits]\nheartbeat = \"10ms\"")
        .over_real(&model)
        .await?;
    let mut command = script(name, arguments, &gateway)?;
    let opening = async {
        while !model.call().await?.user_text().contains("go on") {}
        gate.open();
        std::future::pending::<Result<Output>>().await
    };
    let ended = async { Ok(command.output().await?) };
    let output = within(SCRIPT, "the script's end", async {
        tokio::select! {
            output = ended => output,
            failed = opening => failed,
        }
    });
    let output = output.await??;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    succeeded(output)?;
    Ok((printed, model.calls()))
}

/// A model with answers to each message of the scripts. After "slowly" it pauses until the gate is open.
async fn model(gate: &Gate) -> Result<ScriptedModel> {
    let model = ScriptedModel::start().await?;
    calls(&model);
    failures(&model);
    texts(&model, gate);
    Ok(model)
}

/// Reasoning, as the model shows it and as the client sends it back.
fn thinking() -> ModelAnswer {
    let thinking = ModelAnswer::new().reasoning("I am thinking.");
    thinking.encrypted(ENCRYPTED)
}

/// Messages that are answered with calls, and then with a text.
fn calls(model: &ScriptedModel) {
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
    let thought = thinking().call("call_thought", "weather", OSLO);
    model.rounds("think, then call", [thought, words(WARMTH)]);
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
    // pydantic-ai's name for a typed answer.
    let report = new().call(
        "call_report",
        "final_result",
        r#"{"city":"Oslo","degrees":7}"#,
    );
    model.rounds("report", [report, never()]);
    // A tool whose input is any text, which the model knows as a function.
    let note = json!({"input": "milk, eggs"}).to_string();
    let noting = new().call("call_note", "note", note);
    model.rounds("write a note", [noting, words("I made a note.")]);
}

/// Messages at which the model fails.
fn failures(model: &ScriptedModel) {
    let status = ModelAnswer::status;
    let failed = |code| ModelAnswer::new().failed(code);
    let half = || ModelAnswer::new().text("half");
    model.when("limited", status(429, "rate_limit_exceeded"));
    model.when("spent", status(429, "insufficient_quota"));
    model.when("no such model", status(404, "model_not_found"));
    model.when("broken", failed("server_error"));
    model.when("crowded", failed("server_is_overloaded"));
    model.when("too long", failed("context_length_exceeded"));
    let breaking = ModelAnswer::new().text("word");
    model.when("break off", breaking.failed("server_error"));
    model.when("too much", half().incomplete("max_output_tokens"));
    model.when("filtered", half().incomplete("content_filter"));
}

/// Messages that are answered with texts.
fn texts(model: &ScriptedModel, gate: &Gate) {
    let new = ModelAnswer::new;
    model.when("as json", new().text("{\"answer\"").text(": 4}"));
    model.when("for ever", new().text("word").hang());
    model.when("on and on", new().text("one ST").text("OP two").hang());
    model.when("slowly", new().text("before ").hold(gate).text("after"));
    model.when("think", thinking().text("thought"));
    let usage = Usage {
        input: 100,
        cached: 40,
        output: 5,
        reasoning: 0,
    };
    let hello = ModelAnswer::words("You said: hello");
    model.when("hello", hello.usage(Some(usage)));
}
