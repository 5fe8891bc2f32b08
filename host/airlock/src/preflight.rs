//! Checks of the set-up, in one table that `airlock doctor` reports and `airlock serve` logs as it starts: so both name the
//! same fault in the same words, with the same way out.
//!
//! What no gateway can start without (the data folder, Codex's home) is an error of its own; everything in [`CHECKS`] can be
//! mended while a gateway runs, which serves 503 until then.

pub(crate) mod tokens; // the program that prints ChatGPT tokens

use crate::config::Config;
use airlock_codex::launch::Launch;

/// What a check found, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Fine(String),
    /// It works, but perhaps not as meant.
    Doubtful(String),
    /// It does not work. The text names the way out.
    Broken(String),
}

/// One check of a prepared home.
pub(crate) struct Check {
    /// What is looked at, in a word: `login`.
    pub(crate) subject: &'static str,
    /// None: there is nothing to say of it.
    pub(crate) run: fn(&Config, &Launch) -> Option<Finding>,
}

/// All of them, in the order in which they are reported.
pub(crate) static CHECKS: &[Check] = &[
    Check {
        subject: "provider",
        run: provider,
    },
    Check {
        subject: "tokens",
        run: tokens::check,
    },
    Check {
        subject: "certificates",
        run: certificates,
    },
    Check {
        subject: LOGIN,
        run: login,
    },
];

/// The check of the stored login. Codex has the last word on it.
pub(crate) const LOGIN: &str = "login";

/// The stored login, where no tokens come from elsewhere.
fn login(config: &Config, launch: &Launch) -> Option<Finding> {
    let tokens = !config.codex.token_command.is_empty() || config.codex.token_url.is_some();
    match tokens {
        true => None,
        false => launch.login_error().map(Finding::Broken),
    }
}

/// Logs what fails, for a gateway that starts. That there is no login is left to the Codex that it starts, which logs the
/// same.
pub(crate) fn log(config: &Config, launch: &Launch) {
    for check in CHECKS {
        if check.subject == LOGIN && launch.home().has_no_login() {
            continue;
        }
        match (check.run)(config, launch) {
            Some(Finding::Broken(text)) => tracing::error!(check = check.subject, "{text}"),
            Some(Finding::Doubtful(text)) => tracing::warn!(check = check.subject, "{text}"),
            Some(Finding::Fine(_)) | None => {}
        }
    }
}

/// The variables that the model provider's own settings name.
fn provider(config: &Config, launch: &Launch) -> Option<Finding> {
    let keys = &launch.home().env_keys;
    let missing = keys
        .iter()
        .find(|key| config.environment.raw(key).is_none())?;
    Some(Finding::Broken(format!(
        "the model provider reads {missing}, which is not set; export it before `airlock serve`"
    )))
}

/// Whether there is anything that Codex could trust.
fn certificates(config: &Config, launch: &Launch) -> Option<Finding> {
    if launch.home().rehearsal || config.environment.raw("CODEX_CA_CERTIFICATE").is_some() {
        return None;
    }
    if launch.has_certificates() {
        return None;
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter();
    let named: Vec<String> = named
        .filter_map(|name| {
            let value = config.environment.raw(name)?;
            Some(format!("{name} ({})", value.display()))
        })
        .collect();
    Some(Finding::Broken(match named.is_empty() {
        true => "there are no CA certificates in any of the usual places, so Codex trusts no server; install the system's \
                 package `ca-certificates`, or name a PEM file in SSL_CERT_FILE"
            .to_owned(),
        false => format!(
            "there are no CA certificates in {}, so Codex trusts no server; name a PEM file that has some, or unset it",
            named.join(" and ")
        ),
    }))
}

#[cfg(test)]
mod tests;
