//! Sets the parent-death signal and the soft limit of file descriptors, then executes Codex. So no Codex outlives its
//! gateway, not even after SIGKILL, and none has the limit that the gateway raised for itself.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Error, anyhow};
use clap::{Arg, ArgMatches, Command as CommandLine, value_parser};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use airlock_base::descriptors;
use airlock_codex::launch::LAUNCH;

/// The hidden command line.
pub(super) fn command() -> CommandLine {
    let argument = |name: &'static str| Arg::new(name).required(true);
    let program = argument("command")
        .num_args(1..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString));
    CommandLine::new(LAUNCH)
        .hide(true)
        .about("Becomes Codex, and dies with its parent. Only airlock itself uses it")
        .arg(argument("parent").value_parser(value_parser!(i32)))
        .arg(argument("descriptors").value_parser(value_parser!(u64)))
        .arg(program)
}

/// Executes Codex, and returns only on failure.
pub(super) fn run(matches: &ArgMatches) -> Error {
    let parent = matches.get_one::<i32>("parent").copied();
    let files = matches.get_one::<u64>("descriptors").copied();
    let mut command = matches
        .get_many::<OsString>("command")
        .into_iter()
        .flatten();
    let (Some(parent), Some(files), Some(binary)) = (parent, files, command.next()) else {
        return anyhow!("no parent, no limit or no command");
    };
    if let Err(error) = die_with(parent) {
        return error;
    }
    if let Err(error) = descriptors::set_soft_limit(files) {
        return Error::from(error).context("cannot set the limit of file descriptors");
    }
    Error::from(Command::new(binary).args(command).exec()).context("cannot run codex")
}

/// Sets the parent-death signal (`PR_SET_PDEATHSIG`) to SIGKILL.
///
/// # Errors
/// The parent has ended already, or has another process id.
pub(super) fn die_with(parent: i32) -> Result<(), Error> {
    let parent = Pid::from_raw(parent).context("no process has the parent's number")?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot set the parent-death signal")?;
    // A parent that ended before the call sends no signal.
    match getppid() {
        Some(now) if now == parent => Ok(()),
        _ => Err(anyhow!("the gateway has ended")),
    }
}
