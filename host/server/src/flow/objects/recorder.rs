//! The object of one response: created, changed and ended with it.

use super::{LockGuard, ObjectClient, Objects, convert, failure};
use airlock_store::{ObjectChange, StoreError};
use airlock_types::failure::Failure;
use airlock_types::wit::{NewObject, ObjectEnd, ObjectPlace, StoredItem};

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
        self.created = Some((object.key.clone(), object.items.clone()));
        let put = ObjectChange::Put(convert::object(object, true));
        self.write(vec![put]).await.map_err(failure)
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

    /// Ends the object, or creates it with its end. None: it is deleted, or not created. A failure is logged: the response
    /// itself is complete.
    pub(in crate::flow) async fn end(&mut self, end: Option<ObjectEnd>) {
        let changes = match (self.created.take(), self.object.take(), end) {
            (Some((key, _)), _, None) => vec![ObjectChange::Delete { key }],
            (Some((key, own)), _, Some(end)) => {
                let appended = appended(&own, &end);
                let ended = ObjectChange::End {
                    key,
                    head: end.head,
                    items: convert::items(end.items),
                };
                [Some(ended), appended].into_iter().flatten().collect()
            }
            (None, Some(mut object), Some(end)) => {
                let appended = appended(&object.items, &end);
                object.head = end.head;
                object.items.extend(end.items);
                if object.place == ObjectPlace::Connection {
                    if let Some(connection) = &self.client.connection {
                        connection.put(object, std::mem::take(&mut self.base));
                    }
                    appended.into_iter().collect()
                } else {
                    let put = ObjectChange::Put(convert::object(object, false));
                    [Some(put), appended].into_iter().flatten().collect()
                }
            }
            (None, _, _) => Vec::new(),
        };
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.write(changes).await {
            tracing::warn!(%error, "cannot store a response: it cannot be retrieved or continued");
        }
    }

    async fn write(&self, changes: Vec<ObjectChange>) -> Result<(), StoreError> {
        match &self.objects.0.store {
            Some(store) => store.write(&self.client.owner, changes).await,
            None => Ok(()),
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
