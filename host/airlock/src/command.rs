//! The commands: `airlock serve`, `config`, `doctor`, `login`, `logout`, `status`, `codex`, `policy` and `tape`.

mod account; // login, logout, status
mod arguments; // the flags of settings
mod codex; // installs Codex
mod command_line; // the whole command line
mod compile_policy; // a process that compiles one policy
mod doctor; // checks of the set-up
mod error; // exit codes
mod exec_codex; // a process that becomes Codex
mod gateway_client; // the HTTP client of commands
mod policy; // commands of authors and operators
mod port; // what listens on the configured address
mod runtime; // tokio
mod serve; // the gateway
mod tape; // records requests
mod terminal; // escapes what a terminal would obey

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::ArgMatches;

use self::error::{CommandError, USAGE, report};
use self::runtime::{with_runtime, with_workers};
use self::terminal::Terminal;
use crate::config::{Config, LoadedConfig};
use airlock_base::environment::Environment;
use airlock_codex::launch::LAUNCH;
use airlock_policy::compile::child::COMMAND as COMPILE;

/// Runs one command. Results go to `out`, errors to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> ExitCode {
    let matches = match command_line::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.render();
            let _ = if error.use_stderr() {
                write!(err, "{text}")
            } else {
                write!(out, "{text}")
            };
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    // It writes compiled code for its parent process, which must not be escaped.
    if let Some((COMPILE, matches)) = matches.subcommand() {
        return report(
            compile_policy::run(matches, out, err).map_err(CommandError::Failure),
            err,
        );
    }
    let (out, err) = (&mut Terminal::new(out), &mut Terminal::new(err));
    let done = dispatch(&matches, out, err);
    report(done, err)
}

fn dispatch(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(CommandError::Usage(anyhow::anyhow!(
            "no command; see `airlock --help`"
        )));
    };
    if name == LAUNCH {
        return Err(CommandError::Failure(exec_codex::run(matches)));
    }
    if name == "policy" {
        return policy::run(matches, out, err);
    }
    if name == "codex" {
        return codex::run(matches, out);
    }
    if name == "tape" {
        return tape::run(matches, out);
    }
    let (flags, environment) = (arguments::flags(matches), Environment::of_process());
    let loaded = match name {
        "login" | "logout" | "status" => Config::load_for_client(&flags, environment),
        _ => Config::load(&flags, environment),
    };
    if name == "doctor" {
        let as_json = matches.get_flag("json");
        return with_runtime(|runtime| match matches.get_flag("protocol") {
            true => doctor::protocol::run(runtime, loaded, as_json, out),
            false => Ok(doctor::run(runtime, loaded, as_json, out)?),
        });
    }
    let loaded = loaded.map_err(|error| CommandError::Usage(error.into()))?;
    match name {
        "login" => {
            with_runtime(|runtime| account::login(runtime, &loaded.config, matches, out, err))
        }
        "logout" => with_runtime(|runtime| account::logout(runtime, &loaded.config, out)),
        "status" => with_runtime(|runtime| account::status(runtime, &loaded.config, matches, out)),
        "serve" => with_workers(workers(&loaded.config), |runtime| {
            serve::run(runtime, loaded, out)
        }),
        _ => print_config(&loaded, out, err),
    }
}

fn print_config(
    loaded: &LoadedConfig,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    for warning in &loaded.warnings {
        writeln!(err, "airlock: {warning}")?;
    }
    write!(out, "{}", loaded.to_toml())?;
    Ok(ExitCode::SUCCESS)
}

/// The number of serving threads. Requests pass from task to task, so each further thread costs wake-ups between
/// processors: with two processors, one thread serves more requests than two (`docs/performance.md`).
fn workers(config: &Config) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2),
        workers => workers,
    }
}

#[cfg(test)]
mod tests;
