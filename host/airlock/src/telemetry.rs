//! What the log says: tracing, to stderr, as text or JSON.

mod fields; // values, escaped
mod lines; // its way out

use std::io::{self, IsTerminal as _, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::fields::EscapedFields;
pub(crate) use self::lines::{Writing, lost};
use airlock_base::escape::escaped_json;

/// What the log says and how.
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

/// Starts logging for this process. The log is written as long as what this gives is held. The filter was checked with the
/// configuration.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start(log: &LogConfig) -> io::Result<Writing> {
    let (lines, writing) = lines::start(io::stderr())?;
    // An error says that logging was started before, by a program that uses us as a library.
    let _ = if log.json {
        json(log, lines).try_init()
    } else {
        text(log, lines, io::stderr().is_terminal()).try_init()
    };
    Ok(writing)
}

fn filter(log: &LogConfig) -> EnvFilter {
    EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// One line of text for each event.
fn text<W>(log: &LogConfig, writer: W, colours: bool) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_timer(SystemTime)
        .with_ansi(colours)
        .fmt_fields(EscapedFields)
        .with_writer(writer)
        .finish()
}

/// One JSON object for each event.
fn json<W>(log: &LogConfig, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_timer(SystemTime)
        .with_ansi(false)
        .json()
        .with_writer(EscapingJson(writer))
        .finish()
}

/// Escapes what `serde_json` leaves as it is: U+007F and all that is unprintable beyond ASCII.
struct EscapingJson<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for EscapingJson<W> {
    type Writer = EscapingJson<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapingJson(self.0.make_writer())
    }
}

impl<W: Write> Write for EscapingJson<W> {
    /// Takes all of it: `tracing_subscriber` writes a line at a time.
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
