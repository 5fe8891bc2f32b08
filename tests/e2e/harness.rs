//! Compares the scripted Codex and model with the real Codex.

mod fake; // the fake against the real Codex
mod model; // the model's failures, as the real Codex sees them
mod own; // what only the fake can do
mod tools; // calls of tools, fake and real

use airlock_tests::direct::AppServer;
use airlock_tests::{CodexHome, FakeCodex, Script, ScriptedModel, programs};
use anyhow::Result;
use serde_json::Value;

/// Notifications that the real Codex sends at moments of its own, or that nobody reads.
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
