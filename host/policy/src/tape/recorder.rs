//! Records tapes of the next requests, for a limited time. A request that is recorded waits for nothing: a
//! task beside it collects what its policy is told, and writes the tape when it is over.

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

/// The folder of the data directory that tapes go to.
const FOLDER: &str = "tapes";

/// Bytes of all tapes that are being recorded.
const ALL_BYTES: usize = 4 * BYTES;

/// Bytes of calls that may wait to be collected: those of a whole tape, and what came of them.
const WAITING_BYTES: usize = 2 * BYTES;

/// What is written to find out whether there is room, and its size.
const PROBE: &str = ".probe";
const PROBE_BYTES: usize = 64 << 10;

/// Tapes that are listed, the newest by name.
const LISTED: usize = 1000;

/// What records. Clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<RecorderInner>);

struct RecorderInner {
    folder: PathBuf,
    tasks: Tasks,
    /// Read before the lock is taken: nearly always, nothing is recorded.
    on: AtomicBool,
    state: Mutex<RecorderState>,
    /// Bytes of the tapes that are being recorded.
    held: AtomicUsize,
    /// Of whoever makes a tape of what was collected: it takes several times its bytes.
    making: Arc<Semaphore>,
}

#[derive(Default)]
struct RecorderState {
    recording: Option<RecordingRequest>,
    /// Requests of which a tape is being made.
    running: u64,
    recorded: u64,
    skipped: u64,
}

struct RecordingRequest {
    /// Requests that are still to be recorded.
    left: u32,
    until: Instant,
    /// The same in Unix milliseconds.
    ends_at: u64,
}

/// What is being recorded, and what there is.
#[derive(Clone, Debug, Serialize)]
pub struct TapeReport {
    /// None: nothing more is recorded.
    pub recording: Option<RecordingReport>,
    /// Requests of which a tape is being made.
    pub running: u64,
    /// Tapes that were written since the gateway's start.
    pub recorded: u64,
    /// Requests that were passed over, or given up: too large, or too fast.
    pub skipped: u64,
    /// Where tapes are.
    pub folder: PathBuf,
    /// Those that there are, by name.
    pub tapes: Vec<TapeFile>,
}

/// For how long requests are recorded.
#[derive(Clone, Debug, Serialize)]
pub struct RecordingReport {
    /// So many requests more.
    pub requests: u32,
    /// At most until then, in Unix milliseconds.
    pub until: u64,
}

/// A tape that there is.
#[derive(Clone, Debug, Serialize)]
pub struct TapeFile {
    /// Its file's name.
    pub name: String,
    /// Its file's size.
    pub bytes: u64,
}

impl Recorder {
    /// A recorder that records nothing yet, for this data directory.
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

    /// Records the next so many requests, for at most so long. It replaces an earlier recording.
    ///
    /// # Errors
    /// The folder cannot be made, is not ours alone, or has no room for a tape.
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

    /// Whether no tape is being made, nor will be.
    fn is_idle(&self) -> bool {
        let mut state = self.lock();
        state.expire();
        state.running == 0 && state.recording.is_none()
    }

    /// Records no further request. False: none would have been.
    pub fn stop(&self) -> bool {
        let mut state = self.lock();
        state.expire();
        self.0.on.store(false, Ordering::Relaxed);
        state.recording.take().is_some()
    }

    /// What is being recorded, and what there is.
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
        // Looked for last: one that is counted is there.
        report.tapes = list(&report.folder)?;
        Ok(report)
    }

    /// Records a request, if it is to be. It costs the request copies of what it is told, and no waiting.
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
                steps = collect(observed, &mut held) => {
                    if let Some(steps) = steps {
                        held.written = recorder.write(request, steps).await;
                    }
                }
            }
        });
    }

    /// Whether the next request is recorded. If so, it counts.
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

    /// Writes a tape, where waiting for the disk holds up nobody.
    async fn write(&self, request: String, steps: Vec<PolicyCall>) -> bool {
        let Ok(alone) = Arc::clone(&self.0.making).acquire_owned().await else {
            return false;
        };
        let folder = self.0.folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let path = folder.join(name(&request));
            let tape = Tape::new(request, clock::unix_ms(), steps);
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

    /// A standard mutex: it is held for a few instructions and never across an await.
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

/// The memory of a tape in the making, given back when it is written or given up.
struct TapeBuffer<'a> {
    recorder: &'a Recorder,
    bytes: usize,
    written: bool,
}

impl TapeBuffer<'_> {
    /// Takes so many more. False: it would be too much, for this tape or for all.
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

/// All steps of a request, from the first to the last. None: they are too large, or some are missing.
async fn collect(mut observed: Observed, held: &mut TapeBuffer<'_>) -> Option<Vec<PolicyCall>> {
    let mut steps = Vec::new();
    while let Some(seen) = observed.next().await {
        if !held.take(seen.step().size()) {
            return None;
        }
        steps.push(seen.step().clone());
    }
    (!observed.has_gaps() && !steps.is_empty()).then_some(steps)
}

/// What a request's tape is called: its id, of which nothing else than plain characters is taken.
fn name(request: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let stem: String = request.chars().filter(plain).take(100).collect();
    format!("{stem}.{EXTENSION}")
}

/// Writes a tape that only its owner may read: whole, or not at all.
fn save(path: &Path, tape: &Tape) -> io::Result<()> {
    let lines = tape.to_lines().map_err(io::Error::other)?;
    file::replace(path, lines.as_bytes(), file::PRIVATE)
}

/// Removes what was left by gateways that ended while they wrote a tape.
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

/// Whether a tape could be written: what is promised must be possible.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    let written = fs::write(&path, [b'\n'; PROBE_BYTES]);
    let written = written
        .map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", path.display())));
    let _ = fs::remove_file(&path);
    written
}

/// Makes the folder for us alone.
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
    // Their names grow with time.
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
