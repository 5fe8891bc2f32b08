//! The example policies, each served by a gateway: Rust on the shipped one, a part of a policy, and JavaScript. Also the
//! stamping policy, with which swaps are proved.

use std::path::Path;
use std::time::Duration;

use airlock_tests::policies::stamped;
use airlock_tests::{
    FakeCodex, Frame, Gateway, Script, ScriptedResponse, angle, fan_out, programs, within,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

/// A secret in the pieces of a stream.
const SECRET: [&str; 3] = ["sk-pr", "oj-4fT9xQ2mLk8s", "Pz7Wv1Yb3Nc"];

/// The timeout for the dev build to compile a JavaScript engine: about 30 s on a busy machine.
const COMPILING: Duration = Duration::from_secs(100);

async fn serve(policy: impl AsRef<Path>, script: Script) -> Result<(FakeCodex, Gateway)> {
    let fake = FakeCodex::start(script)?;
    let settings = "[sandbox]\ncall_timeout = \"200ms\"";
    let gateway = Gateway::with()
        .settings(settings)
        .policy(policy.as_ref())
        .patience(COMPILING)
        .over_fake(&fake)
        .await?;
    Ok((fake, gateway))
}

fn asking(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn redact_takes_secrets_out_however_they_are_cut() -> Result<()> {
    let script = Script::new()
        .when("whole", |turn| turn.text(&SECRET.concat()).text(" is it."))
        .when("pieces", |turn| {
            let thought = SECRET
                .iter()
                .fold(turn, |turn, piece| turn.reasoning(piece));
            let pieces = SECRET.iter();
            let pieces = pieces.fold(thought.text("It is "), |turn, piece| turn.text(piece));
            pieces.text(". Ends with s")
        });
    let (_fake, gateway) = serve(airlock_tests::components::REDACT, script).await?;
    let client = gateway.client();
    assert_eq!(client.ask("whole").await?, "[redacted api key] is it.");
    let answer = "It is [redacted api key]. Ends with s";
    assert_eq!(client.ask("pieces").await?, answer);

    let body = json!({"messages": asking("pieces")["messages"], "include_reasoning": true});
    let mut stream = client.stream(body).await?;
    let frames = stream.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), answer);
    let reasoning: String = frames.iter().map(Frame::reasoning).collect();
    assert_eq!(reasoning, "[redacted api key]");
    assert_eq!(frames.last(), Some(&Frame::Done));
    Ok(())
}

#[tokio::test]
async fn redact_looks_at_candidates_and_at_what_is_picked() -> Result<()> {
    let script = Script::new()
        .when_instructed(&angle(1), |turn| {
            turn.text(SECRET[0]).text(SECRET[1]).text(SECRET[2])
        })
        .when_instructed(&angle(2), |turn| turn.fail("serverOverloaded", "no"));
    let (_fake, gateway) = serve(airlock_tests::components::REDACT, script).await?;
    let response = gateway.client().fan_out(2, json!({})).await?;
    assert_eq!(response.text, "[redacted api key]");
    assert_eq!(response.closed(1), Some("[redacted api key]"));
    Ok(())
}

#[tokio::test]
async fn house_voice_without_settings_serves_as_the_shipped_policy_does() -> Result<()> {
    let (fake, gateway) = serve(airlock_tests::components::HOUSE_VOICE, Script::new()).await?;
    assert_eq!(gateway.client().ask("hi").await?, "You said: hi");
    let mut stream = gateway.client().stream(asking("there")).await?;
    assert_eq!(stream.text().await?, "You said: there");
    assert_eq!(fake.received("turn/start").len(), 2);
    Ok(())
}

/// A gateway with the composed policy, whose candidates have these answers. One without an answer fails.
async fn composed(answers: &[&str]) -> Result<(FakeCodex, Gateway)> {
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("majority.wasm");
    let mut compose = Command::new(programs::airlock()?);
    compose
        .args([
            "policy",
            "compose",
            airlock_tests::components::MAJORITY_PART,
            "-o",
        ])
        .arg(&policy)
        .kill_on_drop(true);
    let output = within(COMPILING, "a composed policy", compose.output()).await??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot compose: {errors}");

    let script = (1..)
        .zip(answers)
        .fold(Script::new(), |script, (n, answer)| {
            script.when_instructed(&angle(n), |turn| match *answer {
                "" => turn.fail("serverOverloaded", "no"),
                answer => turn.text(answer),
            })
        });
    serve(&policy, script).await
}

#[tokio::test]
async fn majority_takes_what_most_agree_on() -> Result<()> {
    let answers = ["a much longer answer", "42.", "**42**", "seven"];
    let (_fake, gateway) = composed(&answers).await?;
    let response = gateway.client().fan_out(answers.len(), json!({})).await?;
    assert_eq!(response.text, "**42**");
    let synthesis = &response.airlock["synthesis"];
    assert_eq!(synthesis["candidate"], 3);
    assert_eq!(
        (&synthesis["agreed"], &synthesis["answers"]),
        (&json!(2), &json!(4))
    );
    Ok(())
}

#[tokio::test]
async fn majority_fails_where_all_fail() -> Result<()> {
    let (_fake, gateway) = composed(&["", ""]).await?;
    let reply = gateway.client().chat(fan_out(2, json!({}))).await?;
    assert_eq!(reply.error("code"), "server_overloaded", "{}", reply.body);
    Ok(())
}

