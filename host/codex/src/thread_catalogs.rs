//! Catalogs of models for threads, made from Codex's own: without what our instructions replace, and with tools brought
//! to plain function calls.
//!
//! Codex reads its catalogue with every thread and every turn. Without the texts that our instructions replace it has 23 KB
//! in place of 745, which takes a third off the cost of a turn, and the model is sent exactly the same (0.169.0, each model
//! of the catalogue). With a ChatGPT login OpenAI tells Codex of its models as it runs, and these threads keep that.
//!
//! Models from 5.6 on are in "code mode": Codex offers them one tool, which runs JavaScript, and describes the client's
//! functions within it; their calls then come with ids of no model, and not at all after 31 s (0.169.0). The catalogue
//! says which model is treated how, and a thread may be given another one (`model_catalog_json`).

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::binary;
use super::launch::Launch;

/// Bytes of Codex's own catalogue that are read. 0.169.0 has 745 KB.
const CATALOGUE_BYTES: u64 = 16 << 20;

/// How long Codex may take to print it. 0.169.0 takes 0.02 s.
const PRINT_DEADLINE: Duration = Duration::from_secs(5);

/// More tokens than any conversation has: none is cut or summarised before the model itself says that it is too long.
const NO_LIMIT: u64 = 1_000_000_000_000;

/// The first Codex that is known to read the catalogue of a thread. 0.163.0 has one for the whole process.
const PER_THREAD: &str = "0.169.0";

/// The thread_catalogs for threads.
#[derive(Debug)]
pub(super) struct ThreadCatalogs {
    /// For threads without tools.
    pub(super) lean: PathBuf,
    /// For threads with tools.
    pub(super) plain: PathBuf,
    /// The models that they describe.
    models: HashSet<String>,
    /// Those of them that are in code mode by themselves.
    in_code_mode: Vec<String>,
    /// Whether a thread's catalogue is read.
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

    /// Whether they describe this model.
    pub(super) fn describe(&self, model: &str) -> bool {
        self.models.contains(model)
    }

    /// Whether this model can be given the client's functions.
    pub(super) fn reaches(&self, model: &str) -> bool {
        self.are_read || !self.in_code_mode.iter().any(|name| name == model)
    }
}

/// Writes the thread_catalogs for threads, made from the one that this Codex has built in. None: they cannot be made,
/// and no request may have tools.
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
    let printed = launch.stdout_of(&arguments, CATALOGUE_BYTES);
    let bundled: Value = serde_json::from_slice(&printed.await?)?;
    let (lean, plain) = (
        with(bundled.clone(), &lean())?,
        with(bundled.clone(), &plain())?,
    );
    let home = launch.home().clone();
    let write = move || {
        // By their content: another gateway in this home may run another Codex.
        let keep = |text: String| {
            let name = format!("models-{:.16}.json", format!("{:x}", Sha256::digest(&text)));
            home.write_file(&name, &text)
        };
        keep(lean).and_then(|lean| Ok((lean, keep(plain)?)))
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

fn models(catalogue: &Value) -> impl Iterator<Item = &Value> {
    catalogue["models"].as_array().into_iter().flatten()
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

/// Members that turn a model's special tools and limits off.
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

/// The catalogue with these members of every model.
fn with(mut catalogue: Value, ours: &[(&'static str, Value)]) -> io::Result<String> {
    let models = catalogue.get_mut("models").and_then(Value::as_array_mut);
    let models = models.filter(|models| !models.is_empty());
    let models = models.ok_or_else(|| io::Error::other("codex lists no models"))?;
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
    fn only_some_versions_read_them() {
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
    fn what_is_no_catalogue_is_none() {
        for printed in ["[]", "{}", r#"{"models":[]}"#, r#"{"models":[1]}"#] {
            let printed: Value = serde_json::from_str(printed).unwrap();
            assert!(with(printed.clone(), &plain()).is_err(), "{printed}");
        }
    }
}
