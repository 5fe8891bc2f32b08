//! The checks of Codex: home, binary, version, protocol, login, and whether it answers.

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

/// The time that Codex may take to start, besides the deadline of a call.
const MARGIN: Duration = Duration::from_secs(20);

/// Where to find Codex's own messages.
const MORE: &str = "its own words are in the log of `RUST_LOG=airlock=debug airlock serve`";

/// The deadline for ending Codex.
const END: Duration = Duration::from_secs(15);

/// Runs the checks. Codex is started only if home, binary and protocol fit.
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
            // Codex's answer may overrule it.
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
    // Without its token command nobody is signed in; the line `tokens` reports that.
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

/// Checks binary, version and protocol. Returns whether Codex can be started.
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

/// Starts one child.
async fn start(config: &Config, launch: Launch, tasks: &Tasks) -> (StartOutcome, Account) {
    let mut config = config.clone();
    config.codex.fleet.spare = false;
    let patience = config.codex.limits.call_timeout.saturating_add(MARGIN);
    let codex = Codex::start(&config.codex, launch, tasks);
    let started = match codex.started(patience).await {
        Started::Ready => {
            StartOutcome::Ready(codex.models().await.map_or(0, |models| models.len()))
        }
        Started::Refused(problem) if problem.code.as_deref() == Some("codex_not_signed_in") => {
            StartOutcome::SignedOut
        }
        Started::Refused(problem) => StartOutcome::Failed(problem.message),
        Started::Failed(fault) => StartOutcome::Failed(fault),
        Started::Pending => StartOutcome::Failed(format!(
            "codex has not started within {} s; {MORE}",
            patience.as_secs()
        )),
    };
    (started, codex.account().clone())
}

/// The outcome of starting Codex.
enum StartOutcome {
    /// Codex answers, with so many models.
    Ready(usize),
    /// Codex answers, and nobody is signed in.
    SignedOut,
    Failed(String),
}

fn answer(start: &StartOutcome, report: &mut DoctorReport<'_>) {
    report.add(
        "codex",
        match start {
            StartOutcome::Ready(models) => {
                Finding::Pass(format!("app-server answers, with {models} models"))
            }
            StartOutcome::SignedOut => Finding::Pass("app-server answers".to_owned()),
            StartOutcome::Failed(fault) => Finding::Fail(fault.clone()),
        },
    );
}

/// The line `login`. `stored` is the fault of the stored login, `fault` the reason why there are no tokens.
fn login(
    launch: &Launch,
    start: &StartOutcome,
    stored: Option<Finding>,
    fault: Option<TokenError>,
) -> Option<Finding> {
    if launch.home().rehearsal || launch.home().custom_provider {
        return None;
    }
    match start {
        StartOutcome::Ready(_) => Some(Finding::Pass("signed in".to_owned())),
        StartOutcome::SignedOut => Some(Finding::Fail(launch.signed_out_message(fault))),
        StartOutcome::Failed(_) => stored,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use airlock_base::environment::Environment;

    #[test]
    fn codex_overrules_the_check_of_the_stored_login() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().to_str().unwrap();
        let config = Config::defaults(Environment::from_iter([("HOME", user)]));
        let launch = Launch::prepare(&config.codex, config.command("login"), None).unwrap();
        let stored = launch.login_error().map(Finding::Fail);
        let line = |start, fault| match login(&launch, &start, stored.clone(), fault) {
            Some(Finding::Pass(text) | Finding::Warn(text) | Finding::Fail(text)) => text,
            None => String::new(),
        };
        let file = folder.path().join(".codex/auth.json");
        let missing = format!(
            "nobody is signed in: there is no {}; run `airlock login`",
            file.display()
        );
        assert_eq!(line(StartOutcome::Ready(1), None), "signed in");
        for start in [StartOutcome::SignedOut, StartOutcome::Failed(String::new())] {
            assert_eq!(line(start, None), missing);
        }
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(
            line(StartOutcome::SignedOut, None),
            format!(
                "Codex does not take the login of {}; run `airlock login`",
                file.display()
            )
        );
        assert_eq!(
            line(StartOutcome::SignedOut, Some(TokenError::TimedOut)),
            "nobody is signed in: the token command or URL did not answer in time; try codex.token_command or \
             codex.token_url by hand"
        );
    }
}
