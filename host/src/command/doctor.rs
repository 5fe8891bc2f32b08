//! `airlock doctor`: one line for each thing that a gateway needs, and the way out of each fault.

mod codex;
pub(super) mod protocol;

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::config::{Config, ConfigError, Loaded};
use crate::policy::Registry;

/// What a check found, with what a person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Fine(String),
    /// It works, but perhaps not as meant.
    Doubtful(String),
    Broken(String),
}

/// The lines of a report, written as they come: some checks take seconds.
struct Report<'a> {
    out: &'a mut dyn Write,
    broken: usize,
    /// Whether the terminal, or the pipe, is still there.
    written: io::Result<()>,
}

impl<'a> Report<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            broken: 0,
            written: Ok(()),
        }
    }

    fn add(&mut self, subject: &str, finding: &Finding) {
        let (mark, text) = match finding {
            Finding::Fine(text) => ("ok", text),
            Finding::Doubtful(text) => ("warn", text),
            Finding::Broken(text) => ("fail", text),
        };
        self.broken += usize::from(matches!(finding, Finding::Broken(_)));
        if self.written.is_ok() {
            self.written = writeln!(self.out, "{mark:<4}  {subject:<9} {text}")
                .and_then(|()| self.out.flush());
        }
    }
}

/// Checks everything. A fault of one thing does not keep the others from being checked.
pub(super) fn run(
    runtime: &Runtime,
    loaded: Result<Loaded, ConfigError>,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let mut report = Report::new(out);
    match loaded {
        Err(error) => report.add("config", &Finding::Broken(error.to_string())),
        Ok(loaded) => {
            report.add("config", &configuration(&loaded));
            for warning in loaded.warnings {
                report.add("config", &Finding::Doubtful(warning));
            }
            report.add("port", &port(&loaded.config));
            report.add("policy", &runtime.block_on(policy(&loaded.config)));
            runtime.block_on(codex::check(&loaded.config, &mut report));
        }
    }
    let code = if report.broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    report.written.map(|()| code)
}

fn configuration(loaded: &Loaded) -> Finding {
    Finding::Fine(match &loaded.file {
        Some(file) => format!("{}; `airlock config` shows all of it", file.display()),
        None => "no file, which is fine; `airlock config` shows the defaults".to_owned(),
    })
}

fn port(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::Fine(format!("{} is free", config.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::Broken(format!(
            "{} is in use, perhaps by an airlock that runs already; choose another with --listen",
            config.listen
        )),
        Err(error) => Finding::Broken(format!(
            "cannot listen on {}: {error}; choose another with --listen",
            config.listen
        )),
    }
}

/// The policy that `serve` would begin with, loaded and tried out as it would be.
async fn policy(config: &Config) -> Finding {
    match Registry::check(config).await {
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
