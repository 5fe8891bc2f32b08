//! A Codex home whose servers are the stand-in, and a gateway that uses it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use super::Issuer;
use crate::{Gateway, GatewayBuilder, programs};

/// A Codex home without a login, in a temporary folder.
#[derive(Debug)]
pub struct SignInHome {
    folder: TempDir,
    origin: String,
}

impl SignInHome {
    /// A home whose ChatGPT backend and model are the stand-in.
    pub fn new(issuer: &Issuer) -> Result<Self> {
        Self::with(issuer, "")
    }

    /// Like `new`, with additional settings.
    pub fn with(issuer: &Issuer, more: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-home-").tempdir()?;
        let origin = issuer.origin();
        let text = format!(
            "model = \"gpt-5.5\"\nchatgpt_base_url = \"{origin}/backend-api\"\nopenai_base_url = \"{origin}/v1\"\n{more}\n"
        );
        fs::write(folder.path().join("config.toml"), text)?;
        Ok(Self { folder, origin })
    }

    /// The folder of the home.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of its login, `auth.json`, which need not exist.
    pub fn login(&self) -> PathBuf {
        self.folder.path().join("auth.json")
    }

    /// The builder of a gateway with this home, whose users sign in on the stand-in. Settings of tables must be added by
    /// `environment`.
    pub fn gateway(&self) -> GatewayBuilder {
        let token_url = format!("{}/oauth/token", self.origin);
        Gateway::with()
            .flag("--codex-home")
            .flag(self.path())
            .environment("CODEX_APP_SERVER_LOGIN_ISSUER", &self.origin)
            .environment("CODEX_REFRESH_TOKEN_URL_OVERRIDE", token_url)
            .environment("AIRLOCK_CODEX_SIGN_IN_ORIGINS", &self.origin)
            .environment("AIRLOCK_LOG_FILTER", "airlock=debug,info")
    }

    /// Starts that gateway over the real Codex.
    pub async fn over_real(&self) -> Result<Gateway> {
        self.gateway().over(programs::real_codex()?).await
    }
}
