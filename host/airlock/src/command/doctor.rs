//! `airlock doctor`: one line for each thing that a gateway needs, and the way out of each fault.

mod codex;
mod model; // whether it can be reached
pub(super) mod protocol;

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;
use tokio::runtime::Runtime;

use super::port;
use crate::config::{Config, ConfigError, Loaded};
use crate::preflight::Finding;
use airlock_base::escape::Escaped;
use airlock_base::storage;
use airlock_policy::Registry;

/// The lines of a report. As text they are written as they come, since some checks take seconds; as JSON at the end.
struct Report<'a> {
    out: &'a mut dyn Write,
    as_json: bool,
    checks: Vec<Checked>,
    /// Whether the terminal, or the pipe, is still there.
    written: io::Result<()>,
}

/// A check with what it found.
struct Checked {
    subject: &'static str,
    status: &'static str,
    message: String,
}

const OK: &str = "ok";
const WARN: &str = "warn";
const FAIL: &str = "fail";

impl<'a> Report<'a> {
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
            Finding::Fine(text) => (OK, text),
            Finding::Doubtful(text) => (WARN, text),
            Finding::Broken(text) => (FAIL, text),
        };
        if self.written.is_ok() && !self.as_json {
            let line = Escaped(&message);
            self.written = writeln!(self.out, "{status:<4}  {subject:<12} {line}")
                .and_then(|()| self.out.flush());
        }
        self.checks.push(Checked {
            subject,
            status,
            message,
        });
    }

    fn count(&self, status: &str) -> usize {
        let of = self.checks.iter().filter(|check| check.status == status);
        of.count()
    }

    /// Whether this was checked and failed.
    fn has_failed(&self, subject: &str) -> bool {
        let mut of = self.checks.iter();
        of.any(|check| check.subject == subject && check.status == FAIL)
    }

    /// Writes the summary, or all of it as JSON. The exit code is 1 if any check has failed.
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

/// Checks everything. A fault of one thing does not keep the others from being checked.
pub(super) fn run(
    runtime: &Runtime,
    loaded: Result<Loaded, ConfigError>,
    as_json: bool,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let mut report = Report::new(out, as_json);
    match loaded {
        Err(error) => report.add("config", Finding::Broken(error.to_string())),
        Ok(loaded) => runtime.block_on(check(&loaded, &mut report)),
    }
    report.end()
}

async fn check(loaded: &Loaded, report: &mut Report<'_>) {
    let config = &loaded.config;
    report.add("config", configuration(loaded));
    for warning in &loaded.warnings {
        report.add("config", Finding::Doubtful(warning.clone()));
    }
    report.add("port", port::check(config).await);
    let data = data(config);
    let is_usable = !matches!(data, Finding::Broken(_));
    report.add("data", data);
    // The policies are there, and so is what Codex is given.
    if is_usable {
        report.add("policy", policy(config).await);
        codex::check(config, report).await;
    }
}

fn configuration(loaded: &Loaded) -> Finding {
    Finding::Fine(match &loaded.file {
        Some(file) => format!("{}; `airlock config` shows all of it", file.display()),
        None => "no file, which is fine; `airlock config` shows the defaults".to_owned(),
    })
}

fn data(config: &Config) -> Finding {
    let path = config.data_dir.display();
    match storage::prepare(&config.data_dir) {
        Ok(free) if storage::is_low(free) => Finding::Doubtful(format!(
            "{path} has only {} MiB of free disk; make room there, or {}",
            free >> 20,
            storage::ANOTHER
        )),
        Ok(_) => Finding::Fine(format!("{path}")),
        Err(error) => Finding::Broken(error.to_string()),
    }
}

/// The policy that `serve` would begin with, loaded and tried out as it would be.
async fn policy(config: &Config) -> Finding {
    match Registry::check(&config.policy).await {
        Ok((name, digest)) => Finding::Fine(format!("{name}@{digest}, loaded and tried out")),
        Err(error) => Finding::Broken(chain(error.as_ref())),
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
