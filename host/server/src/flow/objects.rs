//! Stored objects: the responses and conversations that policies load and change, in the store or in the memory of a
//! WebSocket.

mod background; // responses that run without their client
mod connection; // the memory of a WebSocket
mod convert; // between the types of the boundary and those of the store
mod recorder; // the object of one response

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub(super) use self::background::BackgroundResponse;
use self::background::BackgroundResponses;
pub use self::connection::ConnectionObjects;
pub(super) use self::recorder::ObjectRecorder;
use airlock_store::config::FrameLogConfig;
use airlock_store::{
    FrameLogReader, FrameLogWriter, FrameLogs, Owner, Store, StoreError, StoreUsage, StoredObject,
};
use airlock_types::failure::Failure;
use airlock_types::wit::{
    self, Loaded, LogPosition, ObjectChange, ObjectKeys, ObjectLock, ObjectPlace, ProblemKind,
    StoredItem,
};

/// The client whose objects a request uses.
#[derive(Clone, Debug)]
pub struct ObjectClient {
    /// The owner of its objects.
    pub owner: Owner,
    /// The memory of its WebSocket. None: the request came over HTTP.
    pub connection: Option<ConnectionObjects>,
}

/// The stored objects of all clients, and the frame logs of background responses. Clones share them.
#[derive(Clone)]
pub struct Objects(Arc<ObjectsInner>);

struct ObjectsInner {
    /// None: nothing is stored (`store.mode = "off"`).
    store: Option<Arc<dyn Store>>,
    logs: FrameLogs,
    background: BackgroundResponses,
    /// The objects that one response uses alone.
    locked: Mutex<HashSet<ObjectName>>,
    /// Responses whose end could not be stored.
    failures: AtomicU64,
}

/// An owner, and the key of one of its objects.
type ObjectName = (Owner, String);

/// The lock of an object, until it is dropped.
pub(super) struct LockGuard {
    objects: Objects,
    name: ObjectName,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.objects.0.locked.lock().remove(&self.name);
    }
}

impl Objects {
    /// The objects in this store, without frame logs. None: nothing is stored.
    pub fn new(store: Option<Arc<dyn Store>>, logs: FrameLogConfig) -> Self {
        Self(Arc::new(ObjectsInner {
            store,
            logs: FrameLogs::new(logs),
            background: BackgroundResponses::default(),
            locked: Mutex::default(),
            failures: AtomicU64::new(0),
        }))
    }

    /// Measures the store. None: there is none, or it does not answer.
    pub async fn usage(&self) -> Option<StoreUsage> {
        self.0.store.as_ref()?.usage().await.ok()
    }

    /// How many responses could not be stored at their end.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    fn count_failure(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The bytes of all frame logs.
    pub fn log_bytes(&self) -> u64 {
        self.0.logs.bytes()
    }

    /// How many responses run in the background.
    pub fn background_responses(&self) -> usize {
        self.0.background.count()
    }

    /// Completes when no response runs in the background. Cancel safe.
    pub async fn background_ended(&self) {
        self.0.background.ended().await;
    }

    /// Frees the frame logs and objects whose time is over.
    pub async fn expire(&self) {
        self.0.logs.expire();
        if let Some(store) = &self.0.store
            && let Err(error) = store.expire().await
        {
            tracing::warn!(%error, "cannot remove expired objects from the store");
        }
    }

    /// Whether there is a store.
    pub(super) fn has_store(&self) -> bool {
        self.0.store.is_some()
    }

    /// Loads objects and items, from the connection's memory before the store.
    ///
    /// # Errors
    /// Too many keys, a limit of the store, or a failure of it.
    pub(super) async fn load(
        &self,
        client: &ObjectClient,
        keys: &ObjectKeys,
    ) -> Result<Loaded, Failure> {
        let of_connection = client.connection.iter();
        let mut objects: Vec<_> = of_connection
            .flat_map(|connection| keys.objects.iter().filter_map(|key| connection.load(key)))
            .collect();
        let mut items = match &client.connection {
            Some(connection) => connection.load_items(&keys.items),
            None => Vec::new(),
        };
        if let Some(store) = &self.0.store {
            let is_missing = |key: &&String| !objects.iter().any(|object| object.key == **key);
            let missing: Vec<_> = keys.objects.iter().filter(is_missing).cloned().collect();
            if !missing.is_empty() {
                let loaded = self
                    .load_stored(store.as_ref(), &client.owner, missing)
                    .await;
                objects.extend(loaded.map_err(failure)?);
            }
            let is_missing = |id: &&String| !items.iter().any(|item| item.id == **id);
            let missing: Vec<_> = keys.items.iter().filter(is_missing).cloned().collect();
            if !missing.is_empty() {
                let loaded = store.load_items(&client.owner, missing).await;
                let loaded = loaded.map_err(failure)?.into_iter();
                items.extend(loaded.map(convert::loaded_item));
            }
        }
        let position = |key: &str| keys.objects.iter().position(|it| it == key);
        objects.sort_by_key(|object| position(&object.key));
        let position = |id: &str| keys.items.iter().position(|it| it == id);
        items.sort_by_key(|item| position(&item.id));
        Ok(Loaded { objects, items })
    }

