//! `airlock policy new`: writes a project to start from.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::EnumValueParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::command::error::CommandError;
use airlock_kit::{PolicyName, ProjectRole};

pub(super) const NAME: &str = "new";

const EXAMPLES: &str = "\
Examples:
  airlock policy new brief                       picks the shortest of several answers
  airlock policy new house --role prompt         puts a rule of the house before the system's words
  airlock policy new mine --role all --dir work/mine

The project is a Rust crate with the contract (wit/), a README and tests. It exports what its role decides; everything
else comes from the shipped policy when it is built: `airlock policy build`.";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Writes a project that builds with one command")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("What the policy is called: 1 to 64 of a-z, 0-9, _ and -"),
        )
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .value_parser(EnumValueParser::<ProjectRole>::new())
                .default_value("synthesize")
                .help("What it decides itself"),
        )
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where to, in place of a new folder of that name"),
        )
}

pub(super) fn run(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let name: PolicyName = name
        .parse()
        .map_err(|error| CommandError::Usage(anyhow::Error::new(error)))?;
    let role = matches
        .get_one("role")
        .copied()
        .unwrap_or(ProjectRole::Synthesize);
    let folder = matches.get_one::<PathBuf>("dir").cloned();
    let folder = folder.unwrap_or_else(|| name.as_str().into());
    airlock_kit::create_project(&folder, &name, role)
        .map_err(|error| CommandError::Failure(error.into()))?;
    let folder = folder.display();
    writeln!(
        out,
        "{folder}: a policy to start from; `airlock policy build {folder}` builds it"
    )?;
    if let Some(lacks) = role.lacks() {
        writeln!(out, "Less than the shipped policy: {lacks}.")?;
    }
    Ok(ExitCode::SUCCESS)
}
