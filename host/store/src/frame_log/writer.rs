//! Writing a log.

use std::sync::Arc;

use super::log::FrameLog;
use super::{FrameLogReader, FrameLogs, LogName, LoggedFrame};

/// The one writer of a log. Dropping it before [`FrameLogWriter::end`] drops the log, as its response is not whole.
#[derive(Debug)]
pub struct FrameLogWriter {
    logs: FrameLogs,
    name: LogName,
    log: Arc<FrameLog>,
}

impl FrameLogWriter {
    pub(super) fn new(logs: FrameLogs, name: LogName, log: Arc<FrameLog>) -> Self {
        Self { logs, name, log }
    }

    /// A reader from the first frame on.
    pub fn reader(&self) -> FrameLogReader {
        FrameLogReader::new(self.log.clone(), None)
    }

    /// Appends a frame, whose number is higher than those before it, and wakes the readers. Never waits for them.
    ///
    /// Returns whether there still is a log. One with more bytes than it may have is dropped, and so is this one if all logs
    /// together have more than they may have and none of them has ended. A frame takes its texts' bytes and 128 more.
    pub fn append(&self, frame: LoggedFrame) -> bool {
        let bytes = self.log.append(frame);
        bytes.is_some_and(|bytes| self.logs.fit(&self.name, &self.log, bytes))
    }

    /// Ends the log: readers end after its last frame. It is kept for the time of the settings.
    pub fn end(self) {
        self.logs.end(&self.name, &self.log);
    }
}

impl Drop for FrameLogWriter {
    fn drop(&mut self) {
        self.logs.abandon(&self.name, &self.log);
    }
}
