//! What the log says: tracing, to stderr, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::Log;

/// Starts logging for this process. A second call changes nothing. The filter was checked with the configuration.
pub(crate) fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_ansi(std::io::stderr().is_terminal());
    // An error says that logging was started before, by a program that uses us as a library.
    let _ = if log.json {
        subscriber.json().try_init()
    } else {
        subscriber.try_init()
    };
}
