//! The responses that run in the background, by owner and key.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ObjectName, Objects, failure};
use airlock_store::{Owner, StoreError};
use airlock_types::failure::Failure;

/// The responses that run in the background.
#[derive(Default)]
pub(super) struct BackgroundResponses {
    responses: Mutex<HashMap<ObjectName, CancellationToken>>,
    /// Signals each end.
    ended: watch::Sender<()>,
}

impl BackgroundResponses {
    pub(super) fn count(&self) -> usize {
        self.responses.lock().len()
    }

    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        self.responses.lock().contains_key(name)
    }

    /// Completes when none runs. Cancel safe.
    pub(super) async fn ended(&self) {
        self.until(|responses| responses.is_empty()).await;
    }

    /// Cancels a response, and waits until it has ended. Cancel safe.
    pub(super) async fn stop(&self, name: &ObjectName) {
        let Some(cancelled) = self.responses.lock().get(name).cloned() else {
            return;
        };
        cancelled.cancel();
        self.until(|responses| !responses.contains_key(name)).await;
    }

    async fn until(&self, is_met: impl Fn(&HashMap<ObjectName, CancellationToken>) -> bool) {
        let mut ended = self.ended.subscribe();
        while !is_met(&self.responses.lock()) {
            // Fails only without a sender, and `self` has it.
            let _ = ended.changed().await;
        }
    }
}

/// A response that runs in the background, until this is dropped.
pub(in crate::flow) struct BackgroundResponse {
    objects: Objects,
    name: ObjectName,
    cancelled: CancellationToken,
}

impl BackgroundResponse {
    /// Registers a response.
    ///
    /// # Errors
    /// One with this key runs already.
    pub(in crate::flow) fn begin(
        objects: &Objects,
        owner: &Owner,
        key: &str,
    ) -> Result<Arc<Self>, Failure> {
        let name = (owner.clone(), key.to_owned());
        let cancelled = CancellationToken::new();
        let mut responses = objects.0.background.responses.lock();
        if responses.contains_key(&name) {
            let key = key.to_owned();
            return Err(failure(StoreError::Exists { key }));
        }
        responses.insert(name.clone(), cancelled.clone());
        drop(responses);
        Ok(Arc::new(Self {
            objects: objects.clone(),
            name,
            cancelled,
        }))
    }

    /// Completes when the response is to be interrupted. Cancel safe.
    pub(in crate::flow) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

impl Drop for BackgroundResponse {
    fn drop(&mut self) {
        let background = &self.objects.0.background;
        background.responses.lock().remove(&self.name);
        background.ended.send_replace(());
    }
}
