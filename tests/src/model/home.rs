//! A Codex home whose model provider is the scripted model.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use super::ScriptedModel;

/// Names the variable that holds the provider's key.
pub const KEY_VARIABLE: &str = "MOCK_API_KEY";
/// That key. It must reach the model and nobody else.
pub const KEY: &str = "sk-scripted-model-key-0123456789";

/// A home in a folder of its own.
#[derive(Debug)]
pub struct CodexHome {
    folder: TempDir,
}

impl CodexHome {
    /// A home as a user might have it. `retries` is how often Codex asks again after a failed request or stream,
    /// `provider` further lines about the model's provider.
    pub fn new(model: &ScriptedModel, retries: u32, provider: &str) -> Result<Self> {
        Self::at(&model.base_url(), retries, provider)
    }

    /// The same, whose model is wherever this URL says.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
