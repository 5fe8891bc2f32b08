//! `airlock codex`: installs the Codex that the gateway runs.

mod install;
mod npm;

use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::arguments;
use super::error::CommandError;
use super::runtime::with_runtime;
use crate::config::Config;
use airlock_base::environment::Environment;
use airlock_codex::binary::PINNED;

const INSTALL: &str = "\
Puts Codex into the data directory, where `airlock serve` looks for it before PATH. It needs npm, whose settings
(registry, proxy, certificates) it goes by, and about 400 MB of disk; 100 MB are downloaded.

The pinned version is verified by the checksums that airlock was built with. Of each version, the installed binary must
tell a protocol that fits. Only then it takes the place of the one before, in one step: a gateway that runs meanwhile
never sees half of it, and takes it up with its next child.

Examples:
  airlock codex install
  airlock codex install --data-dir /var/lib/airlock
  airlock codex install --version 0.163.0";

/// The command line.
pub(super) fn command() -> Command {
    let version = Arg::new("version")
        .long("version")
        .value_name("VERSION")
        .default_value(PINNED)
        .help("Which one. Only the pinned one is verified by airlock's own checksums");
    let install = Command::new("install")
        .about("Installs the Codex that airlock is tested with, or another that fits")
        .disable_version_flag(true)
        .arg(version)
        .after_help(INSTALL);
    Command::new("codex")
        .about("Installs Codex")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(arguments::options(install))
}

/// Runs `airlock codex …`.
pub(super) fn run(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode, CommandError> {
    let Some(("install", matches)) = matches.subcommand() else {
        return Err(CommandError::Usage(anyhow::anyhow!(
            "no command; see `airlock codex --help`"
        )));
    };
    let loaded = Config::load_for_client(&arguments::flags(matches), Environment::of_process());
    let config = loaded
        .map_err(|error| CommandError::Usage(error.into()))?
        .config;
    let version = matches
        .get_one::<String>("version")
        .map_or(PINNED, String::as_str);
    if !is_version(version) {
        return Err(CommandError::Usage(anyhow::anyhow!(
            "{version:?} is not a version; one looks like {PINNED}"
        )));
    }
    with_runtime(|runtime| {
        let installed = runtime.block_on(install::install(&config, version, out));
        installed
            .map(|()| ExitCode::SUCCESS)
            .map_err(CommandError::Failure)
    })
}

/// Whether a text is one version. npm would also take a tag, a range, a folder or an address.
fn is_version(text: &str) -> bool {
    semver::Version::parse(text).is_ok_and(|version| version.build.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_reach_npm() {
        for version in ["0.169.0", "1.0.0-alpha.1"] {
            assert!(is_version(version), "{version}");
        }
        for other in [
            "",
            "latest",
            "^0.169.0",
            "0.169",
            "0.169.x",
            "../evil",
            "0.1.0-",
            "0.1.0 --x",
            "0.1.0+x",
            "0.1.0-a/b",
        ] {
            assert!(!is_version(other), "{other}");
        }
    }
}
