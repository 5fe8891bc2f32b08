//! `airlock policy bench`: measures a policy.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::{component, defaults, engine, failure, json, release};
use crate::command::error::CommandError;
use crate::command::runtime::with_runtime;
use airlock_kit::{Measurement, bench};

pub(super) const NAME: &str = "bench";

const EXAMPLES: &str = "\
Examples:
  airlock policy bench my-policy.wasm
  airlock policy bench shipped                   the policy inside airlock, to compare with
  airlock policy bench my-policy.wasm --json

Measures a sandbox's start, the reading of a small and of a large request, the translation of events one by one and by
16, and the end of an answer: microseconds, medians of as many rounds as fit into about ten seconds in all.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Measures what a policy costs")
        .after_help(EXAMPLES)
        .arg(
            component("file")
                .required(true)
                .help("The component, or `shipped`"),
        )
        .arg(json())
}

pub(super) fn run(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode, CommandError> {
    let config = defaults();
    let named = matches.get_one::<String>("file").cloned();
    let engine = engine(&config)?;
    let as_json = matches.get_flag("json");
    with_runtime(|runtime| {
        let named = named.unwrap_or_default();
        let release = runtime.block_on(release(&config, &engine, &named))?;
        let mut written = match as_json {
            true => Ok(()),
            false => heading(out),
        };
        let mut show = |measure: &Measurement| {
            if written.is_ok() && !as_json {
                written = line(out, measure);
            }
        };
        let all = runtime.block_on(bench(&release, &mut show));
        written?;
        let all = all.map_err(|why| failure(&why))?;
        if as_json {
            let text = serde_json::to_string_pretty(&all);
            writeln!(
                out,
                "{}",
                text.map_err(|error| CommandError::Failure(error.into()))?
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn heading(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<22} {:>10} {:>10} {:>10} {:>7}",
        "", "median µs", "least µs", "p99 µs", "rounds"
    )
}

fn line(out: &mut dyn Write, it: &Measurement) -> io::Result<()> {
    writeln!(
        out,
        "{:<22} {:>10.2} {:>10.2} {:>10.2} {:>7}",
        it.operation, it.median_us, it.least_us, it.p99_us, it.rounds
    )?;
    out.flush()
}
