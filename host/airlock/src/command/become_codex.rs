//! Sets the parent-death signal and the soft limit of file descriptors, and becomes Codex: no Codex outlives its gateway,
//! not even after SIGKILL, and none has the limit that the gateway has raised for itself.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Error, anyhow};
use clap::ArgMatches;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use airlock_base::descriptors;

/// Does not return once the process has become Codex; what it returns is why it has not.
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
    if let Err(error) = descriptors::set(files) {
        return Error::from(error).context("cannot set the limit of file descriptors");
    }
    // It returns only when it fails.
    Error::from(Command::new(binary).args(command).exec()).context("cannot run codex")
}

/// Has this process killed when the one with this number ends, which must be its parent.
///
/// # Errors
/// It has ended already, or is another's.
pub(super) fn die_with(parent: i32) -> Result<(), Error> {
    let parent = Pid::from_raw(parent).context("no process has the parent's number")?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot set the parent-death signal")?;
    // The parent may have ended before the signal was set; then nothing would ever tell us.
    match getppid() {
        Some(now) if now == parent => Ok(()),
        _ => Err(anyhow!("the gateway has ended")),
    }
}
