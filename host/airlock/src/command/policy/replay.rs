//! `airlock policy replay`: plays tapes on a policy, or on two.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{component, defaults, engine, failure, release};
use crate::command::error::CommandError;
use crate::command::runtime::with_runtime;
use crate::command::terminal::escaped;
use airlock_kit::{ReplayOutcome, compare_releases, replay_twice};
use airlock_policy::tape::{self, Tape};

pub(super) const NAME: &str = "replay";

const EXAMPLES: &str = "\
Examples:
  airlock policy replay tapes --policy my-policy.wasm
  airlock policy replay tapes --policy shipped --against my-policy.wasm
  airlock policy replay tapes/req_….jsonl --policy old.wasm --against new.wasm
  airlock policy replay tapes --policy old.wasm --against new.wasm --quiet

Tapes come from a running gateway: `airlock tape record`. Without --against, each tape is played twice, its frames are
printed, and it fails if the two differ: same input, same bytes, always. With --against, where the two policies differ is
printed as a diff: plans, refusals, frames, bodies, verdicts, faults. Each policy has its own default settings, and receives
the recorded events even where it would have requested other turns. The exit code is 1 if anything differs.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Plays recorded requests on a policy, or compares two")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("tapes")
                .value_name("TAPE")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Tapes, or folders with tapes (*.jsonl)"),
        )
        .arg(
            component("policy")
                .long("policy")
                .required(true)
                .help("The component to play them on, or `shipped`"),
        )
        .arg(
            component("against")
                .long("against")
                .help("Another one to compare it with"),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .action(ArgAction::SetTrue)
                .help("Print only how many were equal"),
        )
}

pub(super) fn run(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode, CommandError> {
    let named = |id: &str| matches.get_one::<String>(id);
    let paths: Vec<PathBuf> = matches
        .get_many("tapes")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let paths = tape::find(&paths).map_err(|error| CommandError::Failure(error.into()))?;
    let config = defaults();
    let engine = engine(&config)?;
    let quiet = matches.get_flag("quiet");
    with_runtime(|runtime| {
        let load = |named: &String| runtime.block_on(release(&config, &engine, named));
        let policy = load(named("policy").unwrap_or(&String::new()))?;
        let other = named("against").map(load).transpose()?;
        let mut different = 0;
        for path in &paths {
            let tape = Tape::read(path).map_err(|error| CommandError::Failure(error.into()))?;
            let outcome = runtime.block_on(async {
                match &other {
                    Some(other) => compare_releases(&policy, other, &tape).await,
                    None => replay_twice(&policy, &tape).await,
                }
            });
            let outcome = outcome.map_err(|fault| failure(&fault))?;
            different += usize::from(outcome.difference.is_some());
            if !quiet {
                write_outcome(&tape, &outcome, other.is_none(), out)?;
            }
        }
        let (all, equal) = (paths.len(), paths.len() - different);
        writeln!(out, "{all} tapes: {equal} equal, {different} different")?;
        Ok(ExitCode::from(u8::from(different > 0)))
    })
}

/// Writes the difference. Where there is none, and `with_results` is set, writes the results of the calls.
fn write_outcome(
    tape: &Tape,
    outcome: &ReplayOutcome,
    with_results: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let how = match outcome.difference {
        Some(_) => "different",
        None => "equal",
    };
    writeln!(
        out,
        "== {} ({} calls): {how}",
        escaped(&tape.request),
        tape.calls.len()
    )?;
    match &outcome.difference {
        Some(difference) => {
            for line in difference.lines() {
                writeln!(out, "{}", escaped(line))?;
            }
        }
        None if with_results => {
            for line in &outcome.lines {
                writeln!(out, "{}", escaped(line))?;
            }
        }
        None => {}
    }
    Ok(())
}
