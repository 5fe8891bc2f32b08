//! Whole log lines, from an event to its bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use airlock_base::escape::is_unprintable;

/// Text as a client or a model may choose it: a forged line, a colour, a change of direction, invisible characters.
const FORGED: &str =
    "a\n2026-01-01T00:00:00Z  INFO forged\r\u{1b}[31m\u{9b}1m\0\u{7f}\u{202e}\u{200b}\u{2028}z";
const ESCAPED: &str = "a\\n2026-01-01T00:00:00Z  INFO forged\\r\\u{1b}[31m\\u{9b}1m\\u{0}\\u{7f}\\u{202e}\\u{200b}\\u{2028}z";

#[derive(Clone, Default)]
struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{FORGED}")]
struct ForgedError(#[source] io::Error);

/// Logs the forged text as each kind of field, within a span that has it too.
fn logged(subscriber: impl Subscriber + Send + Sync, written: &CapturedOutput) -> String {
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("request", path = FORGED, late = tracing::field::Empty);
        span.record("late", tracing::field::display(FORGED));
        let _inside = span.enter();
        let error = ForgedError(io::Error::other(FORGED));
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::info!(display = %FORGED, debug = ?FORGED, text = FORGED, error, "{FORGED}");
    });
    String::from_utf8(written.0.lock().clone()).unwrap()
}

fn log(json: bool) -> LogConfig {
    LogConfig {
        filter: "info".to_owned(),
        json,
    }
}

#[test]
fn no_value_of_a_text_line_can_forge_or_hide_anything() {
    let written = CapturedOutput::default();
    let writer = written.clone();
    let text = logged(
        super::text(&log(false), move || writer.clone(), false),
        &written,
    );
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains(is_unprintable), "{line:?}");
    let (_, event) = line.split_once("INFO request{").unwrap();
    let target = "airlock::telemetry::tests";
    let quoted = format!("{FORGED:?}");
    assert_eq!(
        event,
        format!(
            "path={quoted} late={ESCAPED}}}: {target}: {ESCAPED} display={ESCAPED} debug={quoted} text={quoted} \
             error={ESCAPED} error.sources=[{ESCAPED}]"
        )
    );
}

#[test]
fn no_value_of_a_json_line_can_forge_or_hide_anything() {
    let written = CapturedOutput::default();
    let writer = written.clone();
    let text = logged(super::json(&log(true), move || writer.clone()), &written);
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains(is_unprintable), "{line:?}");
    let read: serde_json::Value = serde_json::from_str(line).unwrap();
    for value in [
        &read["fields"]["message"],
        &read["fields"]["display"],
        &read["fields"]["text"],
        &read["span"]["path"],
        &read["span"]["late"],
    ] {
        assert_eq!(value, FORGED, "{line}");
    }
}

#[test]
fn a_terminal_gets_the_colours_of_the_log_and_no_others() {
    let written = CapturedOutput::default();
    let writer = written.clone();
    let text = logged(
        super::text(&log(false), move || writer.clone(), true),
        &written,
    );
    assert!(
        text.contains("\u{1b}[32m") && !text.contains("\u{1b}[31m"),
        "{text:?}"
    );
    assert_eq!(text.lines().count(), 1, "{text:?}");
}
