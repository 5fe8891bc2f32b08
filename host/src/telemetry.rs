//! What the log says: tracing, to stderr, as text or JSON.

mod lines; // its way out

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

pub(crate) use self::lines::{Writing, lost};
use crate::config::Log;

/// Starts logging for this process. The log is written as long as what this gives is held. The filter was checked with the
/// configuration.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start(log: &Log) -> io::Result<Writing> {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, writing) = lines::start(io::stderr())?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_timer(SystemTime)
        .with_ansi(io::stderr().is_terminal());
    // An error says that logging was started before, by a program that uses us as a library.
    let _ = if log.json {
        subscriber.json().try_init()
    } else {
        subscriber.try_init()
    };
    Ok(writing)
}