#[tokio::test]
async fn haiku_is_a_policy_in_javascript() -> Result<()> {
    let policy = programs::workspace().join("target/policies-js/haiku.wasm");
    ensure!(
        policy.exists(),
        "run `make haiku`: {} is missing",
        policy.display()
    );
    let script = Script::new()
        .when("pond", |turn| {
            turn.text("An old silent pond…\n").text("A frog jumps in")
        })
        .when("broken", |turn| turn.fail("serverOverloaded", "no"));
    let (fake, gateway) = serve(&policy, script).await?;
    let client = gateway.client();
    let poem = "Haiku\n\nAn old silent pond…\nA frog jumps in";
    let messages = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "é"},
        {"role": "assistant", "content": "漢🦀"}, {"role": "user", "content": "a pond"}]);
    let mut stream = client.stream(json!({"messages": messages})).await?;
    let frames = stream.frames().await?;
    assert_eq!(frames.iter().map(Frame::text).collect::<String>(), poem);
    assert_eq!(frames.last(), Some(&Frame::Done));

    let whole = client.chat(asking("a pond")).await?;
    assert_eq!(whole.text()?, poem);
    assert_eq!(whole.body["usage"]["completion_tokens"], 2);

    let starts = fake.received("thread/start");
    let instructions = starts[0]["params"]["baseInstructions"].to_string();
    assert!(
        instructions.contains("Answer with one haiku") && instructions.contains("Be kind."),
        "{instructions}"
    );
    let injected = fake.received("thread/inject_items")[0].to_string();
    assert!(
        injected.contains('é') && injected.contains("漢🦀"),
        "{injected}"
    );

    let broken = client.chat(asking("broken")).await?;
    assert!(broken.status.is_server_error(), "{}", broken.body);
    for (body, param) in [
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": 1}]}),
            "messages[0].content",
        ),
    ] {
        let refused = client.chat(body).await?;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.body);
        assert_eq!(refused.error("param"), param, "{}", refused.body);
    }
    for body in ["", "[", &"[".repeat(100_000)] {
        let refused = client.post("/v1/chat/completions", body.to_owned()).await?;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.body);
    }
    let models = client.get("/v1/models").await?;
    assert_eq!(models.body["data"][0]["object"], "model");
    Ok(())
}

/// The component of a build with this stamp.
fn build(folder: &Path, stamp: &str) -> Result<std::path::PathBuf> {
    let path = folder.join("stamp.wasm");
    std::fs::write(&path, stamped(stamp)?)?;
    Ok(path)
}

#[tokio::test]
async fn a_stamp_is_on_all_output_of_a_build() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let policy = build(folder.path(), "PROOF-0042")?;
    let script = Script::new().when("fails", |turn| {
        turn.text("a").fail("serverOverloaded", "no")
    });
    let (_fake, gateway) = serve(policy, script).await?;
    for text in ["hi there", "fails"] {
        let mut stream = gateway.client().stream(asking(text)).await?;
        let frames = stream.frames().await?;
        let (last, rest) = frames.split_last().context("no frames")?;
        assert_eq!(last, &Frame::Done);
        assert!(rest.len() >= 2, "{rest:?}");
        for frame in rest {
            let data = frame.data().context("a second [DONE]")?;
            assert_eq!(data["stamp"], "PROOF-0042", "{data}");
        }
    }
    let whole = gateway.client().chat(asking("hi there")).await?;
    assert_eq!(whole.text()?, "You said: hi there");
    assert_eq!(whole.body["stamp"], "PROOF-0042");
    let body = json!({"parallel_calls": 3, "messages": asking("all")["messages"]});
    let chosen = gateway.client().chat(body).await?;
    assert_eq!(chosen.text()?, "You said: all");
    Ok(())
}

#[tokio::test]
async fn a_stamping_policy_misbehaves_where_the_request_requires() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let policy = build(folder.path(), "STAMP-0001")?;
    let (_fake, gateway) = serve(policy, Script::new()).await?;
    let client = gateway.client();
    for place in ["render", "decide", "open", "feed", "finish", "panel"] {
        for deed in ["trap", "loop", "stack"] {
            let word = format!("stamp:{deed}:{place}");
            let attempts = if place == "panel" { 2 } else { 1 };
            let body = json!({"parallel_calls": attempts, "messages": asking(&word)["messages"]});
            let reply = client.chat(body).await?;
            assert_eq!(reply.status.as_u16(), 500, "{word}: {}", reply.body);
            assert_eq!(client.ask("fine").await?, "You said: fine", "{word}");
        }
    }
    let slow = client.ask("stamp:slow:feed").await?;
    assert_eq!(slow, "You said: stamp:slow:feed");
    Ok(())
}

#[tokio::test]
async fn a_model_can_make_a_stamping_policy_fail_at_the_list() -> Result<()> {
    let mut models: Value = serde_json::from_str(include_str!("../src/fake/models.json"))?;
    models[0]["description"] = json!("stamp:trap:models");
    let list = ScriptedResponse::Result(json!({"data": models, "nextCursor": null}));
    let folder = tempfile::tempdir()?;
    let policy = build(folder.path(), "STAMP-0001")?;
    let (_fake, gateway) = serve(policy, Script::new().always("model/list", list)).await?;
    let listed = gateway.client().get("/v1/models").await?;
    assert_eq!(listed.status.as_u16(), 500, "{}", listed.body);
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}
