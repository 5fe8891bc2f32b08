//! A writer that never blocks: log lines are buffered and written by a thread of their own, many lines in one write, so
//! that no request waits for the reader of stderr.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that the buffer holds at most. A line that does not fit is lost and counted.
const BUFFER_BYTES: usize = 1 << 20;

/// How long lines are collected before they are written together.
const BATCH_INTERVAL: Duration = Duration::from_millis(5);

/// Capacity in bytes that the thread keeps for the next batch.
const RETAINED_BYTES: usize = 64 << 10;

/// How long the guard waits for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Log lines that this process has lost.
static LOST: AtomicU64 = AtomicU64::new(0);

/// The number of log lines that this process has lost because stderr was not read in time.
pub(crate) fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

thread_local! {
    /// Whether this is the thread that writes the buffer.
    static IS_WRITER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Appends lines to the buffer. Clones share it.
#[derive(Clone, Default)]
pub(super) struct NonBlockingWriter(Arc<LogBuffer>);

/// Flushes the log when dropped, for at most [`FLUSH_TIMEOUT`].
#[must_use]
pub(crate) struct FlushGuard(Arc<LogBuffer>);

#[derive(Default)]
struct LogBuffer {
    state: Mutex<BufferState>,
    /// There is a line to write, or `closing` or `closed` was set.
    changed: Condvar,
}

#[derive(Default)]
struct BufferState {
    bytes: Vec<u8>,
    /// Lost lines that the log has not reported yet.
    unreported: u64,
    /// The thread waits for a line and must be woken for it.
    idle: bool,
    /// The thread is to write what is buffered and end.
    closing: bool,
    /// The thread has ended.
    closed: bool,
}

/// Starts the thread that writes.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn start(
    out: impl Write + Send + 'static,
) -> io::Result<(NonBlockingWriter, FlushGuard)> {
    let writer = NonBlockingWriter::default();
    let buffer = writer.0.clone();
    thread::Builder::new().name("log".to_owned()).spawn({
        let buffer = buffer.clone();
        move || buffer.write_to(out)
    })?;
    Ok((writer, FlushGuard(buffer)))
}

impl LogBuffer {
    /// The thread's loop.
    fn write_to(&self, mut out: impl Write) {
        IS_WRITER_THREAD.set(true);
        let mut batch = Vec::new();
        while let Some(lost) = self.next_batch(&mut batch) {
            if lost > 0 {
                tracing::warn!(lost, "lines of this log were lost: its reader was too slow");
            }
            let unwritten = write_available(&mut out, &batch);
            self.count_lost(memchr::memchr_iter(b'\n', unwritten).count() as u64);
            batch.clear();
            batch.shrink_to(RETAINED_BYTES);
            self.collect();
        }
        self.changed.notify_all();
    }

    /// Waits for lines, moves all of them into the empty `batch`, and returns how many were lost before. None: the
    /// log is closed.
    fn next_batch(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.state.lock();
        state.idle = true;
        self.changed
            .wait_while(&mut state, |it| it.bytes.is_empty() && !it.closing);
        state.idle = false;
        state.closed = state.bytes.is_empty();
        std::mem::swap(&mut state.bytes, batch);
        (!state.closed).then(|| std::mem::take(&mut state.unreported))
    }

    fn count_lost(&self, lines: u64) {
        if lines > 0 {
            self.state.lock().unreported += lines;
            LOST.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Waits while lines collect.
    fn collect(&self) {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |it| !it.closing, BATCH_INTERVAL);
    }
}

/// Writes as much as `out` takes, and returns the rest.
fn write_available<'a>(out: &mut impl Write, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares stderr made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(BATCH_INTERVAL);
            }
            Err(_) => break,
        }
    }
    bytes
}

impl Write for &NonBlockingWriter {
    /// Takes a whole line, as `tracing_subscriber` writes it. Once the log is closed, lines go to stderr directly.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.closed {
            drop(state);
            return io::stderr().write(line);
        }
        // The thread's own report of lost lines is never lost.
        if state.bytes.len() + line.len() > BUFFER_BYTES && !IS_WRITER_THREAD.get() {
            drop(state);
            self.0.count_lost(1);
            return Ok(line.len());
        }
        state.bytes.extend_from_slice(line);
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for NonBlockingWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Drop for FlushGuard {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closing = true;
        self.0.changed.notify_all();
        self.0
            .changed
            .wait_while_for(&mut state, |it| !it.closed, FLUSH_TIMEOUT);
    }
}
