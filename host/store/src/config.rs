//! The settings of stored objects and of frame logs.

use std::time::Duration;

use airlock_base::quantity::Bounds;

/// Bounds of [`StoreConfig::time`], in milliseconds: 1 s to 10 years.
pub const TIME: Bounds = (1000, 315_360_000_000);
/// Bounds of [`StoreConfig::bytes`].
pub const BYTES: Bounds = (1 << 20, 1 << 40);
/// Bounds of [`StoreConfig::records`].
pub const RECORDS: Bounds = (1, 100_000_000);
/// Bounds of [`StoreConfig::object_bytes`] and [`StoreConfig::chain_bytes`]. A value of SQLite is at most 1 GB.
pub const OBJECT_BYTES: Bounds = (1 << 10, 512 << 20);
/// Bounds of [`StoreConfig::chain_objects`].
pub const CHAIN_OBJECTS: Bounds = (1, 100_000);
/// Bounds of [`FrameLogConfig::log_bytes`] and [`FrameLogConfig::total_bytes`].
pub const LOG_BYTES: Bounds = (1 << 10, 1 << 40);
/// Bounds of [`FrameLogConfig::time`], in milliseconds: none to a day.
pub const LOG_TIME: Bounds = (0, 86_400_000);

/// The settings of stored objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where objects are stored.
    pub mode: StoreMode,
    /// How long an object is stored after its last use. Uses within a minute of one another may count as one.
    pub time: Duration,
    /// The most bytes of all owners' objects together, with the database's own. Recent changes take up to some 4 MiB more
    /// on the disk, in the write-ahead log.
    pub bytes: u64,
    /// The most objects of one owner, with those that are deleted or expired and that others continue.
    pub records: u64,
    /// The most bytes of one object's head and its own items. Here and below, an item counts as 128 bytes more
    /// than its texts.
    pub object_bytes: u64,
    /// The most objects of a chain that is loaded.
    pub chain_objects: u64,
    /// The most bytes that one operation loads: of the objects' heads, and of the items of their chains.
    pub chain_bytes: u64,
}

/// Where objects are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// In a file of the data folder.
    Disk,
    /// In memory, until the process ends.
    Memory,
    /// Nowhere.
    Off,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            mode: StoreMode::Disk,
            time: Duration::from_secs(30 * 24 * 3600),
            bytes: 256 << 20,
            records: 10_000,
            object_bytes: 32 << 20,
            chain_objects: 1000,
            chain_bytes: 32 << 20,
        }
    }
}

/// The settings of the frame logs of background responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLogConfig {
    /// The most bytes of one log.
    pub log_bytes: u64,
    /// The most bytes of all logs together.
    pub total_bytes: u64,
    /// How long a log is kept after its response has ended.
    pub time: Duration,
}

impl Default for FrameLogConfig {
    fn default() -> Self {
        Self {
            log_bytes: 4 << 20,
            total_bytes: 64 << 20,
            time: Duration::from_secs(600),
        }
    }
}
