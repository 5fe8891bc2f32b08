//! What operators type: `airlock serve`, `airlock config`, `airlock doctor`, `airlock codex`, `airlock policy`, `airlock
//! tape`, and `airlock login`, `airlock logout`, `airlock status`.

mod account;
mod arguments;
mod become_codex;
mod codex;
mod compile_policy;
mod doctor;
mod policy;
mod port; // who has the address
mod remote;
mod serve;
mod tape;
mod terminal; // what it is shown

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::runtime::Runtime;

use self::terminal::Terminal;
use crate::config::{Config, Loaded};
use airlock_base::environment::Environment;
use airlock_codex::launch::LAUNCH;
use airlock_policy::compile::child::COMMAND as COMPILE;

/// Wrong usage or configuration; clap's own errors have it too.
const USAGE: u8 = 2;

/// What a shell says of a program that SIGPIPE has ended, as it does most of those whose reader has gone.
const SIGPIPE: u8 = 128 + 13;

/// Runs one command. What was asked for goes to `out`, errors go to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> ExitCode {
    let matches = match arguments::command().try_get_matches_from(arguments) {
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
    // The compiled code that this one writes is for us.
    if let Some((COMPILE, matches)) = matches.subcommand() {
        return report(
            compile_policy::run(matches, out, err).map_err(Stop::Failure),
            err,
        );
    }
    let (out, err) = (&mut Terminal::new(out), &mut Terminal::new(err));
    let done = dispatch(&matches, out, err);
    report(done, err)
}

/// The exit code. Why a command ended early goes to `err`.
fn report(done: Result<ExitCode, Stop>, err: &mut dyn Write) -> ExitCode {
    let (code, failure) = match done {
        Ok(code) => return code,
        Err(Stop::Usage(error)) => (USAGE, error),
        Err(Stop::Failure(error)) => (1, error),
    };
    if is_closed_output(&failure) {
        return ExitCode::from(SIGPIPE);
    }
    // The whole chain: each level says more.
    let _ = writeln!(err, "airlock: {failure:#}");
    ExitCode::from(code)
}

/// Whether a command could not write its output because its reader has gone, as `head` does. Whatever else can break has a
/// context.
fn is_closed_output(failure: &anyhow::Error) -> bool {
    let cause = failure.downcast_ref::<io::Error>();
    failure.chain().count() == 1
        && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// How long blocking work may go on after a command has done its own.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Why a command ended early.
enum Stop {
    /// What was typed or configured is wrong.
    Usage(anyhow::Error),
    /// It was right and did not work.
    Failure(anyhow::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failure(error.into())
    }
}

fn dispatch(
    matches: &ArgMatches,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> Result<ExitCode, Stop> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Stop::Usage(anyhow::anyhow!(
            "no command; see `airlock --help`"
        )));
    };
    if name == LAUNCH {
        return Err(Stop::Failure(become_codex::run(matches)));
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
    let loaded = loaded.map_err(|error| Stop::Usage(error.into()))?;
    match name {
        "login" => {
            with_runtime(|runtime| account::login(runtime, &loaded.config, matches, out, err))
        }
        "logout" => with_runtime(|runtime| account::logout(runtime, &loaded.config, out)),
        "status" => with_runtime(|runtime| account::status(runtime, &loaded.config, matches, out)),
        "serve" => with_workers(workers(&loaded.config), |runtime| {
            serve::run(runtime, loaded, out)
        }),
        _ => show(&loaded, out, err),
    }
}

fn show(loaded: &Loaded, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitCode, Stop> {
    for warning in &loaded.warnings {
        writeln!(err, "airlock: {warning}")?;
    }
    write!(out, "{}", loaded.to_toml())?;
    Ok(ExitCode::SUCCESS)
}

/// Threads that serve. A request is handed from task to task, so each further thread costs wake-ups between processors:
/// on two of them one thread serves more than two do (`docs/performance.md`).
fn workers(config: &Config) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2),
        workers => workers,
    }
}

fn with_runtime<T>(work: impl FnOnce(&Runtime) -> Result<T, Stop>) -> Result<T, Stop> {
    with_workers(1, work)
}

fn with_workers<T>(
    workers: usize,
    work: impl FnOnce(&Runtime) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut builder = match workers {
        // Its only thread is ours: no other has to be woken, and nothing is locked against one.
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers.max(1)).enable_all().build();
    let runtime = runtime
        .context("cannot start the runtime")
        .map_err(Stop::Failure)?;
    let done = work(&runtime);
    // Dropping it would wait for blocking work without end.
    runtime.shutdown_timeout(SHUTDOWN);
    done
}

#[cfg(test)]
mod tests;
