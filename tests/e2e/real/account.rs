//! Who is signed in, on the real Codex: every state, every way in, every way out, and nothing left behind.

mod device; // signing in with a code
mod leaving; // ending it at each stage
mod states; // what the status says
mod tokens; // tokens from outside

use std::time::Duration;

use airlock_tests::issuer::PLANTED;
use airlock_tests::{Frame, Gateway, Stream, soon};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long what a sign-in began may outlive it.
const GONE: Duration = Duration::from_secs(2);

/// Begins to sign in.
async fn begin(gateway: &Gateway, body: Value) -> Result<Stream> {
    gateway.client().events("/api/codex/login", &body).await
}

/// The next event that is not a line of a log.
async fn event(stream: &mut Stream) -> Result<Value> {
    loop {
        match soon("an event of a sign-in", stream.next()).await?? {
            Some(Frame::Data(event)) if event["type"] != "log" => return Ok(event),
            Some(Frame::Data(_) | Frame::Comment(_)) => {}
            other => bail!("no event: {other:?}"),
        }
    }
}

/// The last event of a sign-in that needs nobody.
async fn ending(gateway: &Gateway, body: Value) -> Result<Value> {
    event(&mut begin(gateway, body).await?).await
}

/// The status, once it `is` so.
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

/// Processes of sign-ins: those whose home is none that lasts.
fn signing(gateway: &Gateway) -> Vec<airlock_tests::process::Process> {
    let mut all = airlock_tests::process::mentioning(&gateway.data_dir().join("sign-in"));
    all.retain(|process| process.pid != gateway.pid());
    all
}

/// Checks that nothing is left of a sign-in after the time that it has.
async fn assert_gone(left: Vec<airlock_tests::process::Process>, gateway: &Gateway) -> Result<()> {
    // The test's own thread has the connections to close.
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

/// Checks that no secret of the stand-in's has passed.
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
