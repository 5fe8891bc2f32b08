//! Stored objects, their items, and changes to them: plain values without a word of how they are kept.

use std::sync::Arc;

/// The owner of stored objects: the name of a configured key, never its value. An owner sees no other's objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner with this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// An item of an object: a message, a call, a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem {
    /// The identifier that clients refer to it with: `msg_…`. It may be in several objects.
    pub id: String,
    /// The item in the policy's format, JSON on one line.
    pub text: String,
}

/// The bytes that an item counts as besides its texts. In a database it takes some 50, for its row and two of indices, and
/// the owner's name twice; loaded, as much for its two strings.
pub(crate) const ITEM_BYTES: u64 = 128;

/// The bytes that an item takes in a database at least, besides its text and two copies of its identifier.
const LEAST_ITEM_BYTES: u64 = 32;

impl StoredItem {
    /// The bytes that count against the limits of objects and chains: those of its texts, and 128.
    pub fn bytes(&self) -> u64 {
        bytes_of(&self.id) + bytes_of(&self.text) + ITEM_BYTES
    }

    /// The bytes that the item takes in a database at least. Its identifier is in an index too.
    pub(crate) fn least_bytes(&self) -> u64 {
        2 * bytes_of(&self.id) + bytes_of(&self.text) + LEAST_ITEM_BYTES
    }
}

/// The number of bytes of a text.
pub(crate) fn bytes_of(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// An object as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The key that the policy chose: `resp_…`, `conv_…`.
    pub key: String,
    /// The name of the policy's own format of head and items: `airlock.responses.1`.
    pub format: String,
    /// The key of the object that this one continues. It may be absent by now, to clients; its items are not.
    pub base: Option<String>,
    /// The body to answer with, and whatever else the policy keeps there.
    pub head: String,
    /// Whether the object can still change by its turn.
    pub status: ObjectStatus,
    /// The items of the whole chain, in order: those of the first base first, the object's own last.
    pub items: Vec<StoredItem>,
}

/// Whether an object's turn still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectStatus {
    /// The turn runs in this process.
    Running,
    /// The turn has ended, or there never was one.
    Ended,
    /// The turn ran in another process, which has not ended it: the gateway was killed, or still drains.
    Lost,
}

/// An object to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// The key, which no other object of the owner may have.
    pub key: String,
    /// The name of the policy's format.
    pub format: String,
    /// The key of the object that it continues.
    pub base: Option<String>,
    /// The body to answer with so far.
    pub head: String,
    /// The first items.
    pub items: Vec<StoredItem>,
    /// Whether a turn of this process will end it ([`ObjectChange::End`]). False: it has the status *ended* at once.
    pub is_running: bool,
}

/// A change to the objects of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// Creates an object.
    Put(NewObject),
    /// Replaces the head of an object.
    ReplaceHead {
        /// The object.
        key: String,
        /// The new head.
        head: String,
    },
    /// Ends an object: replaces its head, appends its last items, and makes it *ended*.
    End {
        /// The object.
        key: String,
        /// The final head.
        head: String,
        /// The items to append.
        items: Vec<StoredItem>,
    },
    /// Makes a running object *lost*: its turn has ended without an end of the object. Then it expires as others do.
    Abandon {
        /// The object.
        key: String,
    },
    /// Appends items to an object.
    Append {
        /// The object.
        key: String,
        /// The items, after those that it has.
        items: Vec<StoredItem>,
    },
    /// Removes an item from an object, but not from its bases.
    RemoveItem {
        /// The object.
        key: String,
        /// The item's identifier.
        item: String,
    },
    /// Deletes an object. While others continue it, its items stay in their chains; its head goes at once.
    Delete {
        /// The object.
        key: String,
    },
}

impl ObjectChange {
    /// The key of the object that changes.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(object) => &object.key,
            Self::ReplaceHead { key, .. }
            | Self::End { key, .. }
            | Self::Append { key, .. }
            | Self::RemoveItem { key, .. }
            | Self::Abandon { key }
            | Self::Delete { key } => key,
        }
    }

    /// The key of the object that the changed one continues.
    pub(crate) fn base(&self) -> Option<&str> {
        match self {
            Self::Put(object) => object.base.as_deref(),
            Self::ReplaceHead { .. }
            | Self::End { .. }
            | Self::Append { .. }
            | Self::RemoveItem { .. }
            | Self::Abandon { .. }
            | Self::Delete { .. } => None,
        }
    }

    /// The bytes that the change writes: those of its texts, and [`ITEM_BYTES`] for each item.
    pub(crate) fn bytes(&self) -> u64 {
        let sum = |items: &[StoredItem]| items.iter().map(StoredItem::bytes).sum::<u64>();
        match self {
            Self::Put(object) => bytes_of(&object.head) + sum(&object.items),
            Self::ReplaceHead { head, .. } => bytes_of(head),
            Self::End { head, items, .. } => bytes_of(head) + sum(items),
            Self::Append { items, .. } => sum(items),
            Self::RemoveItem { .. } | Self::Abandon { .. } | Self::Delete { .. } => 0,
        }
    }
}
