//! A Codex home whose account lives on the stand-in, and a gateway over it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use super::Issuer;
use crate::{Gateway, GatewayBuilder, programs};

/// A home as a user might have it, without a login.
#[derive(Debug)]
pub struct SignInHome {
    folder: TempDir,
    origin: String,
}

impl SignInHome {
    /// A home whose ChatGPT and model are the stand-in.
    pub fn new(issuer: &Issuer) -> Result<Self> {
        Self::with(issuer, "")
    }

    /// The same, with these further settings.
    pub fn with(issuer: &Issuer, more: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("airlock-home-").tempdir()?;
        let origin = issuer.origin();
        let text = format!(
            "model = \"gpt-5.5\"\nchatgpt_base_url = \"{origin}/backend-api\"\nopenai_base_url = \"{origin}/v1\"\n{more}\n"
        );
        fs::write(folder.path().join("config.toml"), text)?;
        Ok(Self { folder, origin })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file that its login is in, whether it exists or not.
    pub fn login(&self) -> PathBuf {
        self.folder.path().join("auth.json")
    }

    /// A gateway that shares its login, and whose people sign in on the stand-in. Further settings that belong into a
    /// table go through `environment`.
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

    /// The same, started over the real Codex.
    pub async fn over_real(&self) -> Result<Gateway> {
        self.gateway().over(programs::real_codex()?).await
    }
}
