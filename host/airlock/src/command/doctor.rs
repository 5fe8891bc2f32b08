//! `airlock doctor`: a line for each check of the set-up, with a remedy for each fault.

mod codex;
mod model; // whether it can be reached
pub(super) mod protocol;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use serde_json::json;
use tokio::runtime::Runtime;

use super::arguments::options;
use super::port;
use crate::config::{Config, ConfigError, LoadedConfig};
use crate::preflight::Finding;
use airlock_base::escape::Escaped;
use airlock_base::storage;
use airlock_policy::Registry;

const DOCTOR: &str = "\
Checks what a gateway needs, one line each: ok, warn or fail, and the way out of each fault; the last line counts them.
It starts Codex once and asks for its models, but runs no turn. It connects to the model's server once, and sends it
nothing. A gateway that runs with the same data folder is not a fault. The exit code is 1 if any check fails, else 0.

Examples:
  airlock doctor
  airlock doctor --json             {\"ready\", \"ok\", \"warn\", \"fail\", \"checks\": [{\"check\", \"status\", \"message\"}]}
  airlock doctor --protocol         what the installed Codex says of each method and notification that airlock uses
  airlock doctor --protocol --json  the same for programs

With --protocol, one line for each that is as tested, and one for each difference:
  ok        as tested
  added     the tested Codex does not have it, which does no harm
  missing   a method, a field or a value is gone
  retyped   a field is something else
  required  Codex demands a field that airlock does not send
An airlock starts no Codex with a line of the last three; `airlock codex install` installs one that fits.";

/// The command line.
pub(super) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let doctor = Command::new("doctor")
        .about("Checks what a gateway needs")
        .arg(switch(
            "protocol",
            "Compares the installed Codex's protocol with the tested one, and nothing else",
        ))
        .arg(switch("json", "Prints JSON"))
        .after_help(DOCTOR);
    options(doctor)
}

/// The report. Lines of text are written as they come, since some checks take seconds; JSON is written at the end.
struct DoctorReport<'a> {
    out: &'a mut dyn Write,
    as_json: bool,
    checks: Vec<ReportLine>,
    /// The first error of writing.
    written: io::Result<()>,
}

/// One check and its finding.
struct ReportLine {
    subject: &'static str,
    status: &'static str,
    message: String,
}

const OK: &str = "ok";
const WARN: &str = "warn";
const FAIL: &str = "fail";

impl<'a> DoctorReport<'a> {
    fn new(out: &'a mut dyn Write, as_json: bool) -> Self {
        Self {
            out,
            as_json,
            checks: Vec::new(),
            written: Ok(()),
        }
    }

    fn add(&mut self, subject: &'static str, finding: Finding) {
        let (status, message) = match finding {
            Finding::Pass(text) => (OK, text),
            Finding::Warn(text) => (WARN, text),
            Finding::Fail(text) => (FAIL, text),
        };
        if self.written.is_ok() && !self.as_json {
            let line = Escaped(&message);
            self.written = writeln!(self.out, "{status:<4}  {subject:<12} {line}")
                .and_then(|()| self.out.flush());
        }
        self.checks.push(ReportLine {
            subject,
            status,
            message,
        });
    }

    fn count(&self, status: &str) -> usize {
        let of = self.checks.iter().filter(|check| check.status == status);
        of.count()
    }

    /// Whether a check of this subject failed.
    fn has_failed(&self, subject: &str) -> bool {
        let mut of = self.checks.iter();
        of.any(|check| check.subject == subject && check.status == FAIL)
    }

    /// Writes the summary, or the whole report as JSON. The exit code is 1 if any check failed.
    fn end(self) -> io::Result<ExitCode> {
        let [ok, warn, fail] = [OK, WARN, FAIL].map(|status| self.count(status));
        self.written?;
        if self.as_json {
            let checks: Vec<_> = self
                .checks
                .iter()
                .map(|it| json!({"check": it.subject, "status": it.status, "message": it.message}))
                .collect();
            let whole =
                json!({"ready": fail == 0, "ok": ok, "warn": warn, "fail": fail, "checks": checks});
            writeln!(self.out, "{whole:#}")?;
        } else {
            let verdict = match fail {
                0 => "`airlock serve` can answer requests",
                _ => "`airlock serve` cannot answer requests until what fails is mended",
            };
            writeln!(self.out, "\n{ok} ok, {warn} warn, {fail} fail: {verdict}")?;
        }
        Ok(ExitCode::from(u8::from(fail > 0)))
    }
}

/// Runs all checks. A failed one does not prevent the others.
pub(super) fn run(
    runtime: &Runtime,
    loaded: Result<LoadedConfig, ConfigError>,
    as_json: bool,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let mut report = DoctorReport::new(out, as_json);
    match loaded {
        Err(error) => report.add("config", Finding::Fail(error.to_string())),
        Ok(loaded) => runtime.block_on(check(&loaded, &mut report)),
    }
    report.end()
}

async fn check(loaded: &LoadedConfig, report: &mut DoctorReport<'_>) {
    let config = &loaded.config;
    report.add("config", configuration(loaded));
    for warning in &loaded.warnings {
        report.add("config", Finding::Warn(warning.clone()));
    }
    report.add("port", port::check(config).await);
    let data = data(config);
    let is_usable = !matches!(data, Finding::Fail(_));
    report.add("data", data);
    // The policies and Codex's files are in the data folder.
    if is_usable {
        report.add("policy", policy(config).await);
        codex::check(config, report).await;
    }
}

fn configuration(loaded: &LoadedConfig) -> Finding {
    Finding::Pass(match &loaded.file {
        Some(file) => format!("{}; `airlock config` shows all of it", file.display()),
        None => "no file, which is fine; `airlock config` shows the defaults".to_owned(),
    })
}

fn data(config: &Config) -> Finding {
    let path = config.data_dir.display();
    match storage::prepare(&config.data_dir) {
        Ok(free) if storage::is_low(free) => Finding::Warn(format!(
            "{path} has only {} MiB of free disk; make room there, or {}",
            free >> 20,
            storage::DATA_DIR_REMEDY
        )),
        Ok(_) => Finding::Pass(format!("{path}")),
        Err(error) => Finding::Fail(error.to_string()),
    }
}

/// The policy that `serve` would start with, loaded and tested as `serve` does.
async fn policy(config: &Config) -> Finding {
    match Registry::check(&config.policy).await {
        Ok((name, digest)) => Finding::Pass(format!("{name}@{digest}, loaded and tried out")),
        Err(error) => Finding::Fail(chain(error.as_ref())),
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
