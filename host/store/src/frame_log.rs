//! The frames of background responses, in memory: clients attach to a response that runs or has ended, and read its frames
//! from any number on.
//!
//! A log is whole or absent: one that exceeds its limit is dropped, and so is one whose writer is dropped before its end. The
//! writer never waits for readers.

mod log; // one log
mod reader; // reading a log
#[cfg(test)]
mod tests;
mod writer; // writing a log

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::log::FrameLog;
pub use self::reader::{FrameLogReader, FrameRead};
pub use self::writer::FrameLogWriter;
use crate::config::FrameLogConfig;
use crate::object::Owner;

/// A frame of a response: one server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedFrame {
    /// The sequence number. None: the frame has none, such as `[DONE]`.
    pub number: Option<u64>,
    /// The name of the event. None: it has none.
    pub event: Option<Arc<str>>,
    /// The data, with the number already in it.
    pub data: Bytes,
}

/// All frame logs, by owner and key. Clones share them.
#[derive(Clone, Debug)]
pub struct FrameLogs(Arc<LogTable>);

#[derive(Debug)]
struct LogTable {
    config: FrameLogConfig,
    index: Mutex<LogIndex>,
    /// The bytes of all logs.
    bytes: Arc<AtomicU64>,
}

/// An owner, and the key of its response.
type LogName = (Owner, String);

#[derive(Debug, Default)]
struct LogIndex {
    logs: HashMap<LogName, Arc<FrameLog>>,
    /// Logs that have ended, the first to end first. They may have been dropped since.
    ended: VecDeque<(Instant, LogName, Arc<FrameLog>)>,
}

impl LogIndex {
    /// Drops a log, and removes it unless another has its name by now.
    fn discard(&mut self, name: &LogName, log: &Arc<FrameLog>) {
        log.discard();
        if self
            .logs
            .get(name)
            .is_some_and(|other| Arc::ptr_eq(other, log))
        {
            self.logs.remove(name);
        }
    }

    /// Drops the log that ended first, if that was not after this time. False: there is none.
    fn discard_ended(&mut self, latest: Instant) -> bool {
        let first = self.ended.pop_front_if(|(ended, ..)| *ended <= latest);
        match first {
            Some((_, name, log)) => {
                self.discard(&name, &log);
                true
            }
            None => false,
        }
    }
}

impl FrameLogs {
    /// Begins with no logs.
    pub fn new(config: FrameLogConfig) -> Self {
        Self(Arc::new(LogTable {
            config,
            index: Mutex::default(),
            bytes: Arc::default(),
        }))
    }

    /// Begins the log of a response. One with the same owner and key is dropped.
    pub fn create(&self, owner: &Owner, key: &str) -> FrameLogWriter {
        self.expire();
        let log = Arc::new(FrameLog::new(self.0.bytes.clone()));
        let name = (owner.clone(), key.to_owned());
        let replaced = self.0.index.lock().logs.insert(name.clone(), log.clone());
        if let Some(replaced) = replaced {
            replaced.discard();
        }
        FrameLogWriter::new(self.clone(), name, log)
    }

    /// Attaches to a log after the frame with this number; None: before the first. A number above those of all frames is
    /// waited for. None: there is no log.
    pub fn attach(&self, owner: &Owner, key: &str, after: Option<u64>) -> Option<FrameLogReader> {
        self.expire();
        let name = (owner.clone(), key.to_owned());
        let log = self.0.index.lock().logs.get(&name)?.clone();
        Some(FrameLogReader::new(log, after))
    }

    /// Whether there is a log that can be attached to.
    pub fn contains(&self, owner: &Owner, key: &str) -> bool {
        self.expire();
        let name = (owner.clone(), key.to_owned());
        self.0.index.lock().logs.contains_key(&name)
    }

    /// Drops a log, as of a response that is deleted. Its readers end with [`FrameRead::Dropped`].
    pub fn remove(&self, owner: &Owner, key: &str) {
        let name = (owner.clone(), key.to_owned());
        let removed = self.0.index.lock().logs.remove(&name);
        if let Some(removed) = removed {
            removed.discard();
        }
    }

    /// Drops the logs of which the time after their end is over. So do [`Self::create`], [`Self::attach`] and
    /// [`Self::contains`]; calling this now and then frees memory when there are no requests.
    pub fn expire(&self) {
        if let Some(latest) = Instant::now().checked_sub(self.0.config.time) {
            let mut index = self.0.index.lock();
            while index.discard_ended(latest) {}
        }
    }

    /// The bytes of all logs.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Makes a log that has these bytes fit: drops logs that have ended, the first to end first, while all together have too
    /// many. If the log does not fit, it is dropped, and this returns false.
    fn fit(&self, name: &LogName, log: &Arc<FrameLog>, bytes: u64) -> bool {
        let FrameLogConfig {
            log_bytes,
            total_bytes,
            ..
        } = self.0.config;
        if bytes <= log_bytes && self.bytes() <= total_bytes {
            return true;
        }
        let mut index = self.0.index.lock();
        while bytes <= log_bytes && self.bytes() > total_bytes {
            if !index.discard_ended(Instant::now()) {
                break;
            }
        }
        let fits = bytes <= log_bytes && self.bytes() <= total_bytes;
        if !fits {
            index.discard(name, log);
        }
        fits
    }

    /// Ends a log, unless it was dropped.
    fn end(&self, name: &LogName, log: &Arc<FrameLog>) {
        let mut index = self.0.index.lock();
        let now = Instant::now();
        if log.end() {
            index.ended.push_back((now, name.clone(), log.clone()));
        }
    }

    /// Drops a log, unless it has ended.
    fn abandon(&self, name: &LogName, log: &Arc<FrameLog>) {
        let mut index = self.0.index.lock();
        if !log.is_ended() {
            index.discard(name, log);
        }
    }
}
