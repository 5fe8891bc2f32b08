//! `airlock policy build`: builds a project into a policy.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{WHOLE, write_origins};
use crate::command::error::CommandError;
use airlock_base::environment::Environment;
use airlock_kit as author;

pub(super) const NAME: &str = "build";

const EXAMPLES: &str = "\
Examples:
  airlock policy build                           the project in this folder
  airlock policy build brief -o policies/brief.wasm

It runs `cargo build --release --target wasm32-unknown-unknown` (the cargo on PATH, or the one in CARGO), makes a
component of what comes of it, and takes every interface that the crate does not export from the shipped policy.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Builds a project into a policy")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("The project's folder"),
        )
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where to, in place of DIR and the crate's name"),
        )
}

pub(super) fn run(
    matches: &ArgMatches,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let folder = matches.get_one::<PathBuf>("dir").cloned();
    let folder = folder.unwrap_or_else(|| ".".into());
    let output = matches.get_one::<PathBuf>("output");
    let environment = Environment::of_process();
    let cargo: OsString = environment
        .raw("CARGO")
        .unwrap_or(OsStr::new("cargo"))
        .to_owned();
    let built = author::build(&folder, &cargo, &WHOLE, output.map(PathBuf::as_path), err)
        .map_err(|error| CommandError::Failure(error.into()))?;
    write_origins(&built.path, &built.policy, out)?;
    Ok(ExitCode::SUCCESS)
}
