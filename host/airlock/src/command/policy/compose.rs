//! `airlock policy compose`: composes parts into a whole policy.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{WHOLE, write_origins};
use crate::command::error::CommandError;
use airlock_base::file;
use airlock_kit::Part;

pub(super) const NAME: &str = "compose";

const EXAMPLES: &str = "\
Examples:
  airlock policy compose majority.wasm -o policy.wasm
  airlock policy compose voice.wasm majority.wasm -o policy.wasm
  airlock policy compose majority.wasm --onto house.wasm -o policy.wasm

A part exports some of the interfaces of airlock:policy (manifest, admit, prompt, translate, synthesize), in any language
that makes components. The rest comes from the base. What is optional (relay) comes with translate, or not at all. A part
may also be a core module with the component-type section of wit-bindgen. What parts import, WASI say, the whole imports.
All speak one version of the world.";

pub(super) fn command() -> Command {
    let file = |id: &'static str| {
        Arg::new(id)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
    };
    Command::new(NAME)
        .about("Completes parts of a policy with the rest of another")
        .after_help(EXAMPLES)
        .arg(
            file("parts")
                .value_name("PART")
                .required(true)
                .num_args(1..)
                .help("Components that export some of the interfaces, each one at most once"),
        )
        .arg(
            file("onto")
                .long("onto")
                .help("The policy that the rest comes from, in place of the shipped one"),
        )
        .arg(
            file("output")
                .short('o')
                .long("output")
                .required(true)
                .help("The policy to write"),
        )
}

pub(super) fn run(matches: &ArgMatches, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let files = matches.get_many::<PathBuf>("parts").into_iter().flatten();
    let files: Vec<NamedBytes> = files.map(read).collect::<Result<_, _>>()?;
    let base = matches.get_one::<PathBuf>("onto").map(read).transpose()?;
    let parts: Vec<Part<'_>> = files.iter().map(part).collect();
    let base = base.as_ref().map_or(WHOLE, part);
    let policy = airlock_kit::compose(&parts, &base)
        .map_err(|error| CommandError::Failure(anyhow::Error::new(error)))?;
    let output = matches.get_one::<PathBuf>("output").cloned();
    let output = output.unwrap_or_default();
    file::replace(&output, &policy.bytes, file::READABLE)
        .with_context(|| format!("cannot write {}", output.display()))
        .map_err(CommandError::Failure)?;
    write_origins(&output, &policy, out)?;
    Ok(ExitCode::SUCCESS)
}

/// A file's name for messages, and its bytes.
type NamedBytes = (String, Vec<u8>);

fn read(path: &PathBuf) -> Result<NamedBytes, CommandError> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(CommandError::Failure)?;
    Ok((path.display().to_string(), bytes))
}

fn part((name, bytes): &NamedBytes) -> Part<'_> {
    Part { name, bytes }
}
