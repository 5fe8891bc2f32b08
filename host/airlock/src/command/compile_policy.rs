//! Compiles one component for the gateway that started it, and dies with it.

use std::io::{Write, stdin};
use std::process::ExitCode;

use anyhow::{Context as _, Error, anyhow};
use clap::ArgMatches;

use super::become_codex::die_with;
use airlock_policy::compile::child::{ProcessLimits, compile, confine};

/// The component comes on stdin. Its code goes to `out`, and what is wrong with it to `err`, as one line.
pub(super) fn run(
    matches: &ArgMatches,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let number = |name: &str| matches.get_one::<u64>(name).copied();
    let parent = matches.get_one::<i32>("parent").copied();
    let (Some(parent), Some(reservation), Some(memory), Some(seconds), Some(nice)) = (
        parent,
        number("reservation"),
        number("memory"),
        number("seconds"),
        number("nice"),
    ) else {
        return Err(anyhow!("no parent or no limits"));
    };
    die_with(parent)?;
    let bounds = ProcessLimits {
        memory,
        seconds,
        nice,
    };
    confine(bounds).context("cannot limit the compiler")?;
    Ok(compile(reservation, bounds, &mut stdin().lock(), out, err).into())
}
