//! The settings of a Codex home: Airlock's own, and those of an existing home that choose the model and its provider.

use std::path::Path;

use toml::{Table, Value};

use super::HomeError;
use crate::DEPTH_HEADER;

/// Airlock's settings. They override inherited ones, so that nothing inherited can widen them.
const OURS: &str = include_str!("config.toml");

const HEADER: &str = "# Written by Airlock whenever it starts; changes made here are lost.\n";

/// The keys that are inherited from an existing home: the model, its provider, and who may sign in.
/// Servers, hooks, tools, instructions and profiles are not inherited.
const INHERITED: &[&str] = &[
    "model",
    "model_provider",
    "openai_base_url",
    "chatgpt_base_url",
    "forced_login_method",
    "forced_chatgpt_workspace_id",
];

/// The bundled model to which Codex gives the fewest tools, so that requests to the scripted model are the smallest.
const REHEARSAL_MODEL: &str = "gpt-5.5";

/// Codex's default URLs of OpenAI's models, with a ChatGPT login and with an API key (0.169.0).
const CHATGPT: &str = "https://chatgpt.com/backend-api/codex";
const API: &str = "https://api.openai.com/v1";

/// The URLs to which Codex sends requests to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUrls {
    /// The base URL in the settings, of any provider.
    named: Option<String>,
    /// Whether the provider is not OpenAI.
    custom: bool,
}

impl ModelUrls {
    /// The base URL with this kind of login: `apikey`, `chatgpt`, `chatgptAuthTokens`. None: only Codex knows it.
    pub fn base_url(&self, auth_mode: Option<&str>) -> Option<&str> {
        match (&self.named, auth_mode) {
            (Some(url), _) => Some(url),
            (None, _) if self.custom => None,
            (None, Some("apikey")) => Some(API),
            (None, _) => Some(CHATGPT),
        }
    }
}

/// The settings that are inherited from an existing home.
#[derive(Debug, Default)]
pub(super) struct InheritedSettings(Table);

impl InheritedSettings {
    /// The settings of a rehearsal. Its provider is set by [`rehearsal_overrides`].
    pub(super) fn rehearsal() -> Self {
        Self(Table::from_iter([(
            "model".to_owned(),
            Value::String(REHEARSAL_MODEL.to_owned()),
        )]))
    }

    /// The inherited settings of the home's `config.toml`. None are set if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read, or its settings are invalid.
    pub(super) fn from_home(home: &Path) -> Result<Self, HomeError> {
        let path = home.join("config.toml");
        let fault = |fault: String| HomeError::Settings {
            path: path.clone(),
            fault,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(fault(error.to_string())),
        };
        let inherited: Table = text
            .parse()
            .map_err(|error: toml::de::Error| fault(error.message().to_owned()))?;
        Self::from_table(&inherited).map_err(fault)
    }

    fn from_table(inherited: &Table) -> Result<Self, String> {
        let mut taken = Table::new();
        for key in INHERITED {
            if let Some(value) = inherited.get(*key) {
                taken.insert((*key).to_owned(), value.clone());
            }
        }
        // Only the chosen provider: the keys of the others must not be copied.
        if let Some(name) = inherited.get("model_provider") {
            let name = name.as_str().ok_or("model_provider is not text")?;
            let provider = inherited
                .get("model_providers")
                .and_then(|providers| providers.get(name));
            if let Some(provider) = provider {
                let provider = provider
                    .as_table()
                    .ok_or_else(|| format!("model_providers.{name} is not a table"))?;
                let mut provider = provider.clone();
                set_depth_header(&mut provider);
                let providers = Table::from_iter([(name.to_owned(), Value::Table(provider))]);
                taken.insert("model_providers".to_owned(), Value::Table(providers));
            }
        }
        Ok(Self(taken))
    }

    /// Lets only this workspace sign in, in place of an inherited restriction. Codex also checks a login that another process
    /// has written.
    pub(super) fn restrict_to_workspace(&mut self, workspace: &str) {
        self.0.insert(
            "forced_chatgpt_workspace_id".to_owned(),
            Value::String(workspace.to_owned()),
        );
    }

    /// Whether the provider is not OpenAI.
    pub(super) fn custom_provider(&self) -> bool {
        self.0
            .get("model_provider")
            .is_some_and(|name| name.as_str() != Some("openai"))
    }

    /// The URLs of the model.
    pub(super) fn model_urls(&self) -> ModelUrls {
        let provider = self.0.get("model_provider").and_then(Value::as_str);
        let providers = self.0.get("model_providers");
        let own = provider
            .zip(providers)
            .and_then(|(name, all)| all.get(name)?.get("base_url"));
        let named = match (own, self.custom_provider()) {
            (Some(own), _) => Some(own),
            (None, false) => self.0.get("openai_base_url"),
            (None, true) => None,
        };
        ModelUrls {
            named: named.and_then(Value::as_str).map(str::to_owned),
            custom: self.custom_provider(),
        }
    }

    /// The environment variables that the provider reads, for its key and its headers.
    pub(super) fn env_keys(&self) -> Vec<String> {
        let providers = self.0.get("model_providers").and_then(Value::as_table);
        let mut names = Vec::new();
        for provider in providers.into_iter().flat_map(Table::values) {
            names.extend(provider.get("env_key").and_then(Value::as_str));
            let headers = provider.get("env_http_headers").and_then(Value::as_table);
            names.extend(
                headers
                    .into_iter()
                    .flat_map(Table::values)
                    .filter_map(Value::as_str),
            );
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// Makes Codex send the depth header to a provider, which may be another gateway.
fn set_depth_header(provider: &mut Table) {
    let headers = provider.entry("http_headers");
    if let Value::Table(headers) = headers.or_insert_with(|| Value::Table(Table::new())) {
        headers.insert(DEPTH_HEADER.to_owned(), Value::String("1".to_owned()));
    }
}

/// The text of `config.toml`.
pub(super) fn render(taken: &InheritedSettings) -> String {
    let mut settings = taken.0.clone();
    // A test shows that this parses.
    settings.extend(OURS.parse::<Table>().unwrap_or_default());
    format!("{HEADER}{settings}")
}

/// Settings for the command line that make the scripted model at this base URL the provider.
pub(super) fn rehearsal_overrides(base_url: &str) -> Vec<String> {
    let provider = Table::from_iter([
        (
            "name".to_owned(),
            Value::String("Airlock rehearsal".to_owned()),
        ),
        ("base_url".to_owned(), Value::String(base_url.to_owned())),
        ("wire_api".to_owned(), Value::String("responses".to_owned())),
        ("requires_openai_auth".to_owned(), Value::Boolean(false)),
    ]);
    vec![
        "model_provider=\"rehearsal\"".to_owned(),
        format!("model_providers.rehearsal={}", Value::Table(provider)),
    ]
}

#[cfg(test)]
mod tests;
