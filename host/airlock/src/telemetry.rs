//! Logging: `tracing` events to stderr, as text or JSON.

mod fields; // field values, escaped
mod non_blocking; // the buffer and the thread that writes it

use std::io::{self, IsTerminal as _, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::fields::EscapedFields;
pub(crate) use self::non_blocking::{FlushGuard, lost_lines};
use airlock_base::escape::escaped_json;

/// The settings of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A `RUST_LOG` filter: `info`, `airlock=debug,warn`.
    pub filter: String,
    /// One JSON object a line, in place of text.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            json: false,
        }
    }
}

/// Installs the log of this process. Hold the guard until the process ends: it flushes the log.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn init(log: &LogConfig) -> io::Result<FlushGuard> {
    let (writer, guard) = non_blocking::start(io::stderr())?;
    // It fails where a program that uses this crate as a library has installed its own subscriber.
    let _ = if log.json {
        json(log, writer).try_init()
    } else {
        text(log, writer, io::stderr().is_terminal()).try_init()
    };
    Ok(guard)
}

/// The filter, which the configuration has checked already.
fn filter(log: &LogConfig) -> EnvFilter {
    EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// A subscriber that writes one line of text for each event.
fn text<W>(log: &LogConfig, writer: W, ansi: bool) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_timer(SystemTime)
        .with_ansi(ansi)
        .fmt_fields(EscapedFields)
        .with_writer(writer)
        .finish()
}

/// A subscriber that writes one JSON object for each event.
fn json<W>(log: &LogConfig, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_timer(SystemTime)
        .with_ansi(false)
        .json()
        .with_writer(JsonEscapingWriter(writer))
        .finish()
}

/// Escapes the unprintable characters that `serde_json` leaves as they are: U+007F and those beyond ASCII.
struct JsonEscapingWriter<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for JsonEscapingWriter<W> {
    type Writer = JsonEscapingWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        JsonEscapingWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for JsonEscapingWriter<W> {
    /// Takes a whole line, as `tracing_subscriber` writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(escaped_json(text, "\n").as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
