//! The log's way out. Lines are collected in memory and written by a thread of their own, so that no request waits for
//! whoever reads the log, and many lines are one write.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait at most, while nobody reads. A line that finds no room is lost, and counted.
const WAITING_BYTES: usize = 1 << 20;

/// What is said within this time is written at once.
const PACE: Duration = Duration::from_millis(5);

/// Bytes of room that are kept for the next lines.
const RETAINED_BYTES: usize = 64 << 10;

/// How long the end waits for whoever reads.
const FAREWELL: Duration = Duration::from_secs(1);

/// Lines that were lost, of this process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines of the log have been lost since the process began, because they were not read in time.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

thread_local! {
    /// Whether this is the thread that writes.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Takes lines. Clones share the way out.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

/// Has what was said written to its end when dropped, if somebody reads it.
#[must_use]
pub(crate) struct Writing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or the end has come, or it is over.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that were lost and that the log has not told of.
    untold: u64,
    /// The thread waits for a line, and must be woken for it.
    asleep: bool,
    ending: bool,
    over: bool,
}

/// Starts the thread that writes.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, Writing)> {
    let lines = Lines::default();
    let shared = lines.0.clone();
    thread::Builder::new().name("log".to_owned()).spawn({
        let shared = shared.clone();
        move || shared.write(out)
    })?;
    Ok((lines, Writing(shared)))
}

impl Shared {
    fn write(&self, mut out: impl Write) {
        WRITES.set(true);
        let mut bytes = Vec::new();
        while let Some(lost) = self.next(&mut bytes) {
            if lost > 0 {
                tracing::warn!(
                    lost,
                    "lines of this log were lost: whoever reads it was too slow"
                );
            }
            let unwritten = put(&mut out, &bytes);
            self.lose(memchr::memchr_iter(b'\n', unwritten).count() as u64);
            bytes.clear();
            bytes.shrink_to(RETAINED_BYTES);
            self.rest();
        }
        self.changed.notify_all();
    }

    /// Waits for lines, takes all there are, and says how many were lost before. None: there will be no more.
    fn next(&self, bytes: &mut Vec<u8>) -> Option<u64> {
        let mut waiting = self.lock();
        waiting.asleep = true;
        let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.ending;
        let woken = self.changed.wait_while(waiting, idle);
        waiting = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.asleep = false;
        waiting.over = waiting.bytes.is_empty();
        std::mem::swap(&mut waiting.bytes, bytes);
        (!waiting.over).then(|| std::mem::take(&mut waiting.untold))
    }

    fn lose(&self, lines: u64) {
        if lines > 0 {
            self.lock().untold += lines;
            LOST.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lets lines gather.
    fn rest(&self) {
        let going_on = |waiting: &mut Waiting| !waiting.ending;
        let rested = self.changed.wait_timeout_while(self.lock(), PACE, going_on);
        drop(rested);
    }

    /// Held for as long as it takes to copy a line.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes, and gives what could not be written.
fn put<'a>(out: &mut impl Write, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares it has made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PACE),
            Err(_) => break,
        }
    }
    bytes
}

impl Write for &Lines {
    /// Takes all of it: the log is written a line at a time. What is said after the end goes to stderr itself.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.over {
            drop(waiting);
            return io::stderr().write(line);
        }
        // What the thread itself says, that lines were lost, must not be lost too.
        if waiting.bytes.len() + line.len() > WAITING_BYTES && !WRITES.get() {
            drop(waiting);
            self.0.lose(1);
            return Ok(line.len());
        }
        waiting.bytes.extend_from_slice(line);
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.ending = true;
        self.0.changed.notify_all();
        let unfinished = |waiting: &mut Waiting| !waiting.over;
        drop(
            self.0
                .changed
                .wait_timeout_while(waiting, FAREWELL, unfinished),
        );
    }
}
