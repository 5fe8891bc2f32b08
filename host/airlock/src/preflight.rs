//! Checks of the set-up, which `airlock doctor` reports and `airlock serve` logs as it starts.
//!
//! A fault of the data folder or of Codex's home prevents the start. Faults that [`CHECKS`] finds can be fixed while the
//! gateway runs, which answers 503 until then.

pub(crate) mod tokens; // the program that prints ChatGPT tokens

use crate::config::Config;
use airlock_codex::launch::Launch;

/// The outcome of a check, as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Pass(String),
    /// The subject works, but perhaps not as meant.
    Warn(String),
    /// The subject does not work. The text names the remedy.
    Fail(String),
}

/// One check of a prepared home.
pub(crate) struct PreflightCheck {
    /// The subject, as one word: `login`.
    pub(crate) subject: &'static str,
    /// `None` if the check does not apply.
    pub(crate) run: fn(&Config, &Launch) -> Option<Finding>,
}

/// All checks, in the order of the report.
pub(crate) static CHECKS: &[PreflightCheck] = &[
    PreflightCheck {
        subject: "provider",
        run: provider,
    },
    PreflightCheck {
        subject: "tokens",
        run: tokens::check,
    },
    PreflightCheck {
        subject: "certificates",
        run: certificates,
    },
    PreflightCheck {
        subject: LOGIN,
        run: login,
    },
];

/// The subject of the check of the stored login, which Codex may overrule.
pub(crate) const LOGIN: &str = "login";

/// Checks the stored login, unless tokens come from a command or URL.
fn login(config: &Config, launch: &Launch) -> Option<Finding> {
    let tokens = !config.codex.token_command.is_empty() || config.codex.token_url.is_some();
    match tokens {
        true => None,
        false => launch.login_error().map(Finding::Fail),
    }
}

/// Logs failed checks as the gateway starts. A missing login is left out: Codex's start logs it.
pub(crate) fn log(config: &Config, launch: &Launch) {
    for check in CHECKS {
        if check.subject == LOGIN && launch.home().has_no_login() {
            continue;
        }
        match (check.run)(config, launch) {
            Some(Finding::Fail(text)) => tracing::error!(check = check.subject, "{text}"),
            Some(Finding::Warn(text)) => tracing::warn!(check = check.subject, "{text}"),
            Some(Finding::Pass(_)) | None => {}
        }
    }
}

/// Checks the environment variables that the model provider's settings name.
fn provider(config: &Config, launch: &Launch) -> Option<Finding> {
    let keys = &launch.home().env_keys;
    let missing = keys
        .iter()
        .find(|key| config.environment.raw(key).is_none())?;
    Some(Finding::Fail(format!(
        "the model provider reads {missing}, which is not set; export it before `airlock serve`"
    )))
}

/// Checks that Codex finds a CA certificate.
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
    Some(Finding::Fail(match named.is_empty() {
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
