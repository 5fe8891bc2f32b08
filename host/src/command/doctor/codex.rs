//! The checks that are about Codex: home, binary, version, login, and whether it answers.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Finding, Report, chain, protocol};
use crate::codex::Codex;
use crate::codex::binary::Binary;
use crate::codex::home::Home;
use crate::codex::launch::Launch;
use crate::config::Config;
use crate::rehearsal;
use crate::task::Tasks;
use crate::wit::Problem;

/// How long Codex may take to answer: it may have to look for its workspace over a slow network.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to end.
const END: Duration = Duration::from_secs(15);

/// Checks all of it. Codex is started only where everything before was found.
pub(super) async fn check(config: &Config, report: &mut Report<'_>) {
    let tasks = Tasks::default();
    let model = match scripted(config, &tasks).await {
        Ok(model) => model,
        Err(finding) => return report.add("rehearsal", &finding),
    };
    let launch = match Launch::prepare(config, model.as_deref()) {
        Ok(launch) => launch,
        Err(error) => return report.add("home", &Finding::Broken(chain(&error))),
    };
    report.add("home", &home(launch.home()));
    if let Some(finding) = provider(config, launch.home()) {
        report.add("provider", &finding);
    }
    match launch.binary().await {
        Ok(binary) => {
            report.add("binary", &Finding::Fine(binary.path.display().to_string()));
            report.add("version", &version(&binary));
            let protocol = protocol::finding(&launch, &binary).await;
            report.add("protocol", &protocol);
            // It would not be started, which the line above says.
            if !matches!(protocol, Finding::Broken(_)) {
                answers(config, launch, &tasks, report).await;
            }
        }
        Err(error) => report.add("binary", &Finding::Broken(error.to_string())),
    }
    let _ = timeout(END, tasks.stop()).await;
}

/// The base URL of the scripted model, in rehearsal.
async fn scripted(config: &Config, tasks: &Tasks) -> Result<Option<String>, Finding> {
    if !config.rehearsal {
        return Ok(None);
    }
    match rehearsal::start(tasks).await {
        Ok(model) => Ok(Some(model.base_url)),
        Err(error) => Err(Finding::Broken(format!(
            "the scripted model does not start: {error}"
        ))),
    }
}

fn home(home: &Home) -> Finding {
    let path = home.path.display();
    let login = home.login_file();
    let own = login.starts_with(&home.path);
    match (home.rehearsal || home.custom_provider, login.is_file()) {
        (true, _) => Finding::Fine(format!("{path}")),
        (false, true) if own => Finding::Fine(format!("{path}, with a login of its own")),
        (false, true) => Finding::Fine(format!("{path}, with the login of {}", login.display())),
        (false, false) if own => {
            Finding::Doubtful(format!("{path}; sign in with `{}`", home.sign_in()))
        }
        (false, false) => Finding::Doubtful(format!(
            "{path}; there is no {}: sign in with `{}` (a login kept in a keyring cannot be shared)",
            login.display(),
            home.sign_in()
        )),
    }
}

fn provider(config: &Config, home: &Home) -> Option<Finding> {
    let missing = home
        .env_keys
        .iter()
        .find(|key| config.environment.raw(key).is_none())?;
    Some(Finding::Broken(format!(
        "the model provider reads {missing}, which is not set; export it before `airlock serve`"
    )))
}

fn version(binary: &Binary) -> Finding {
    match binary.supported {
        true => Finding::Fine(format!("{}, tested", binary.version)),
        false => Finding::Doubtful(format!(
            "{} is newer than what airlock was tested with; should anything fail, `airlock codex install`",
            binary.version
        )),
    }
}

async fn answers(config: &Config, launch: Launch, tasks: &Tasks, report: &mut Report<'_>) {
    let login = !launch.home().custom_provider && !launch.home().rehearsal;
    let home = launch.home().clone();
    // One child tells all that there is to know.
    let mut config = config.clone();
    config.fleet.spare = false;
    let codex = Codex::start(&config, launch, tasks);
    let ready = ready(&codex).await;
    // Whoever is not signed in has a Codex that answers all the same.
    let signed_out =
        matches!(&ready, Err(problem) if problem.code.as_deref() == Some("codex_not_signed_in"));
    let (app_server, account) = match &ready {
        Ok(()) => {
            let models = codex.models().await.map_or(0, |models| models.len());
            (
                Finding::Fine(format!("app-server answers, with {models} models")),
                Finding::Fine("signed in".to_owned()),
            )
        }
        Err(_) if signed_out => (
            Finding::Fine("app-server answers".to_owned()),
            nobody(&home),
        ),
        Err(problem) => {
            report.add(
                "codex",
                &Finding::Broken(format!(
                    "{}; RUST_LOG=airlock=debug `airlock serve` shows more",
                    problem.message
                )),
            );
            return;
        }
    };
    report.add("codex", &app_server);
    if login {
        report.add("login", &account);
    }
}

/// Nobody is signed in. The command to sign in is said once: by the line of the home, unless that found a login.
fn nobody(home: &Home) -> Finding {
    let file = home.login_file();
    Finding::Broken(if file.is_file() {
        format!(
            "Codex does not take the login of {}; sign in again with `{}`",
            file.display(),
            home.sign_in()
        )
    } else {
        "nobody is signed in; the line `home` above says with which command to".to_owned()
    })
}

/// Waits out the start, which the gateway's clients would be told of.
async fn ready(codex: &Codex) -> Result<(), Problem> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ready = codex.wait_ready().await;
        let starting =
            matches!(&ready, Err(problem) if problem.code.as_deref() == Some("codex_starting"));
        if !starting || Instant::now() >= deadline {
            return ready;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::config::{Environment, Login};

    #[test]
    fn the_command_to_sign_in_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        let environment = Environment::from_iter([("HOME", user.to_str().unwrap())]);
        let mut config = Config::defaults(environment);
        config.codex.data_dir = folder.path().join("data");
        for login in [Login::Shared, Login::Separate] {
            config.codex.login = login;
            let prepared = Launch::prepare(&config, None).unwrap();
            let prepared = prepared.home();
            for exists in [false, true] {
                if exists {
                    let file = prepared.login_file();
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, "{}").unwrap();
                }
                let text = format!("{:?} {:?}", home(prepared), nobody(prepared));
                assert_eq!(text.matches("codex login`").count(), 1, "{text}");
                assert!(
                    text.contains(&format!("`{}`", prepared.sign_in())),
                    "{text}"
                );
            }
        }
    }
}
