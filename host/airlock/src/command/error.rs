//! Why a command ended early, and its exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code for wrong usage or configuration, which clap's own errors have too.
pub(super) const USAGE: u8 = 2;

/// The exit code that shells report for a program that SIGPIPE ended, as most programs whose reader is gone.
const SIGPIPE: u8 = 128 + 13;

/// Why a command ended early.
pub(super) enum CommandError {
    /// The arguments or the configuration are wrong.
    Usage(anyhow::Error),
    /// The command failed.
    Failure(anyhow::Error),
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Failure(error.into())
    }
}

/// Writes an error with its causes to `err`, and returns the exit code.
pub(super) fn report(done: Result<ExitCode, CommandError>, err: &mut dyn Write) -> ExitCode {
    let (code, failure) = match done {
        Ok(code) => return code,
        Err(CommandError::Usage(error)) => (USAGE, error),
        Err(CommandError::Failure(error)) => (1, error),
    };
    if is_closed_output(&failure) {
        return ExitCode::from(SIGPIPE);
    }
    let _ = writeln!(err, "airlock: {failure:#}");
    ExitCode::from(code)
}

/// Whether the reader of a command's output is gone, as `head` is at its end. Every other broken pipe has a context.
fn is_closed_output(failure: &anyhow::Error) -> bool {
    let cause = failure.downcast_ref::<io::Error>();
    failure.chain().count() == 1
        && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
