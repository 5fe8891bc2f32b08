//! The scripted Codex and model, compared with the real Codex.

mod fake; // turns of the scripted Codex
mod model; // failures of the scripted model
mod own; // features of the scripted Codex alone
mod tools; // calls of tools

use airlock_tests::direct::AppServer;
use airlock_tests::{CodexHome, FakeCodex, Script, ScriptedModel, programs};
use anyhow::Result;
use serde_json::Value;

/// Notifications that the real Codex sends at arbitrary times, or that are not used.
const INCIDENTAL: [&str; 3] = [
    "account/rateLimits/updated",
    "thread/readState/changed",
    "thread/settings/updated",
];

fn methods(received: &[Value]) -> Vec<&str> {
    let methods = received
        .iter()
        .filter_map(|message| message.get("method")?.as_str());
    methods
        .filter(|method| !INCIDENTAL.contains(method))
        .collect()
}

/// The path of each member of a notification.
fn members(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                members(value, &format!("{path}.{name}"), into);
            }
        }
        Value::Array(array) => array
            .iter()
            .for_each(|value| members(value, &format!("{path}[]"), into)),
        _ => into.push(path.to_owned()),
    }
}

fn shape(message: &Value) -> Vec<String> {
    let mut shape = Vec::new();
    members(message, "", &mut shape);
    shape.sort();
    shape.dedup();
    shape
}

async fn fake(script: Script) -> Result<(FakeCodex, AppServer)> {
    let fake = FakeCodex::start(script)?;
    let server = AppServer::start(fake.binary(), fake.folder()).await?;
    Ok((fake, server))
}

async fn real(model: &ScriptedModel, retries: u32) -> Result<(CodexHome, AppServer)> {
    let home = CodexHome::new(model, retries, "")?;
    let server = AppServer::start(programs::real_codex()?, home.path()).await?;
    Ok((home, server))
}
