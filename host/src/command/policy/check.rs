//! `airlock policy check`: whether a component is fit to serve.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{component, defaults, json, read};
use crate::author::{Check, Mark, Report, check};
use crate::command::terminal::escaped;
use crate::command::{Stop, with_runtime};

pub(super) const NAME: &str = "check";

const EXAMPLES: &str = "\
Examples:
  airlock policy check my-policy.wasm
  airlock policy check my-policy.wasm --json > report.json
  airlock policy check shipped                   the policy inside airlock

One line for each check: ok, warn or fail. First what the component is and says of itself, then the conformance set that
every policy must pass to be loaded, then hostile inputs: odd bodies, events out of order, 100,000 events, panels whose
candidates fail. A policy may refuse those; it fails where it traps, runs out of time or memory, or breaks its contract.
Limits and settings are the defaults. The exit code is 1 if any check fails.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Checks whether a policy is fit to serve")
        .after_help(EXAMPLES)
        .arg(
            component("file")
                .required(true)
                .help("The component, or `shipped`"),
        )
        .arg(json())
}

pub(super) fn run(matches: &ArgMatches, out: &mut (dyn Write + Send)) -> Result<ExitCode, Stop> {
    let named = matches.get_one::<String>("file").cloned();
    let (name, bytes) = read(&named.unwrap_or_default())?;
    let as_json = matches.get_flag("json");
    with_runtime(|runtime| {
        let mut written = Ok(());
        let mut show = |check: &Check| {
            if written.is_ok() && !as_json {
                written = line(out, check);
            }
        };
        let report = runtime.block_on(check(&defaults(), &name, &bytes, &mut show));
        written?;
        if as_json {
            let text = serde_json::to_string_pretty(&report);
            let text = text.map_err(|error| Stop::Failure(error.into()))?;
            writeln!(out, "{text}")?;
        } else {
            figures(out, &report)?;
        }
        Ok(ExitCode::from(u8::from(!report.passed)))
    })
}

fn line(out: &mut dyn Write, check: &Check) -> io::Result<()> {
    let mark = match check.mark {
        Mark::Ok => "ok",
        Mark::Warn => "warn",
        Mark::Fail => "fail",
    };
    let (subject, detail) = (escaped(&check.subject), escaped(&check.detail));
    writeln!(out, "{mark:<4}  {subject:<48} {detail}")?;
    out.flush()
}

/// What the calls with hostile inputs took.
fn figures(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let mut calls = report.calls.each().peekable();
    if calls.peek().is_none() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<8} {:>7} {:>9} {:>9} {:>10}",
        "export", "calls", "max ms", "total ms", "memory KiB"
    )?;
    for (export, it) in calls {
        writeln!(
            out,
            "{export:<8} {:>7} {:>9.2} {:>9.1} {:>10}",
            it.calls,
            it.max_us / 1e3,
            it.total_us / 1e3,
            it.memory_bytes >> 10
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_policys_words_do_not_move_the_cursor() {
        let check = Check {
            subject: "manifest".to_owned(),
            mark: Mark::Ok,
            detail: "mine \u{1b}[2J1\r\n.0".to_owned(),
        };
        let mut out = Vec::new();
        line(&mut out, &check).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with(" mine \\u001b[2J1\\u000d\\u000a.0\n") && text.lines().count() == 1,
            "{text:?}"
        );
    }
}
