//! The object of one response: created, changed and ended with it.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::sleep;

use super::{LockGuard, ObjectClient, Objects, convert, failure};
use airlock_store::{ObjectChange, StoreError};
use airlock_types::failure::Failure;
use airlock_types::wit::{NewObject, ObjectEnd, ObjectPlace, StoredItem};

/// How many times the end of a response is written while the store is busy, and the pause between two attempts.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Records a response in its object. Dropped before [`ObjectRecorder::end`], the response leaves no object, unless it runs in
/// the background.
pub(in crate::flow) struct ObjectRecorder {
    objects: Objects,
    client: ObjectClient,
    /// None once it was created, or if nothing is to be stored.
    object: Option<NewObject>,
    /// The key of the object that was created before the response began, and the items that it has.
    created: Option<(String, Vec<StoredItem>)>,
    /// The items that a connection's object continues.
    base: Vec<StoredItem>,
    /// The lock of an object that the response uses alone.
    _lock: Option<LockGuard>,
}

impl ObjectRecorder {
    /// A recorder of a response with this object, if it has one. `base`: the items that the object continues, which are kept
    /// with it if its place is the connection.
    pub(in crate::flow) fn new(
        objects: &Objects,
        client: ObjectClient,
        object: Option<NewObject>,
        base: Vec<StoredItem>,
        lock: Option<LockGuard>,
    ) -> Self {
        Self {
            objects: objects.clone(),
            client,
            object,
            created: None,
            base,
            _lock: lock,
        }
    }

    /// Creates the object now, as running.
    ///
    /// # Errors
    /// A limit of the store, or a failure of it.
    pub(in crate::flow) async fn create(&mut self) -> Result<(), Failure> {
        let Some(object) = self.object.take() else {
            return Ok(());
        };
        // Before the write, which takes effect even if this future is dropped.
        self.created = Some((object.key.clone(), object.items.clone()));
        let put = ObjectChange::Put(convert::object(object, true));
        let written = self.write(vec![put]).await;
        if written.is_err() {
            self.created = None;
        }
        written.map_err(failure)
    }

    /// Replaces the head of an object that was created. A failure is logged: the end replaces the head again.
    pub(in crate::flow) async fn replace_head(&mut self, head: String) {
        let Some((key, _)) = &self.created else {
            return;
        };
        let key = key.clone();
        let change = ObjectChange::ReplaceHead { key, head };
        if let Err(error) = self.write(vec![change]).await {
            tracing::warn!(%error, "cannot store the state of a response");
        }
    }

    /// Ends the object, or creates it with its end. None: it is deleted, or not created. A failure is logged and counted: the
    /// response itself is complete.
    pub(in crate::flow) async fn end(&mut self, end: Option<ObjectEnd>) {
        let (changes, append) = match (&self.created, self.object.take(), end) {
            (Some((key, _)), _, None) => {
                let key = key.clone();
                (vec![ObjectChange::Delete { key }], None)
            }
            (Some((key, own)), _, Some(end)) => {
                let append = appended(own, &end);
                let key = key.clone();
                let ended = ObjectChange::End {
                    key,
                    head: end.head,
                    items: convert::items(end.items),
                };
                (vec![ended], append)
            }
            (None, Some(mut object), Some(end)) => {
                let append = appended(&object.items, &end);
                object.head = end.head;
                object.items.extend(end.items);
                if object.place == ObjectPlace::Connection {
                    if let Some(connection) = &self.client.connection {
                        connection.put(object, std::mem::take(&mut self.base));
                    }
                    (Vec::new(), append)
                } else {
                    let put = ObjectChange::Put(convert::object(object, false));
                    (vec![put], append)
                }
            }
            (None, _, _) => return,
        };
        if self.write_end(changes, append).await {
            self.created = None;
        }
    }

    /// Writes the end of an object, and the items for another. Without the latter if they cannot be appended. Returns whether
    /// the end is stored.
    async fn write_end(&self, changes: Vec<ObjectChange>, append: Option<ObjectChange>) -> bool {
        let own = changes.len();
        let other = append.as_ref().map(|append| append.key().to_owned());
        let mut all = changes;
        all.extend(append);
        let mut attempts = 0;
        while !all.is_empty() {
            let Err(error) = self.write(all.clone()).await else {
                return true;
            };
            tracing::warn!(%error, "cannot store a response");
            let is_of_other = match &error {
                StoreError::Absent { key } | StoreError::Limit { key, .. } => {
                    other.as_ref() == Some(key)
                }
                _ => false,
            };
            attempts += 1;
            if is_of_other && all.len() > own {
                all.truncate(own);
            } else if error == StoreError::Busy && attempts < ATTEMPTS {
                sleep(PAUSE).await;
            } else {
                self.objects.count_failure();
                return false;
            }
        }
        true
    }

    async fn write(&self, changes: Vec<ObjectChange>) -> Result<(), StoreError> {
        match &self.objects.0.store {
            Some(store) => store.write(&self.client.owner, changes).await,
            None => Ok(()),
        }
    }
}

/// An object whose response has not ended is lost: the policy failed, or nobody waits for it.
impl Drop for ObjectRecorder {
    fn drop(&mut self) {
        if let (Some((key, _)), Some(store)) = (self.created.take(), &self.objects.0.store) {
            let change = ObjectChange::Abandon { key };
            // Queued by the first poll.
            let _ = store.write(&self.client.owner, vec![change]).now_or_never();
        }
    }
}

/// The change that appends a response's items to another object.
fn appended(own: &[StoredItem], end: &ObjectEnd) -> Option<ObjectChange> {
    let key = end.append_to.clone()?;
    let items = own.iter().chain(&end.items).cloned();
    Some(ObjectChange::Append {
        key,
        items: items.map(convert::item).collect(),
    })
}
