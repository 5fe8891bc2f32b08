//! Model catalogs for threads, made from Codex's own: without the texts that the gateway's instructions replace, and with plain
//! function calls for tools.
//!
//! Codex reads its catalog with every thread and every turn. Without the texts that the gateway's instructions replace, it has
//! 23 KB in place of 745, which makes a turn a third cheaper, and the request to the model is exactly the same (0.169.0, each
//! model of the catalog). With a ChatGPT login OpenAI sends Codex its models at run time; threads without tools then use those.
//!
//! Models from 5.6 on are in "code mode": Codex offers them one tool, which runs JavaScript, and describes the client's
//! functions within it. Calls then have ids that no model has made, and stay out after 31 s (0.169.0). The catalog defines the
//! mode of each model, and a thread may have a catalog of its own (`model_catalog_json`).

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::binary;
use super::launch::Launch;

/// Bytes of Codex's own catalog that are read. 0.169.0 has 745 KB.
const CATALOG_BYTES: u64 = 16 << 20;

/// How long Codex may take to print its catalog. 0.169.0 takes 0.02 s.
const PRINT_DEADLINE: Duration = Duration::from_secs(5);

/// More tokens than any conversation has, so that Codex neither cuts nor summarises one before the model refuses it as too
/// long.
const NO_LIMIT: u64 = 1_000_000_000_000;

/// The first Codex that is known to read a thread's catalog. 0.163.0 has one catalog for the whole process.
const PER_THREAD: &str = "0.169.0";

/// The files of the catalogs for threads.
#[derive(Debug)]
pub(super) struct ThreadCatalogs {
    /// For threads without tools.
    pub(super) lean: PathBuf,
    /// For threads with tools.
    pub(super) plain: PathBuf,
    /// The models that the catalogs describe.
    models: HashSet<String>,
    /// The models that are in code mode in Codex's own catalog.
    in_code_mode: Vec<String>,
    /// Whether this version of Codex reads a thread's catalog.
    are_read: bool,
}

impl ThreadCatalogs {
    /// Adapts the catalogs to a child of this version.
    pub(super) fn of(self, version: &str) -> Self {
        let are_read = binary::is_since(version, PER_THREAD);
        if !are_read && !self.in_code_mode.is_empty() {
            let models = self.in_code_mode.join(", ");
            tracing::warn!(
                version,
                models,
                "this codex cannot give tools of clients to these models; {PER_THREAD} can"
            );
        }
        Self { are_read, ..self }
    }

    /// Whether the catalogs describe this model.
    pub(super) fn describe(&self, model: &str) -> bool {
        self.models.contains(model)
    }

    /// Whether this model can call the client's functions.
    pub(super) fn reaches(&self, model: &str) -> bool {
        self.are_read || !self.in_code_mode.iter().any(|name| name == model)
    }
}

/// Writes the catalogs for threads, made from the one that is built into this Codex. None: they cannot be made, and requests
/// with tools are refused.
pub(super) async fn prepare(launch: &Launch) -> Option<ThreadCatalogs> {
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

async fn try_to(launch: &Launch) -> io::Result<ThreadCatalogs> {
    let arguments = ["debug", "models", "--bundled"];
    let printed = launch.stdout_of(&arguments, CATALOG_BYTES);
    let bundled: Value = serde_json::from_slice(&printed.await?)?;
    let (lean, plain) = (
        with(bundled.clone(), &lean())?,
        with(bundled.clone(), &plain())?,
    );
    let home = launch.home().clone();
    let write = move || {
        // The name depends on the content, as another gateway in this home may run another Codex.
        let store = |text: String| {
            let name = format!("models-{:.16}.json", format!("{:x}", Sha256::digest(&text)));
            home.write_file(&name, &text)
        };
        store(lean).and_then(|lean| Ok((lean, store(plain)?)))
    };
    let written = tokio::task::spawn_blocking(write).await;
    let (lean, plain) = written
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
    Ok(ThreadCatalogs {
        lean,
        plain,
        models: models(&bundled).filter_map(slug).collect(),
        in_code_mode: models(&bundled)
            .filter(|model| !model["tool_mode"].is_null())
            .filter_map(slug)
            .collect(),
        are_read: true,
    })
}

fn models(catalog: &Value) -> impl Iterator<Item = &Value> {
    catalog["models"].as_array().into_iter().flatten()
}

fn slug(model: &Value) -> Option<String> {
    model["slug"].as_str().map(str::to_owned)
}

/// Members that the gateway's instructions replace.
fn lean() -> Vec<(&'static str, Value)> {
    vec![
        ("base_instructions", "".into()),
        ("model_messages", Value::Null),
    ]
}

/// Members that switch off a model's special tools and limits.
fn plain() -> Vec<(&'static str, Value)> {
    let mut plain = lean();
    plain.extend([
        ("tool_mode", Value::Null),
        ("use_responses_lite", false.into()),
        ("multi_agent_version", Value::Null),
        ("apply_patch_tool_type", Value::Null),
        ("shell_type", "disabled".into()),
        ("experimental_supported_tools", json!([])),
        ("context_window", NO_LIMIT.into()),
        ("max_context_window", NO_LIMIT.into()),
    ]);
    plain
}

/// The catalog, with these members set for every model.
fn with(mut catalog: Value, ours: &[(&'static str, Value)]) -> io::Result<String> {
    let models = catalog.get_mut("models").and_then(Value::as_array_mut);
    let models = models.filter(|models| !models.is_empty());
    let models = models.ok_or_else(|| io::Error::other("codex lists no models"))?;
    for model in models {
        let model = model.as_object_mut();
        let model =
            model.ok_or_else(|| io::Error::other("codex lists an entry that is not a model"))?;
        let ours = ours.iter().cloned();
        model.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(catalog.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn other_members_of_the_catalog_are_unchanged() {
        let bundled = json!({"models": [
            {"slug": "a", "tool_mode": "code", "base_instructions": "long", "priority": 2},
            {"slug": "b"},
        ]});
        let lean: Value = serde_json::from_str(&with(bundled.clone(), &lean()).unwrap()).unwrap();
        assert_eq!(lean["models"][0]["tool_mode"], "code");
        assert_eq!(lean["models"][0]["base_instructions"], "");
        let plain = with(bundled, &plain()).unwrap();
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
    fn only_some_versions_read_a_threads_catalog() {
        let reached = |version| {
            let thread_catalogs = ThreadCatalogs {
                lean: PathBuf::new(),
                plain: PathBuf::new(),
                models: HashSet::new(),
                in_code_mode: vec!["a".to_owned()],
                are_read: true,
            };
            let thread_catalogs = thread_catalogs.of(version);
            (thread_catalogs.reaches("a"), thread_catalogs.reaches("b"))
        };
        assert_eq!(reached("0.163.0"), (false, true));
        assert_eq!(reached("0.169.0"), (true, true));
        assert_eq!(reached("1.0.0-alpha.1"), (true, true));
    }

    #[test]
    fn malformed_catalogs_are_refused() {
        for printed in ["[]", "{}", r#"{"models":[]}"#, r#"{"models":[1]}"#] {
            let printed: Value = serde_json::from_str(printed).unwrap();
            assert!(with(printed.clone(), &plain()).is_err(), "{printed}");
        }
    }
}
