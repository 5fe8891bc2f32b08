//! Records tapes of the next requests, for a limited time. A task collects the calls of each recorded request without
//! delaying it, and writes the tape when the request has ended.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{BYTES, EXTENSION, Tape, files};
use crate::policy_call::{Observed, PolicyCall, observer_of};
use crate::session::Session;
use airlock_base::clock;
use airlock_base::file;
use airlock_base::task::Tasks;

/// The folder of tapes in the data directory.
const FOLDER: &str = "tapes";

/// The most bytes of all tapes that are being recorded.
const ALL_BYTES: usize = 4 * BYTES;

/// The most bytes of calls that wait to be collected: a whole tape with its results.
const WAITING_BYTES: usize = 2 * BYTES;

/// The file that is written to check for room, and its size.
const PROBE: &str = ".probe";
const PROBE_BYTES: usize = 64 << 10;

/// The most tapes that are listed: the newest.
const LISTED: usize = 1000;

/// Records tapes. Clones share their state.
#[derive(Clone)]
pub struct Recorder(Arc<RecorderInner>);

struct RecorderInner {
    folder: PathBuf,
    tasks: Tasks,
    /// Whether requests are recorded. Read before the lock is taken, because nearly always nothing is recorded.
    on: AtomicBool,
    state: Mutex<RecorderState>,
    /// Bytes of all tapes that are being recorded.
    held: AtomicUsize,
    /// One tape is written at a time, because that takes several times its bytes.
    making: Arc<Semaphore>,
}

#[derive(Default)]
struct RecorderState {
    recording: Option<RecordingRequest>,
    /// Requests that are being recorded.
    running: u64,
    recorded: u64,
    skipped: u64,
}

struct RecordingRequest {
    /// Requests that are still to be recorded.
    left: u32,
    until: Instant,
    /// `until` in milliseconds since 1970.
    ends_at: u64,
}

/// The state of the recorder, and the tapes.
#[derive(Clone, Debug, Serialize)]
pub struct TapeReport {
    /// The recording. None if no further requests are recorded.
    pub recording: Option<RecordingReport>,
    /// Requests that are being recorded.
    pub running: u64,
    /// Tapes that were written since the gateway's start.
    pub recorded: u64,
    /// Requests without a tape: too large, or their calls came too fast.
    pub skipped: u64,
    /// The folder of tapes.
    pub folder: PathBuf,
    /// The newest tapes, by name.
    pub tapes: Vec<TapeFile>,
}

/// The end of a recording.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingReport {
    /// The requests that are still to be recorded.
    pub requests: u32,
    /// The end at the latest, in milliseconds since 1970.
    pub until: u64,
}

/// A tape in the folder.
#[derive(Clone, Debug, Serialize)]
pub struct TapeFile {
    /// The name of its file.
    pub name: String,
    /// The size of its file.
    pub bytes: u64,
}

impl Recorder {
    /// A recorder for this data directory. It records nothing before `begin`.
    pub fn new(data_dir: &Path, tasks: &Tasks) -> Self {
        Self(Arc::new(RecorderInner {
            folder: data_dir.join(FOLDER),
            tasks: tasks.clone(),
            on: AtomicBool::new(false),
            state: Mutex::default(),
            held: AtomicUsize::new(0),
            making: Arc::new(Semaphore::new(1)),
        }))
    }

    /// Records the next `requests` requests, for at most `time`. It replaces an earlier recording.
    ///
    /// # Errors
    /// The folder cannot be created or made private, or has no room for a tape.
    pub fn begin(&self, requests: u32, time: Duration) -> io::Result<()> {
        private(&self.0.folder)?;
        if self.is_idle() {
            clear(&self.0.folder)?;
        }
        probe(&self.0.folder)?;
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        state.recording = Some(RecordingRequest {
            left: requests,
            until: Instant::now() + time,
            ends_at: clock::unix_ms().saturating_add(milliseconds),
        });
        self.0.on.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether no request is being recorded, nor will be.
    fn is_idle(&self) -> bool {
        let mut state = self.lock();
        state.expire();
        state.running == 0 && state.recording.is_none()
    }

    /// Ends the recording. Returns false if there was none.
    pub fn stop(&self) -> bool {
        let mut state = self.lock();
        state.expire();
        self.0.on.store(false, Ordering::Relaxed);
        state.recording.take().is_some()
    }

    /// The state of the recorder, and the tapes.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn report(&self) -> io::Result<TapeReport> {
        let mut state = self.lock();
        state.expire();
        let mut report = TapeReport {
            recording: state.recording.as_ref().map(|recording| RecordingReport {
                requests: recording.left,
                until: recording.ends_at,
            }),
            running: state.running,
            recorded: state.recorded,
            skipped: state.skipped,
            folder: self.0.folder.clone(),
            tapes: Vec::new(),
        };
        drop(state);
        // Listed last, so that every tape that is counted is listed.
        report.tapes = list(&report.folder)?;
        Ok(report)
    }

