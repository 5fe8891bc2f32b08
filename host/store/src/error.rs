//! Errors of a store's operations.

use std::fmt;

/// Why an operation of a [`Store`](crate::Store) failed. It has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// An object or item does not exist, for this owner.
    #[error("{key} is not stored")]
    Absent {
        /// The object's key or the item's identifier.
        key: String,
    },
    /// An object with this key exists.
    #[error("{key} is stored already")]
    Exists {
        /// The key.
        key: String,
    },
    /// A limit of the settings was reached.
    #[error("{key}: {limit} (the limit is {most})")]
    Limit {
        /// The object or item that exceeds the limit.
        key: String,
        /// The limit.
        limit: StoreLimit,
        /// Its value.
        most: u64,
    },
    /// There is no room, and nothing of this owner to remove. The store remains usable.
    #[error(
        "the store is full; raise store.bytes or store.records, shorten store.time, or make room on its disk"
    )]
    Full,
    /// Too many operations wait, or another process keeps the database locked.
    #[error("the store is busy: too many operations wait, or another process keeps it locked")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The database failed. The message has its file and the way out; it is for the log.
    #[error("{0}")]
    Database(String),
}

/// A limit that an object, a chain or an operation reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreLimit {
    /// The bytes of one object, its head and its own items: `store.object_bytes`.
    ObjectBytes,
    /// The objects of one chain: `store.chain_objects`.
    ChainObjects,
    /// The bytes of all heads and items that one operation loads: `store.chain_bytes`.
    ChainBytes,
    /// The keys or identifiers of one operation.
    Keys,
}

impl fmt::Display for StoreLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ObjectBytes => "the object would have more bytes than store.object_bytes",
            Self::ChainObjects => "its chain has more objects than store.chain_objects",
            Self::ChainBytes => {
                "the heads and items to load have more bytes than store.chain_bytes"
            }
            Self::Keys => "too many keys are requested at once",
        })
    }
}
