//! A semaphore whose capacity changes while permits are held: the limit of turns that run at once.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A fair semaphore of a fixed limit and a variable capacity. Clones share it.
#[derive(Clone, Debug)]
pub struct ResizableSemaphore(Arc<SemaphoreInner>);

#[derive(Debug)]
struct SemaphoreInner {
    free: Arc<Semaphore>,
    limit: usize,
    state: Mutex<CapacityState>,
}

#[derive(Debug, Default)]
struct CapacityState {
    /// Permits by which the capacity is below the limit.
    withheld: usize,
    /// How many of these were taken from the semaphore already. The others are taken as they are released.
    forgotten: usize,
}

/// A permit, released when dropped.
#[derive(Debug)]
pub struct SemaphorePermit {
    /// None only while the value is dropped.
    permit: Option<OwnedSemaphorePermit>,
    semaphore: ResizableSemaphore,
}

impl ResizableSemaphore {
    /// A semaphore of `limit` permits, all of them available.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(SemaphoreInner {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            state: Mutex::default(),
        }))
    }

    /// The largest capacity.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The number of permits that can be held at once now.
    pub fn capacity(&self) -> usize {
        self.0.limit - self.lock().withheld
    }

    /// The number of permits that are held.
    pub fn held(&self) -> usize {
        let free = self.0.free.available_permits() + self.lock().forgotten;
        self.0.limit.saturating_sub(free)
    }

    /// Sets the capacity, at most to the limit. Permits that are held beyond it become unavailable as they are released.
    pub fn resize(&self, capacity: usize) {
        let mut state = self.lock();
        state.withheld = self.0.limit.saturating_sub(capacity);
        match state.forgotten.checked_sub(state.withheld) {
            Some(more) => {
                state.forgotten -= more;
                self.0.free.add_permits(more);
            }
            None => state.forgotten += self.0.free.forget_permits(state.withheld - state.forgotten),
        }
    }

    /// Waits for `count` permits, first come, first served. A count above the capacity raises the capacity.
    pub async fn acquire(&self, count: usize) -> Vec<Arc<SemaphorePermit>> {
        // The semaphore is fair: a call that cannot be satisfied would block every later one.
        if count > self.capacity() {
            self.resize(count);
        }
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        match Arc::clone(&self.0.free).acquire_many_owned(permits).await {
            Ok(permits) => self.split(permits),
            // The semaphore is never closed.
            Err(_) => Vec::new(),
        }
    }

    /// Takes `count` permits if they are available and no call waits.
    pub fn try_acquire(&self, count: usize) -> Option<Vec<Arc<SemaphorePermit>>> {
        let count = u32::try_from(count).ok()?;
        let permits = Arc::clone(&self.0.free).try_acquire_many_owned(count);
        permits.ok().map(|permits| self.split(permits))
    }

    fn split(&self, mut permits: OwnedSemaphorePermit) -> Vec<Arc<SemaphorePermit>> {
        let mut each = Vec::with_capacity(permits.num_permits());
        while let Some(permit) = permits.split(1) {
            each.push(Arc::new(SemaphorePermit {
                permit: Some(permit),
                semaphore: self.clone(),
            }));
        }
        each
    }

    fn lock(&self) -> MutexGuard<'_, CapacityState> {
        self.0.state.lock()
    }
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        let mut state = self.semaphore.lock();
        if state.forgotten < state.withheld
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.forgotten += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn withheld_permits_complete_no_wait() {
        let semaphore = ResizableSemaphore::new(4);
        let mut taken = semaphore.acquire(4).await;
        let mut waiting = Box::pin(semaphore.acquire(1));
        assert!((&mut waiting).now_or_never().is_none());
        semaphore.resize(2);
        assert_eq!((semaphore.capacity(), semaphore.held()), (2, 4));
        taken.truncate(2);
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(semaphore.held(), 2);
        taken.pop();
        assert_eq!((&mut waiting).now_or_never().unwrap().len(), 1);
        semaphore.resize(3);
        assert!(semaphore.try_acquire(2).is_some());
        semaphore.resize(4);
        assert_eq!((semaphore.capacity(), semaphore.held()), (4, 1));
    }

    #[tokio::test]
    async fn available_permits_are_withheld_at_once() {
        let semaphore = ResizableSemaphore::new(4);
        semaphore.resize(1);
        assert_eq!((semaphore.capacity(), semaphore.held()), (1, 0));
        let one = semaphore.try_acquire(1).unwrap();
        assert!(semaphore.try_acquire(1).is_none());
        semaphore.resize(4);
        assert!(semaphore.try_acquire(3).is_some());
        drop(one);
        assert_eq!(semaphore.held(), 0);
    }

    #[tokio::test]
    async fn a_call_for_more_than_the_capacity_raises_it() {
        let semaphore = ResizableSemaphore::new(4);
        semaphore.resize(2);
        assert_eq!(semaphore.acquire(3).await.len(), 3);
        assert_eq!(semaphore.capacity(), 3);
    }
}
