//! The interface of a store of objects.

use futures_util::future::BoxFuture;

use crate::error::StoreError;
use crate::object::{ObjectChange, Owner, StoredItem, StoredObject};

/// The result of an operation of a [`Store`], which other threads compute.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store of objects.
///
/// An object that is unknown, deleted, expired or another owner's is *absent*: no operation tells which. Each operation takes
/// effect once it was called, even if its future is dropped, unless that was never polled.
pub trait Store: Send + Sync {
    /// Makes changes to an owner's objects, in order, in one transaction: all of them or none. Once this completes, the
    /// changes outlive the process, if the store has a file, and every later `load` returns them.
    ///
    /// If there is no room, expired objects are removed first, and then those of this owner that were not used for longest
    /// and that no other continues. Running objects stay, and so do those that `changes` name.
    ///
    /// # Errors
    /// [`StoreError::Absent`] of an object or item that a change names, [`StoreError::Exists`], [`StoreError::Limit`] of an
    /// object's bytes, [`StoreError::Full`], [`StoreError::Busy`], or a failure of the database. Nothing is changed.
    fn write<'a>(&'a self, owner: &'a Owner, changes: Vec<ObjectChange>) -> StoreFuture<'a, ()>;

    /// Loads the objects with these keys, in this order, without those that are absent. A key that is repeated is loaded once,
    /// at its first place. The objects count as used.
    ///
    /// # Errors
    /// [`StoreError::Limit`]: too many keys, a chain of too many objects, or too many bytes of heads and items.
    /// [`StoreError::Busy`], or a failure of the database.
    fn load<'a>(
        &'a self,
        owner: &'a Owner,
        keys: Vec<String>,
    ) -> StoreFuture<'a, Vec<StoredObject>>;

    /// Loads the items with these identifiers, in this order, from all objects of the owner, without those that are in none.
    /// An identifier that is repeated is loaded once, at its first place. Of several items with one identifier the newest is
    /// loaded; if the newest 1,000 are all absent, no older one is searched for. The objects count as used.
    ///
    /// # Errors
    /// [`StoreError::Limit`]: too many identifiers, or too many bytes. [`StoreError::Busy`], or a failure of the database.
    fn load_items<'a>(
        &'a self,
        owner: &'a Owner,
        ids: Vec<String>,
    ) -> StoreFuture<'a, Vec<StoredItem>>;

    /// Removes objects that were not used for `store.time`, of all owners, and returns how many. They are absent before
    /// that; removing them makes room. Bases that others continue are hidden, and removed with the last of these.
    ///
    /// # Errors
    /// [`StoreError::Busy`], or a failure of the database. Some may be removed.
    fn expire(&self) -> StoreFuture<'_, u64>;

    /// Measures the store. That it succeeds shows that the store works.
    ///
    /// # Errors
    /// [`StoreError::Busy`], or a failure of the database.
    fn usage(&self) -> StoreFuture<'_, StoreUsage>;

    /// Completes the operations that were called, and closes the store. Later operations fail.
    ///
    /// # Errors
    /// [`StoreError::Busy`]: too many operations wait, and the store stays open. [`StoreError::Closed`]: it is closed already.
    fn close(&self) -> StoreFuture<'_, ()>;
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreUsage {
    /// All objects, with expired and hidden ones that were not removed yet.
    pub objects: u64,
    /// The bytes in use, with the database's own.
    pub bytes: u64,
    /// The most bytes.
    pub capacity: u64,
}
