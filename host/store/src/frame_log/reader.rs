//! Reading a log.

use std::sync::Arc;

use tokio::sync::watch;

use super::LoggedFrame;
use super::log::{FrameLog, LogPosition};

/// A reader of a log: yields its frames from a position on, and then those that follow as they are written. Several readers
/// are independent of one another and of the writer.
#[derive(Debug)]
pub struct FrameLogReader {
    log: Arc<FrameLog>,
    /// Frames up to this number are passed over.
    after: Option<u64>,
    position: usize,
    changed: watch::Receiver<()>,
}

/// What a reader receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameRead {
    /// The next frame.
    Frame(LoggedFrame),
    /// There are no more: the response has ended.
    Ended,
    /// The log was dropped, as it exceeded a limit, its time was over, or its response was not finished. Frames may be
    /// missing.
    Dropped,
}

impl FrameLogReader {
    pub(super) fn new(log: Arc<FrameLog>, after: Option<u64>) -> Self {
        let changed = log.subscribe();
        Self {
            position: after.map_or(0, |number| log.position_after(number)),
            after,
            log,
            changed,
        }
    }

    /// The sequence number after the last frame that was read, or from which on frames were requested.
    pub fn next_number(&self) -> u64 {
        self.after.map_or(0, |number| number.saturating_add(1))
    }

    /// Waits for the next frame, or the end. Cancel safe: a dropped call has taken no frame.
    pub async fn next(&mut self) -> FrameRead {
        loop {
            self.changed.mark_unchanged();
            match self.log.next(&mut self.position, self.after) {
                LogPosition::Frame(frame) => {
                    self.after = frame.number.or(self.after);
                    return FrameRead::Frame(frame);
                }
                LogPosition::End => return FrameRead::Ended,
                LogPosition::Dropped => return FrameRead::Dropped,
                LogPosition::Pending => {
                    // It fails if the sender is gone, which `log` holds.
                    let _ = self.changed.changed().await;
                }
            }
        }
    }
}