    /// Loads objects of the store.
    async fn load_stored(
        &self,
        store: &dyn Store,
        owner: &Owner,
        keys: Vec<String>,
    ) -> Result<Vec<wit::StoredObject>, StoreError> {
        let mut objects = Vec::new();
        for object in store.load(owner, keys).await? {
            let is_running = object.status == airlock_store::ObjectStatus::Running;
            let name = (owner.clone(), object.key.clone());
            if !is_running || self.0.background.contains(&name) {
                objects.push(self.loaded(owner, object));
                continue;
            }
            // It may have ended since it was read. If it has not, it is lost.
            let again = store.load(owner, vec![object.key]).await?;
            objects.extend(again.into_iter().map(|object| self.loaded(owner, object)));
        }
        Ok(objects)
    }

    /// A stored object for a policy. A running one without a task of this process is lost: its policy failed.
    fn loaded(&self, owner: &Owner, object: StoredObject) -> wit::StoredObject {
        let name = (owner.clone(), object.key.clone());
        let runs = self.0.background.contains(&name);
        let has_log = self.0.logs.contains(owner, &object.key);
        convert::loaded_object(object, runs, has_log)
    }

    /// Makes the changes of an immediate response.
    ///
    /// # Errors
    /// An object does not exist, a limit of the store, or a failure of it. Nothing is changed in the store then.
    pub(super) async fn change(
        &self,
        client: &ObjectClient,
        changes: Vec<ObjectChange>,
    ) -> Result<(), Failure> {
        let mut stored = Vec::new();
        let mut of_connection = Vec::new();
        let mut deleted = Vec::new();
        for change in changes {
            match change {
                ObjectChange::Put(object) if object.place == ObjectPlace::Connection => {
                    of_connection.push(object);
                }
                ObjectChange::Delete(key) => {
                    self.stop(&client.owner, &key).await;
                    deleted.push(key.clone());
                    stored.push(airlock_store::ObjectChange::Delete { key });
                }
                change => stored.push(convert::change(change)),
            }
        }
        match &self.0.store {
            _ if stored.is_empty() => {}
            Some(store) => store.write(&client.owner, stored).await.map_err(failure)?,
            None => {
                let message = "This gateway stores nothing (store.mode is off).";
                return Err(Failure::new(ProblemKind::Unsupported, "store_off", message));
            }
        }
        for key in deleted {
            self.0.logs.remove(&client.owner, &key);
        }
        if let Some(connection) = &client.connection {
            for object in of_connection {
                let base = self.base_items(client, object.base.as_ref()).await?;
                connection.put(object, base);
            }
        }
        Ok(())
    }

    /// The items of the object that a connection's object continues.
    async fn base_items(
        &self,
        client: &ObjectClient,
        base: Option<&String>,
    ) -> Result<Vec<StoredItem>, Failure> {
        let Some(base) = base else {
            return Ok(Vec::new());
        };
        let keys = ObjectKeys {
            objects: vec![base.clone()],
            items: Vec::new(),
        };
        let mut objects = self.load(client, &keys).await?.objects;
        Ok(objects.pop().map(|object| object.items).unwrap_or_default())
    }

    /// Interrupts the turn of a background response, and waits until its end is stored. Returns at once if there is none.
    pub(super) async fn stop(&self, owner: &Owner, key: &str) {
        let name = (owner.clone(), key.to_owned());
        self.0.background.stop(&name).await;
    }

    /// A reader of the frames of a background response. None: there is no log of it.
    pub(super) fn follow(
        &self,
        client: &ObjectClient,
        position: &LogPosition,
    ) -> Option<FrameLogReader> {
        let logs = &self.0.logs;
        logs.attach(&client.owner, &position.key, position.after)
    }

    /// Locks an object.
    ///
    /// # Errors
    /// The failure of the lock: another response has it.
    pub(super) fn lock(&self, owner: &Owner, lock: ObjectLock) -> Result<LockGuard, Failure> {
        let name = (owner.clone(), lock.key);
        if !self.0.locked.lock().insert(name.clone()) {
            return Err(lock.busy.into());
        }
        Ok(LockGuard {
            objects: self.clone(),
            name,
        })
    }

    /// Begins the frame log of a background response.
    pub(super) fn log(&self, owner: &Owner, key: &str) -> FrameLogWriter {
        self.0.logs.create(owner, key)
    }
}

/// The failure of a request whose operation of the store failed.
fn failure(error: StoreError) -> Failure {
    let (kind, code, message) = match &error {
        StoreError::Absent { key } => (
            ProblemKind::NotFound,
            "not_found",
            format!("'{key}' was not found."),
        ),
        StoreError::Exists { key } => (
            ProblemKind::InvalidRequest,
            "already_exists",
            format!("'{key}' exists already."),
        ),
        StoreError::Limit { .. } => (
            ProblemKind::InvalidRequest,
            "stored_limit_exceeded",
            format!("The stored conversation is too large: {error}. Begin a new one."),
        ),
        StoreError::Full => (
            ProblemKind::Overloaded,
            "store_full",
            "The gateway's store is full. Delete stored responses, or send `store: false`."
                .to_owned(),
        ),
        StoreError::Busy => (
            ProblemKind::Overloaded,
            "gateway_busy",
            "The gateway's store is busy. Try again later.".to_owned(),
        ),
        StoreError::Closed => return Failure::stopping(),
        StoreError::Database(_) => (
            ProblemKind::Internal,
            "store_failed",
            "The gateway's store failed. The log has the cause.".to_owned(),
        ),
    };
    let failure = Failure::new(kind, code, message);
    match kind {
        ProblemKind::Internal => failure.because(error),
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
