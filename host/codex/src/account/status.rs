//! What clients may know of Codex and its login. It fails for nothing: what is missing is a fact like any other.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::known::Login;
pub use super::known::{Allowance, Window};
use super::wire::RateLimitsOf;
use super::{Account, lock, messages};
use crate::Codex;
use crate::binary::{self, BinaryError};
use crate::protocol::Nothing;
use crate::upstream::ModelReport;

/// How long a process, or a server of OpenAI's, may hold an answer up.
const WAIT: Duration = Duration::from_secs(3);

/// Bytes of what `codex login status` says.
const SAID: u64 = 4096;

/// What there is, and what there is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// There is a Codex that runs, of whatever version.
    pub installed: bool,
    /// Requests can be answered as far as the login goes: there is one, or none is needed.
    pub logged_in: bool,
    /// `apikey`, `chatgpt`, `chatgptAuthTokens`. None: nobody, or somebody with a provider's own key.
    pub auth_mode: Option<String>,
    /// The plan of a ChatGPT login: `plus`.
    pub plan: Option<String>,
    /// Codex's: `0.169.0`.
    pub version: Option<String>,
    /// Whether that is a version that this gateway was tested with.
    pub supported: bool,
    /// Names of the models that requests may name. Empty while Codex does not answer.
    pub models: Vec<String>,
    /// How much is used of a ChatGPT login's allowance.
    pub rate_limits: Option<Allowance>,
    /// A scripted model answers.
    pub rehearsal: bool,
    /// A sign-in is under way.
    pub login_in_progress: bool,
    /// Whether the model can be reached, as the gateway's turns have found out.
    #[serde(default)]
    pub model: ModelReport,
    /// What stands in the way of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The command that installs what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
    /// Where Codex is. For operators alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<PathBuf>,
}

/// The Codex that is there, or the reason why there is none.
struct Found {
    path: Option<PathBuf>,
    runs: bool,
    version: Option<String>,
    supported: bool,
    fault: Option<BinaryError>,
}

impl Codex {
    /// What there is now. It waits for no Codex that is starting.
    pub async fn status(&self) -> Status {
        let account = &self.account;
        let found = self.found().await;
        let runs = found.runs;
        let login = account.login(runs).await;
        let missing = matches!(
            &found.fault,
            Some(fault) if !matches!(fault, BinaryError::Unusable { .. } | BinaryError::Failed { .. })
        );
        let ready = self.ready().err().map(|problem| problem.message);
        let fault = found.fault.map(|fault| fault.problem().message);
        let offered = self.offered().unwrap_or_default();
        Status {
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

    async fn found(&self) -> Found {
        let launch = &self.account.inner.launch;
        let path = launch.found();
        let running = self.version();
        let judged = match (&path, running) {
            // What runs need not be asked.
            (Ok(path), Some(version)) => binary::judge(path, &format!("codex-cli {version}")),
            (Ok(path), None) => {
                let answer = self
                    .account
                    .inner
                    .versions
                    .ask(path.clone(), launch.binary());
                match answer.await {
                    Some(judged) => judged,
                    // On a busy machine it takes its time. `ready` says that it starts.
                    None => return Found::slow(Some(path.clone())),
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
                return Found {
                    fault: Some(fault),
                    ..Found::slow(path.ok())
                };
            }
            Err(fault) => (None, false, Some(fault)),
        };
        Found {
            path: path.ok(),
            runs: version.is_some(),
            version,
            supported,
            fault,
        }
    }
}

impl Found {
    /// One that has not said its version yet.
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
    /// Who is signed in: as a child has reported, or else as the command line says.
    async fn login(&self, runs: bool) -> Login {
        let known = lock(&self.inner.known).login();
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
        let asking = async {
            let said = self.inner.launch.said(&["login", "status"], SAID).await;
            let (logged_in, mode) =
                messages::logged_in(&said.unwrap_or_default()).unwrap_or_default();
            Login {
                logged_in,
                auth_mode: mode.map(str::to_owned),
                plan: None,
            }
        };
        let answer = self.inner.logins.ask(generation, asking).await;
        answer.unwrap_or_default()
    }

    /// What is used of a ChatGPT login's allowance, asked for once for each login and from then on as turns tell it.
    async fn allowance(&self) -> Option<Allowance> {
        let (login, allowance, generation) = {
            let known = lock(&self.inner.known);
            let generation = *self.inner.generation.borrow();
            (known.login(), known.allowance(), generation)
        };
        let mode = login.and_then(|login| login.auth_mode)?;
        if !mode.starts_with("chatgpt") {
            return None;
        }
        if allowance.as_ref().is_some_and(Allowance::is_known) {
            return allowance;
        }
        let latest = lock(&self.inner.latest).clone();
        let connection = latest.filter(|connection| connection.is_open())?;
        let limits = connection.call::<RateLimitsOf>("account/rateLimits/read", &Nothing {});
        let answer = timeout(WAIT, limits).await.ok()?.ok()?;
        let mut known = self.known_of(generation)?;
        known.limit(&answer.rate_limits);
        known.allowance()
    }
}
