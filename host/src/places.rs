//! Places for turns: so many at once, of which some may be withheld for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Places that nobody shall have for now.
    withheld: usize,
    /// How many of them nobody has. The others are withheld as they come back.
    kept: usize,
}

/// A place for a turn, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// None only while it is dropped.
    permit: Option<OwnedSemaphorePermit>,
    places: Places,
}

impl Places {
    /// So many.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            free: Arc::new(Semaphore::new(most)),
            most,
            state: Mutex::default(),
        }))
    }

    /// How many there are, withheld ones among them.
    pub(crate) fn most(&self) -> usize {
        self.0.most
    }

    /// How many there are for now.
    pub(crate) fn capacity(&self) -> usize {
        self.0.most - self.lock().withheld
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        let free = self.0.free.available_permits() + self.lock().kept;
        self.0.most.saturating_sub(free)
    }

    /// Has so many places, at most as many as there are. Those that are taken are withheld as they come back.
    pub(crate) fn resize(&self, capacity: usize) {
        let mut state = self.lock();
        state.withheld = self.0.most.saturating_sub(capacity);
        match state.kept.checked_sub(state.withheld) {
            Some(more) => {
                state.kept -= more;
                self.0.free.add_permits(more);
            }
            None => state.kept += self.0.free.forget_permits(state.withheld - state.kept),
        }
    }

    /// So many places, once they are all free: whoever asks first has them first.
    pub(crate) async fn take(&self, many: usize) -> Vec<Arc<Place>> {
        // Somebody who waits for more than there are would keep all others waiting.
        if many > self.capacity() {
            self.resize(many);
        }
        let count = u32::try_from(many).unwrap_or(u32::MAX);
        match Arc::clone(&self.0.free).acquire_many_owned(count).await {
            Ok(permits) => self.each(permits),
            // Nobody closes it.
            Err(_) => Vec::new(),
        }
    }

    /// So many places, if they are free and nobody waits.
    pub(crate) fn try_take(&self, many: usize) -> Option<Vec<Arc<Place>>> {
        let count = u32::try_from(many).ok()?;
        let permits = Arc::clone(&self.0.free).try_acquire_many_owned(count);
        permits.ok().map(|permits| self.each(permits))
    }

    fn each(&self, mut permits: OwnedSemaphorePermit) -> Vec<Arc<Place>> {
        let mut places = Vec::with_capacity(permits.num_permits());
        while let Some(permit) = permits.split(1) {
            places.push(Arc::new(Place {
                permit: Some(permit),
                places: self.clone(),
            }));
        }
        places
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if state.kept < state.withheld
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.kept += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_withheld_goes_to_nobody_who_waits() {
        let places = Places::new(4);
        let mut taken = places.take(4).await;
        let mut waiting = Box::pin(places.take(1));
        assert!((&mut waiting).now_or_never().is_none());
        places.resize(2);
        assert_eq!((places.capacity(), places.taken()), (2, 4));
        taken.truncate(2);
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(places.taken(), 2);
        taken.pop();
        assert_eq!((&mut waiting).now_or_never().unwrap().len(), 1);
        places.resize(3);
        assert!(places.try_take(2).is_some());
        places.resize(4);
        assert_eq!((places.capacity(), places.taken()), (4, 1));
    }

    #[tokio::test]
    async fn free_places_are_withheld_at_once() {
        let places = Places::new(4);
        places.resize(1);
        assert_eq!((places.capacity(), places.taken()), (1, 0));
        let one = places.try_take(1).unwrap();
        assert!(places.try_take(1).is_none());
        places.resize(4);
        assert!(places.try_take(3).is_some());
        drop(one);
        assert_eq!(places.taken(), 0);
    }

    #[tokio::test]
    async fn who_needs_more_than_there_are_gets_them() {
        let places = Places::new(4);
        places.resize(2);
        assert_eq!(places.take(3).await.len(), 3);
        assert_eq!(places.capacity(), 3);
    }
}
