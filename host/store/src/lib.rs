//! Storage of responses and conversations, and the logs of background responses.
//!
//! A [`Store`] keeps *objects*: a response or a conversation, of which the policy chose the key and wrote the text. An object
//! belongs to one [`Owner`], has a *head* (the body to answer with), *items* in order, and perhaps a *base*, the object that
//! it continues; an object, its base, the base of that and so on are its *chain*. [`SqliteStore`] keeps them in a file, or in
//! memory. A [`FrameLogs`] keeps the frames of background responses in memory, so that clients may attach again.

pub mod config; // the settings of stored objects and frame logs
mod error; // errors of the store's operations
mod frame_log; // the frames of background responses
mod object; // objects, items and changes
mod sqlite; // the implementation over SQLite
mod store; // the trait

pub use self::error::{StoreError, StoreLimit};
pub use self::frame_log::{FrameLogReader, FrameLogWriter, FrameLogs, FrameRead, LoggedFrame};
pub use self::object::{NewObject, ObjectChange, ObjectStatus, Owner, StoredItem, StoredObject};
pub use self::sqlite::SqliteStore;
pub use self::store::{Store, StoreFuture, StoreUsage};
