//! The checks that are about Codex: home, binary, version, login, and whether it answers.

use std::time::Duration;

use tokio::time::timeout;

use super::{DoctorReport, Finding, chain, model, protocol};
use crate::config::Config;
use crate::preflight::{CHECKS, LOGIN};
use airlock_base::task::Tasks;
use airlock_codex::account::{Account, TokenError};
use airlock_codex::binary::Binary;
use airlock_codex::home::Home;
use airlock_codex::launch::Launch;
use airlock_codex::{Codex, Started};
use airlock_rehearsal as rehearsal;

/// How long Codex may take to start beyond the time for each of its answers.
const MARGIN: Duration = Duration::from_secs(20);

/// Where to look where nothing says more.
const MORE: &str = "its own words are in the log of `RUST_LOG=airlock=debug airlock serve`";

/// How long it may take to end.
const END: Duration = Duration::from_secs(15);

/// Checks all of it. Codex is started only where everything before was found.
pub(super) async fn check(config: &Config, report: &mut DoctorReport<'_>) {
    let tasks = Tasks::default();
    let model = match scripted(config, &tasks).await {
        Ok(model) => model,
        Err(finding) => return report.add("rehearsal", finding),
    };
    let launch = match Launch::prepare(&config.codex, config.command("login"), model.as_deref()) {
        Ok(launch) => launch,
        Err(error) => return report.add("home", Finding::Fail(chain(&error))),
    };
    let home = launch.home().clone();
    report.add("home", Finding::Pass(described(&home)));
    let mut stored = None;
    for check in CHECKS {
        match (check.run)(config, &launch) {
            // Codex has the last word on it.
            Some(finding) if check.subject == LOGIN => stored = Some(finding),
            Some(finding) => report.add(check.subject, finding),
            None => {}
        }
    }
    let mut mode = None;
    let login = match binary(&launch, report).await {
        true => {
            let (started, account) = start(config, launch.clone(), &tasks).await;
            mode = account.auth_mode();
            answer(&started, report);
            login(&launch, &started, stored, account.token_error())
        }
        false => stored,
    };
    // Without the program that prints tokens nobody can be signed in, which its own line says.
    if let Some(login) = login.filter(|_| !report.has_failed("tokens")) {
        report.add(LOGIN, login);
    }
    if !home.rehearsal
        && let Some(url) = home.model.base_url(mode.as_deref())
    {
        report.add("model", model::check(url, &config.environment).await);
    }
    let _ = timeout(END, tasks.stop()).await;
}

/// Whether there is a Codex to start.
async fn binary(launch: &Launch, report: &mut DoctorReport<'_>) -> bool {
    let binary = match launch.binary().await {
        Ok(binary) => binary,
        Err(error) => {
            report.add("binary", Finding::Fail(error.to_string()));
            return false;
        }
    };
    report.add("binary", Finding::Pass(binary.path.display().to_string()));
    report.add("version", version(&binary));
    let protocol = protocol::finding(launch, &binary).await;
    // It would not be started, which that line says.
    let fits = !matches!(protocol, Finding::Fail(_));
    report.add("protocol", protocol);
    fits
}

/// The base URL of the scripted model, in rehearsal.
async fn scripted(config: &Config, tasks: &Tasks) -> Result<Option<String>, Finding> {
    if !config.server.rehearsal {
        return Ok(None);
    }
    match rehearsal::start(tasks).await {
        Ok(model) => Ok(Some(model.base_url)),
        Err(error) => Err(Finding::Fail(format!(
            "the scripted model does not start: {error}"
        ))),
    }
}

fn described(home: &Home) -> String {
    let path = home.path.display();
    let login = home.login_file();
    match (home.rehearsal || home.custom_provider, login.is_file()) {
        (false, true) if home.shares_login() => {
            format!("{path}, with the login of {}", login.display())
        }
        (false, true) => format!("{path}, with a login of its own"),
        _ => format!("{path}"),
    }
}

fn version(binary: &Binary) -> Finding {
    match binary.supported {
        true => Finding::Pass(format!("{}, tested", binary.version)),
        false => Finding::Warn(format!(
            "{} is newer than what airlock was tested with; should anything fail, `airlock codex install`",
            binary.version
        )),
    }
}

/// Starts one child, which tells all that there is to know.
async fn start(config: &Config, launch: Launch, tasks: &Tasks) -> (Start, Account) {
    let mut config = config.clone();
    config.codex.fleet.spare = false;
    let patience = config.codex.limits.call_timeout.saturating_add(MARGIN);
    let codex = Codex::start(&config.codex, launch, tasks);
    let started = match codex.started(patience).await {
        Started::Ready => Start::Ready(codex.models().await.map_or(0, |models| models.len())),
        Started::Refused(problem) if problem.code.as_deref() == Some("codex_not_signed_in") => {
            Start::SignedOut
        }
        Started::Refused(problem) => Start::Failed(problem.message),
        Started::Failed(fault) => Start::Failed(fault),
        Started::Pending => Start::Failed(format!(
            "codex has not started within {} s; {MORE}",
            patience.as_secs()
        )),
    };
    (started, codex.account().clone())
}

/// What came of starting Codex.
enum Start {
    /// It answers, and offers so many models.
    Ready(usize),
    /// It answers, and nobody is signed in.
    SignedOut,
    Failed(String),
}

fn answer(start: &Start, report: &mut DoctorReport<'_>) {
    report.add(
        "codex",
        match start {
            Start::Ready(models) => {
                Finding::Pass(format!("app-server answers, with {models} models"))
            }
            Start::SignedOut => Finding::Pass("app-server answers".to_owned()),
            Start::Failed(fault) => Finding::Fail(fault.clone()),
        },
    );
}

/// The line about the login. `stored`: what is wrong with the stored one; `fault`: why there are no tokens.
fn login(
    launch: &Launch,
    start: &Start,
    stored: Option<Finding>,
    fault: Option<TokenError>,
) -> Option<Finding> {
    if launch.home().rehearsal || launch.home().custom_provider {
        return None;
    }
    match start {
        Start::Ready(_) => Some(Finding::Pass("signed in".to_owned())),
        Start::SignedOut => Some(Finding::Fail(launch.signed_out_message(fault))),
        Start::Failed(_) => stored,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use airlock_base::environment::Environment;

    #[test]
    fn the_last_word_on_the_login_is_codexs_own() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().to_str().unwrap();
        let config = Config::defaults(Environment::from_iter([("HOME", user)]));
        let launch = Launch::prepare(&config.codex, config.command("login"), None).unwrap();
        let stored = launch.login_error().map(Finding::Fail);
        let said = |start, fault| match login(&launch, &start, stored.clone(), fault) {
            Some(Finding::Pass(text) | Finding::Warn(text) | Finding::Fail(text)) => text,
            None => String::new(),
        };
        let file = folder.path().join(".codex/auth.json");
        let missing = format!(
            "nobody is signed in: there is no {}; run `airlock login`",
            file.display()
        );
        assert_eq!(said(Start::Ready(1), None), "signed in");
        for start in [Start::SignedOut, Start::Failed(String::new())] {
            assert_eq!(said(start, None), missing);
        }
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(
            said(Start::SignedOut, None),
            format!(
                "Codex does not take the login of {}; run `airlock login`",
                file.display()
            )
        );
        assert_eq!(
            said(Start::SignedOut, Some(TokenError::TimedOut)),
            "nobody is signed in: the token command or URL did not answer in time; try codex.token_command or \
             codex.token_url by hand"
        );
    }
}
