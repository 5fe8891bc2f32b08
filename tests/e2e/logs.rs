//! Text of clients, models and policies in the log: it can neither begin a line nor hide one.

use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// A forged log line, after characters that might end the line before.
const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z  INFO airlock: FORGED\r\u{0}\u{1b}[2K\u{85}\u{2028}\u{202e}\u{200b}\u{feff}";

/// Sends the forged line in every field that reaches the log, and returns the log.
async fn log(settings: &str) -> Result<String> {
    let said = json!({"error": {"message": FORGED, "type": "invalid_request_error"}});
    let fake = FakeCodex::start(
        Script::new().every_turn(|turn| turn.fail(json!("other"), &said.to_string())),
    )?;
    let gateway = Gateway::with().settings(settings).over_fake(&fake).await?;
    let client = gateway.client();
    for path in ["/v1/models/", "/"] {
        let forged = "x%0a2026-01-01T00:00:00Z%20%20INFO%20airlock:%20FORGED%0d%00%1b%5b2K%c2%85%e2%80%ae%e2%80%8b";
        client.get(&format!("{path}{forged}")).await?;
    }
    let message = |role: &str| json!([{"role": role, "content": "hello"}]);
    for body in [
        json!({"messages": message(FORGED)}),
        json!({"reasoning_effort": FORGED}),
        json!({"model": FORGED}),
        json!({"response_format": {"type": FORGED}}),
        json!({"synthesis": FORGED, "parallel_calls": 2}),
        // The model's own 400.
        json!({}),
    ] {
        let reply = client.chat(body).await?;
        assert!(
            reply.status.is_client_error(),
            "{} {}",
            reply.status,
            reply.body
        );
    }
    gateway.log().await
}

fn is_unprintable(character: char) -> bool {
    character.is_control() || "\u{2028}\u{202e}\u{200b}\u{feff}".contains(character)
}

#[tokio::test]
async fn no_text_of_others_begins_a_line_of_the_log() -> Result<()> {
    let log = log("log.filter = \"airlock=debug\"").await?;
    for line in log.lines() {
        // Time and level.
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        let level = words.next().unwrap_or_default();
        assert!(
            time.ends_with('Z') && !time.starts_with("2026-01-01"),
            "{line}"
        );
        assert!(
            ["DEBUG", "INFO", "WARN", "ERROR"].contains(&level),
            "{line}"
        );
        assert!(!line.contains(is_unprintable), "{line:?}");
    }
    assert!(log.contains("FORGED"), "{log}");
    Ok(())
}

#[tokio::test]
async fn nor_one_of_json() -> Result<()> {
    let log = log("log.filter = \"airlock=debug\"\nlog.json = true").await?;
    let mut forged = 0;
    for line in log.lines() {
        assert!(!line.contains(is_unprintable), "{line:?}");
        let read: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        forged += usize::from(read.to_string().contains("FORGED"));
    }
    assert!(forged >= 8, "{forged} of {log}");
    Ok(())
}
