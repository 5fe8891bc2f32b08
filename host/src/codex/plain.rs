//! Models as threads with tools see them: brought to plain function calls.
//!
//! Models from 5.6 on are in "code mode": Codex offers them one tool, which runs JavaScript, and describes the client's
//! functions within it; their calls then come with ids of no model, and not at all after 31 s (0.169.0). Codex's own
//! catalogue says which model is treated how, and a thread may be given another one (`model_catalog_json`).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::launch::Launch;

/// Bytes of Codex's own catalogue that are read. 0.169.0 has 745 KB.
const CATALOGUE_BYTES: u64 = 16 << 20;

/// How long Codex may take to print it. 0.169.0 takes 0.02 s.
const PRINT_DEADLINE: Duration = Duration::from_secs(5);

/// More tokens than any conversation has: none is cut or summarised before the model itself says that it is too long.
const NO_LIMIT: u64 = 1_000_000_000_000;

/// Writes the catalogue for threads with tools, made from the one that this Codex has built in. None: it cannot be made,
/// and no request may have tools.
pub(super) async fn prepare(launch: &Launch) -> Option<PathBuf> {
    let prepared = timeout(PRINT_DEADLINE, async {
        match try_to(launch).await {
            Err(_once) => try_to(launch).await,
            prepared => prepared,
        }
    });
    let prepared = prepared.await.unwrap_or_else(|late| Err(late.into()));
    prepared
        .inspect_err(|error| tracing::warn!(%error, "requests with tools are refused"))
        .ok()
}

async fn try_to(launch: &Launch) -> io::Result<PathBuf> {
    let arguments = ["debug", "models", "--bundled"];
    let printed = launch.print(&arguments, CATALOGUE_BYTES);
    let text = plain(&printed.await?)?;
    let home = launch.home().clone();
    // By its content: another gateway in this home may run another Codex.
    let name = format!("models-{:.16}.json", format!("{:x}", Sha256::digest(&text)));
    let write = move || home.keep(&name, &text);
    let written = tokio::task::spawn_blocking(write).await;
    written.map_err(io::Error::other)?.map_err(io::Error::other)
}

/// The catalogue with every model's own ways switched off, and without the texts that our instructions replace.
fn plain(bundled: &[u8]) -> io::Result<String> {
    let mut catalogue: Value = serde_json::from_slice(bundled)?;
    let models = catalogue.get_mut("models").and_then(Value::as_array_mut);
    let models = models.filter(|models| !models.is_empty());
    let models = models.ok_or_else(|| io::Error::other("codex lists no models"))?;
    let ours = [
        ("tool_mode", Value::Null),
        ("use_responses_lite", false.into()),
        ("multi_agent_version", Value::Null),
        ("apply_patch_tool_type", Value::Null),
        ("shell_type", "disabled".into()),
        ("experimental_supported_tools", json!([])),
        ("base_instructions", "".into()),
        ("model_messages", Value::Null),
        ("context_window", NO_LIMIT.into()),
        ("max_context_window", NO_LIMIT.into()),
    ];
    for model in models {
        let model = model.as_object_mut();
        let model = model.ok_or_else(|| io::Error::other("codex lists what is no model"))?;
        let ours = ours.iter().cloned();
        model.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(catalogue.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let bundled = json!({"models": [
            {"slug": "a", "tool_mode": "code", "base_instructions": "long", "priority": 2},
            {"slug": "b"},
        ]});
        let plain = plain(bundled.to_string().as_bytes()).unwrap();
        let plain: Value = serde_json::from_str(&plain).unwrap();
        for (index, slug) in ["a", "b"].into_iter().enumerate() {
            let model = &plain["models"][index];
            assert_eq!(
                (&model["slug"], &model["tool_mode"]),
                (&json!(slug), &Value::Null)
            );
            assert_eq!(model["shell_type"], "disabled");
            assert_eq!(model["base_instructions"], "");
        }
        assert_eq!(plain["models"][0]["priority"], 2);
    }

    #[test]
    fn what_is_no_catalogue_is_none() {
        for printed in ["", "[]", "{}", r#"{"models":[]}"#, r#"{"models":[1]}"#] {
            assert!(plain(printed.as_bytes()).is_err(), "{printed}");
        }
    }
}