    /// Records a request if a recording runs. This copies its calls, and never delays it.
    pub fn follow(&self, session: &mut Session, request: &str, body_bytes: usize) {
        if !self.0.on.load(Ordering::Relaxed) || !self.takes(body_bytes) {
            return;
        }
        let (sender, observed) = observer_of(WAITING_BYTES);
        session.observe(sender);
        let recorder = self.clone();
        let request = request.to_owned();
        self.0.tasks.spawn("tape", async move {
            let mut held = TapeBuffer {
                recorder: &recorder,
                bytes: 0,
                written: false,
            };
            let stopping = recorder.0.tasks.clone();
            tokio::select! {
                () = stopping.stopping() => {}
                calls = collect(observed, &mut held) => {
                    if let Some(calls) = calls {
                        held.written = recorder.write(request, calls).await;
                    }
                }
            }
        });
    }

    /// Whether the next request is recorded. Counts it.
    fn takes(&self, body_bytes: usize) -> bool {
        let mut state = self.lock();
        state.expire();
        let Some(recording) = &mut state.recording else {
            self.0.on.store(false, Ordering::Relaxed);
            return false;
        };
        if body_bytes > BYTES {
            state.skipped += 1;
            return false;
        }
        recording.left -= 1;
        if recording.left == 0 {
            state.recording = None;
            self.0.on.store(false, Ordering::Relaxed);
        }
        state.running += 1;
        true
    }

    /// Writes a tape, on a blocking thread. Returns whether it was written.
    async fn write(&self, request: String, calls: Vec<PolicyCall>) -> bool {
        let Ok(alone) = Arc::clone(&self.0.making).acquire_owned().await else {
            return false;
        };
        let folder = self.0.folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let path = folder.join(name(&request));
            let tape = Tape::new(request, clock::unix_ms(), calls);
            save(&path, &tape).map(|()| path)
        });
        match written.await {
            Ok(Ok(path)) => {
                tracing::info!(tape = %path.display(), "request recorded");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a tape cannot be written");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "a tape was not written");
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.0.state.lock()
    }
}

impl RecorderState {
    /// Ends the recording once its time is over.
    fn expire(&mut self) {
        self.recording = self
            .recording
            .take()
            .filter(|recording| Instant::now() < recording.until);
    }
}

/// The memory of a tape that is being recorded. Dropping it frees the memory and counts the tape.
struct TapeBuffer<'a> {
    recorder: &'a Recorder,
    bytes: usize,
    written: bool,
}

impl TapeBuffer<'_> {
    /// Takes this many more bytes. Returns false if that exceeds the bound of this tape or of all.
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let all = &self.recorder.0.held;
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        self.bytes <= BYTES && before + bytes <= ALL_BYTES
    }
}

impl Drop for TapeBuffer<'_> {
    fn drop(&mut self) {
        let all = &self.recorder.0.held;
        all.fetch_sub(self.bytes, Ordering::Relaxed);
        let mut state = self.recorder.lock();
        state.running -= 1;
        if self.written {
            state.recorded += 1;
        } else {
            state.skipped += 1;
        }
    }
}

/// Collects the calls of a request. `None` if they are too large or some are missing.
async fn collect(mut observed: Observed, held: &mut TapeBuffer<'_>) -> Option<Vec<PolicyCall>> {
    let mut calls = Vec::new();
    while let Some(recorded) = observed.next().await {
        if !held.take(recorded.call().size()) {
            return None;
        }
        calls.push(recorded.call().clone());
    }
    (!observed.has_gaps() && !calls.is_empty()).then_some(calls)
}

/// The file name of a request's tape: the letters, digits, `_` and `-` of its id.
fn name(request: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let stem: String = request.chars().filter(plain).take(100).collect();
    format!("{stem}.{EXTENSION}")
}

/// Writes a tape atomically. Only its owner may read it.
fn save(path: &Path, tape: &Tape) -> io::Result<()> {
    let lines = tape.to_lines().map_err(io::Error::other)?;
    file::replace(path, lines.as_bytes(), file::PRIVATE)
}

/// Removes temporary files of gateways that were killed while they wrote a tape.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|end| end == file::TEMPORARY_EXTENSION)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Checks that a tape can be written, so that `begin` fails and not the recording.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    let written = fs::write(&path, [b'\n'; PROBE_BYTES]);
    let written = written
        .map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", path.display())));
    let _ = fs::remove_file(&path);
    written
}

/// Creates the folder, and makes it private.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)?;
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Err(io::Error::other(format!(
            "{} is a symbolic link",
            folder.display()
        )));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

fn list(folder: &Path) -> io::Result<Vec<TapeFile>> {
    let mut paths = match files(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        found => found?,
    };
    // Request ids sort by time, so the last are the newest.
    let over = paths.len().saturating_sub(LISTED);
    paths.drain(..over);
    let listed = paths.into_iter().filter_map(|path| {
        Some(TapeFile {
            name: path.file_name()?.to_string_lossy().into_owned(),
            bytes: fs::metadata(&path).ok()?.len(),
        })
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests;
