//! Compiles one component for the gateway that started this process, and dies with it.

use std::io::{Write, stdin};
use std::process::ExitCode;

use anyhow::{Context as _, Error, anyhow};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::exec_codex::die_with;
use airlock_policy::compile::child::{COMMAND, ProcessLimits, compile, confine};

/// The hidden command line.
pub(super) fn command() -> Command {
    let argument = |name: &'static str| Arg::new(name).required(true);
    let number = |name| argument(name).value_parser(value_parser!(u64));
    Command::new(COMMAND)
        .hide(true)
        .about("Compiles a policy within limits, and dies with its parent. Only airlock itself uses it")
        .arg(argument("parent").value_parser(value_parser!(i32)))
        .args(["reservation", "memory", "seconds", "nice"].map(number))
}

/// Reads a component from the standard input. Writes its code to `out`, or an error of one line to `err`.
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
