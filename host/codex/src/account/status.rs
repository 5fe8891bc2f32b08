//! The status of Codex and its login, for clients. It never fails: what is unknown or missing is reported as such.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::reported::Login;
pub use super::reported::{RateLimitUsage, UsageWindow};
use super::wire::RateLimitsMessage;
use super::{Account, messages};
use crate::Codex;
use crate::binary::{self, BinaryError};
use crate::protocol::Nothing;
use crate::upstream_health::ModelReport;

/// How long a process or a server of OpenAI may delay the status.
const WAIT: Duration = Duration::from_secs(3);

/// Bytes of the output of `codex login status` that are read.
const LOGIN_STATUS_BYTES: u64 = 4096;

/// The status of Codex: the binary, the login, and the models.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodexStatus {
    /// Whether a Codex that runs is installed, of any version.
    pub installed: bool,
    /// Whether somebody is signed in, or no login is needed.
    pub logged_in: bool,
    /// The kind of login: `apikey`, `chatgpt`, `chatgptAuthTokens`. None: nobody is signed in, or the provider has a key of its
    /// own.
    pub auth_mode: Option<String>,
    /// The plan of a ChatGPT login: `plus`.
    pub plan: Option<String>,
    /// Codex's version: `0.169.0`.
    pub version: Option<String>,
    /// Whether this gateway was tested with that version.
    pub supported: bool,
    /// The names of the models that requests may name. Empty while no child runs.
    pub models: Vec<String>,
    /// The used share of a ChatGPT login's rate limits.
    pub rate_limits: Option<RateLimitUsage>,
    /// Whether a scripted model answers.
    pub rehearsal: bool,
    /// Whether a sign-in is in progress.
    pub login_in_progress: bool,
    /// Whether the model can be reached, as the last turns observed.
    #[serde(default)]
    pub model: ModelReport,
    /// Why requests cannot be served. None: they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The command that installs what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
    /// The path of the binary. For operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<PathBuf>,
}

/// The installed Codex, or why there is none.
struct InstalledCodex {
    path: Option<PathBuf>,
    runs: bool,
    version: Option<String>,
    supported: bool,
    fault: Option<BinaryError>,
}

impl Codex {
    /// The current status. Does not wait for a Codex that is starting.
    pub async fn status(&self) -> CodexStatus {
        let account = &self.account;
        let found = self.installed().await;
        let runs = found.runs;
        let login = account.login(runs).await;
        let missing = matches!(
            &found.fault,
            Some(fault) if !matches!(fault, BinaryError::Unusable { .. } | BinaryError::Failed { .. })
        );
        let ready = self.ready().err().map(|problem| problem.message);
        let fault = found.fault.map(|fault| fault.problem().message);
        let offered = self.offered().unwrap_or_default();
        CodexStatus {
            installed: runs,
            logged_in: login.logged_in,
            auth_mode: login.auth_mode,
            plan: login.plan,
            version: found.version,
            supported: found.supported,
            models: offered.iter().map(|model| model.id.clone()).collect(),
            rate_limits: account.allowance().await,
            rehearsal: account.inner.rehearsal,
            login_in_progress: account.inner.slot.is_taken(),
            model: self.model(),
            problem: fault.or(ready),
            install: missing.then(|| "airlock codex install".to_owned()),
            cli_path: found.path,
        }
    }

    async fn installed(&self) -> InstalledCodex {
        let launch = &self.account.inner.launch;
        let path = launch.find_binary();
        let running = self.version();
        let judged = match (&path, running) {
            // A running child has reported its version.
            (Ok(path), Some(version)) => {
                binary::check_version(path, &format!("codex-cli {version}"))
            }
            (Ok(path), None) => {
                let answer = self
                    .account
                    .inner
                    .versions
                    .get(path.clone(), launch.binary());
                match answer.await {
                    Some(judged) => judged,
                    // On a busy machine this is slow; `ready` reports that Codex is starting.
                    None => return InstalledCodex::slow(Some(path.clone())),
                }
            }
            (Err(error), _) => Err(error.clone()),
        };
        let (version, supported, fault) = match judged {
            Ok(binary) => (Some(binary.version), binary.supported, None),
            Err(BinaryError::TooOld { path, version }) => {
                let known = Some(version.clone());
                (known, false, Some(BinaryError::TooOld { path, version }))
            }
            Err(fault @ BinaryError::Failed { .. }) => {
                return InstalledCodex {
                    fault: Some(fault),
                    ..InstalledCodex::slow(path.ok())
                };
            }
            Err(fault) => (None, false, Some(fault)),
        };
        InstalledCodex {
            path: path.ok(),
            runs: version.is_some(),
            version,
            supported,
            fault,
        }
    }
}

impl InstalledCodex {
    /// An installed binary whose version is not known yet.
    fn slow(path: Option<PathBuf>) -> Self {
        Self {
            path,
            runs: true,
            version: None,
            supported: false,
            fault: None,
        }
    }
}

impl Account {
    /// Who is signed in, as a child has reported it, or else as the command line prints it.
    async fn login(&self, runs: bool) -> Login {
        let known = self.inner.reported.lock().login();
        if let Some(login) = known {
            return login;
        }
        let home = self.inner.launch.home();
        if home.rehearsal || home.custom_provider {
            return Login {
                logged_in: true,
                ..Login::default()
            };
        }
        if !runs {
            return Login::default();
        }
        let generation = *self.inner.generation.borrow();
        let probe = async {
            let printed = self
                .inner
                .launch
                .stderr_of(&["login", "status"], LOGIN_STATUS_BYTES)
                .await;
            let (logged_in, mode) =
                messages::logged_in(&printed.unwrap_or_default()).unwrap_or_default();
            Login {
                logged_in,
                auth_mode: mode.map(str::to_owned),
                plan: None,
            }
        };
        let answer = self.inner.logins.get(generation, probe).await;
        answer.unwrap_or_default()
    }

    /// The used share of a ChatGPT login's rate limits: requested once for each login, and then as turns report it.
    async fn allowance(&self) -> Option<RateLimitUsage> {
        let (login, allowance, generation) = {
            let known = self.inner.reported.lock();
            let generation = *self.inner.generation.borrow();
            (known.login(), known.allowance(), generation)
        };
        let mode = login.and_then(|login| login.auth_mode)?;
        if !mode.starts_with("chatgpt") {
            return None;
        }
        if allowance.as_ref().is_some_and(RateLimitUsage::is_known) {
            return allowance;
        }
        let latest = self.inner.latest.lock().clone();
        let connection = latest.filter(|connection| connection.is_open())?;
        let limits = connection.call::<RateLimitsMessage>("account/rateLimits/read", &Nothing {});
        let answer = timeout(WAIT, limits).await.ok()?.ok()?;
        let mut known = self.reported_at(generation)?;
        known.record_limits(&answer.rate_limits);
        known.allowance()
    }
}
