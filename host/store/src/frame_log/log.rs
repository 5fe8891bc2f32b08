//! One log: its frames, its state, and the signal for its readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::LoggedFrame;

/// The bytes that a frame takes besides its texts.
const FRAME_BYTES: u64 = 128;

/// The frames of one response.
#[derive(Debug)]
pub(super) struct FrameLog {
    inner: Mutex<LogFrames>,
    /// Signals each change.
    changed: watch::Sender<()>,
    /// The bytes of all logs.
    total: Arc<AtomicU64>,
}

#[derive(Debug)]
struct LogFrames {
    frames: Vec<LogEntry>,
    bytes: u64,
    phase: LogPhase,
}

#[derive(Debug)]
struct LogEntry {
    frame: LoggedFrame,
    /// The number of this frame, or else of the last frame before it that has one.
    last: Option<u64>,
}

impl LogEntry {
    /// Whether the frame comes after the one with this number. One without a number comes after its last predecessor that has
    /// one.
    fn is_after(&self, number: Option<u64>) -> bool {
        match (self.frame.number, number) {
            (_, None) => true,
            (Some(own), Some(number)) => own > number,
            (None, Some(number)) => self.last.is_some_and(|last| last >= number),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogPhase {
    Open,
    Ended,
    Dropped,
}

/// What a reader finds at its position of a log.
#[derive(Debug)]
pub(super) enum LogPosition {
    Frame(LoggedFrame),
    /// Nothing yet.
    Pending,
    /// The log has ended before it.
    End,
    /// The frames were dropped.
    Dropped,
}

impl FrameLog {
    pub(super) fn new(total: Arc<AtomicU64>) -> Self {
        let frames = LogFrames {
            frames: Vec::new(),
            bytes: 0,
            phase: LogPhase::Open,
        };
        Self {
            inner: Mutex::new(frames),
            changed: watch::Sender::new(()),
            total,
        }
    }

    /// Appends a frame, and returns the bytes that the log has then. None: it was dropped.
    pub(super) fn append(&self, frame: LoggedFrame) -> Option<u64> {
        let event = frame.event.as_deref().unwrap_or_default().len();
        let bytes = u64::try_from(frame.data.len() + event).unwrap_or(u64::MAX) + FRAME_BYTES;
        let all = {
            let mut inner = self.inner.lock();
            if inner.phase == LogPhase::Dropped {
                return None;
            }
            let before = inner.frames.last().and_then(|entry| entry.last);
            let last = frame.number.or(before);
            inner.frames.push(LogEntry { frame, last });
            inner.bytes += bytes;
            self.total.fetch_add(bytes, Ordering::Relaxed);
            inner.bytes
        };
        self.changed.send_replace(());
        Some(all)
    }

    /// Ends the log. False: it was dropped.
    pub(super) fn end(&self) -> bool {
        {
            let mut inner = self.inner.lock();
            if inner.phase != LogPhase::Open {
                return false;
            }
            inner.phase = LogPhase::Ended;
        }
        self.changed.send_replace(());
        true
    }

    /// Drops the frames.
    pub(super) fn discard(&self) {
        let frames = {
            let mut inner = self.inner.lock();
            inner.phase = LogPhase::Dropped;
            self.total.fetch_sub(inner.bytes, Ordering::Relaxed);
            inner.bytes = 0;
            std::mem::take(&mut inner.frames)
        };
        drop(frames);
        self.changed.send_replace(());
    }

    pub(super) fn is_ended(&self) -> bool {
        self.inner.lock().phase == LogPhase::Ended
    }

    /// The position of the first frame after the one with this number, as far as there are frames.
    pub(super) fn position_after(&self, number: u64) -> usize {
        let inner = self.inner.lock();
        inner
            .frames
            .partition_point(|entry| !entry.is_after(Some(number)))
    }

    /// The frame at this position or behind it that is after the one with this number, upon which the position is behind it.
    pub(super) fn next(&self, position: &mut usize, after: Option<u64>) -> LogPosition {
        let inner = self.inner.lock();
        if inner.phase == LogPhase::Dropped {
            return LogPosition::Dropped;
        }
        while let Some(entry) = inner.frames.get(*position) {
            *position += 1;
            if entry.is_after(after) {
                return LogPosition::Frame(entry.frame.clone());
            }
        }
        match inner.phase {
            LogPhase::Open => LogPosition::Pending,
            LogPhase::Ended => LogPosition::End,
            LogPhase::Dropped => LogPosition::Dropped,
        }
    }

    /// Signals later changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
