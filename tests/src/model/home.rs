//! A Codex home whose model provider is the scripted model.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use super::ScriptedModel;

/// The environment variable of the provider's API key.
pub const KEY_VARIABLE: &str = "MOCK_API_KEY";
/// The API key. It must reach the model and nothing else.
pub const KEY: &str = "sk-scripted-model-key-0123456789";

/// A Codex home in a temporary folder.
#[derive(Debug)]
pub struct CodexHome {
    folder: TempDir,
}

impl CodexHome {
    /// A home with this model. `retries` is how often Codex repeats a failed request or stream. `provider` holds additional
    /// lines of the provider's table.
    pub fn new(model: &ScriptedModel, retries: u32, provider: &str) -> Result<Self> {
        Self::at(&model.base_url(), retries, provider)
    }

    /// A home with a model at this URL.
    pub fn at(base_url: &str, retries: u32, provider: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-home-").tempdir()?;
        let text = format!(
            r#"model = "gpt-5.5"
model_provider = "scripted"

[features]
plugins = false
shell_snapshot = false

[model_providers.scripted]
name = "Scripted"
base_url = "{base_url}"
wire_api = "responses"
env_key = "{KEY_VARIABLE}"
requires_openai_auth = false
request_max_retries = {retries}
stream_max_retries = {retries}
{provider}
"#
        );
        fs::write(folder.path().join("config.toml"), text)?;
        Ok(Self { folder })
    }

    /// The folder of the home.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
