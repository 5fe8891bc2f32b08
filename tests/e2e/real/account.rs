//! The account on the real Codex: every state, every sign-in and sign-out, and nothing left behind.

mod device; // sign-in with a device code
mod leaving; // the end of a sign-in at each stage
mod states; // the status in each state
mod tokens; // external tokens

use std::time::Duration;

use airlock_tests::issuer::PLANTED;
use airlock_tests::{Frame, Gateway, Stream, soon};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long the processes of a sign-in may outlive it.
const GONE: Duration = Duration::from_secs(2);

/// Starts a sign-in.
async fn begin(gateway: &Gateway, body: Value) -> Result<Stream> {
    gateway.client().events("/api/codex/login", &body).await
}

/// The next event other than a log line.
async fn event(stream: &mut Stream) -> Result<Value> {
    loop {
        match soon("an event of a sign-in", stream.next()).await?? {
            Some(Frame::Data(event)) if event["type"] != "log" => return Ok(event),
            Some(Frame::Data(_) | Frame::Comment(_)) => {}
            other => bail!("no event: {other:?}"),
        }
    }
}

/// The last event of a sign-in that needs no user.
async fn ending(gateway: &Gateway, body: Value) -> Result<Value> {
    event(&mut begin(gateway, body).await?).await
}

/// The status, once it satisfies `is`.
async fn status(gateway: &Gateway, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let last = std::cell::RefCell::new(Value::Null);
    let look = async {
        loop {
            let status = gateway.client().get("/api/codex/status").await?.body;
            if is(&status) {
                return anyhow::Ok(status);
            }
            *last.borrow_mut() = status;
        }
    };
    let found = soon(what, look).await;
    found.with_context(|| format!("last: {}", last.borrow()))?
}

/// Processes of sign-ins, which have a temporary home.
fn signing(gateway: &Gateway) -> Vec<airlock_tests::process::Process> {
    let mut all = airlock_tests::process::mentioning(&gateway.data_dir().join("sign-in"));
    all.retain(|process| process.pid != gateway.pid());
    all
}

/// Checks that a sign-in leaves nothing behind after its grace time.
async fn assert_gone(left: Vec<airlock_tests::process::Process>, gateway: &Gateway) -> Result<()> {
    // The connections are closed on the test's own thread, so it must yield.
    let waiting = tokio::task::spawn_blocking(move || {
        for process in left {
            assert!(process.ended_within(GONE)?, "{} is left", process.command);
        }
        anyhow::Ok(())
    });
    waiting.await??;
    assert!(signing(gateway).is_empty());
    Ok(())
}

/// Checks that no secret of the stand-in has leaked.
async fn assert_silent(gateway: &Gateway, said: &[&[u8]]) -> Result<()> {
    let log = gateway.log().await?;
    assert!(!log.contains(PLANTED), "a secret in the log");
    for said in said {
        let said = String::from_utf8_lossy(said);
        assert!(!said.contains(PLANTED), "a secret passed: {said}");
    }
    Ok(())
}

fn device() -> Value {
    json!({"type": "device_code"})
}
