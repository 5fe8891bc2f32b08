//! `airlock policy …`: the commands of policy authors and operators.

mod bench;
mod build;
mod check;
mod compose;
mod list;
mod new;
mod offline;
mod replay;
mod rollout;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use self::offline::{component, defaults, engine, json, read, release};
use super::error::CommandError;
use super::terminal::escaped;
use airlock_kit::{Composed, Part};
use airlock_policy::{EMBEDDED, digest};

const EXAMPLES: &str = "\
From nothing to a policy of your own:
  airlock policy new brief             a project that picks the shortest of several answers
  airlock policy build brief           compiles it; what it leaves out is as shipped
  airlock policy check brief/brief.wasm            is it fit to serve? Exit code 1 if not
  airlock policy bench brief/brief.wasm            what does a request cost?
  airlock policy replay tapes --policy shipped --against brief/brief.wasm
                                                   what would change for requests that were recorded?
  airlock serve --rehearsal --policy brief/brief.wasm

With a gateway that runs, and its admin key:
  export AIRLOCK_ADMIN_KEY=$(openssl rand -hex 24)    for `airlock serve` as well
  airlock policy list                                 what serves, what could, and what has been
  airlock policy activate redact                      DATA_DIR/policies/redact.wasm serves new requests
  airlock policy rollback                             back to what was active before
  airlock policy canary redact@3fa91c --percent 5     some requests only; --end ends it
  airlock policy shadow redact                        beside the active one, unseen; --end ends it";

/// The default base of a composition.
const WHOLE: Part<'static> = Part {
    name: "the shipped policy",
    bytes: EMBEDDED,
};

/// The command line of `airlock policy`.
pub(super) fn command() -> Command {
    Command::new("policy")
        .about("Makes policies, lists them, and says which of them serve")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(new::command())
        .subcommand(build::command())
        .subcommand(compose::command())
        .subcommand(check::command())
        .subcommand(bench::command())
        .subcommand(replay::command())
        .subcommand(list::command())
        .subcommands(rollout::commands())
}

/// Runs a subcommand.
pub(super) fn run(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    match matches.subcommand() {
        Some((new::NAME, matches)) => new::run(matches, out),
        Some((build::NAME, matches)) => build::run(matches, out, err),
        Some((compose::NAME, matches)) => compose::run(matches, out),
        Some((check::NAME, matches)) => check::run(matches, out, err),
        Some((bench::NAME, matches)) => bench::run(matches, out),
        Some((replay::NAME, matches)) => replay::run(matches, out),
        Some((list::NAME, matches)) => list::run(matches, out),
        Some((rollout::ACTIVATE, matches)) => rollout::activate(matches, out),
        Some((rollout::ROLLBACK, matches)) => rollout::rollback(matches, out),
        Some((rollout::CANARY, matches)) => rollout::canary(matches, out),
        Some((rollout::SHADOW, matches)) => rollout::shadow(matches, out),
        _ => Err(CommandError::Usage(anyhow::anyhow!(
            "no such command; see `airlock policy --help`"
        ))),
    }
}

/// An error that may quote a policy.
fn failure(error: &impl std::fmt::Display) -> CommandError {
    CommandError::Failure(anyhow::Error::msg(escaped(&error.to_string()).into_owned()))
}

/// Writes the size and digest of a policy, and the origin of each interface.
fn write_origins(path: &Path, policy: &Composed, out: &mut dyn Write) -> io::Result<()> {
    let (bytes, digest) = (policy.bytes.len(), digest(&policy.bytes));
    writeln!(out, "{}: {bytes} bytes, sha256:{digest}", path.display())?;
    let mut shown: Vec<&str> = Vec::new();
    for (_, origin) in &policy.origins {
        if shown.contains(&origin.as_str()) {
            continue;
        }
        shown.push(origin);
        let interfaces = policy.origins.iter().filter(|(_, from)| from == origin);
        let interfaces: Vec<&str> = interfaces.map(|(interface, _)| *interface).collect();
        writeln!(out, "  from {origin}: {}", interfaces.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
