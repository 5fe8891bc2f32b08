//! Prewarmed threads, started before a request needs them, as `thread/start` is the slowest call before a turn.
//!
//! A warm thread serves a request that would start a thread with the same parameters: model, instructions and tools. A client's
//! next request mostly has them again, so threads of a kind are prewarmed once it was requested a second time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::protocol::{Ignored, ThreadStartResponse, ThreadUnsubscribeParams};

/// The pause before a thread is started, so that the turn that has just taken one comes first.
const START_PAUSE: Duration = Duration::from_millis(30);

/// The age at which a warm thread is unsubscribed, and after which a kind that was not requested again is forgotten.
const STALE: Duration = Duration::from_secs(60);

/// Bytes of the largest parameters whose threads are prewarmed, and the number of kinds that are remembered.
const KIND_BYTES: usize = 64 << 10;
const BUCKETS: usize = 64;

/// The pause after a thread that could not be started.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// The warm threads of one child.
#[derive(Debug)]
pub(super) struct WarmThreads {
    buckets: Mutex<Vec<Bucket>>,
    /// Notified when a thread was requested.
    requested: Notify,
    most: usize,
}

/// The warm threads of one kind, which have the same parameters.
#[derive(Debug)]
struct Bucket {
    /// The parameters of `thread/start`.
    kind: Arc<RawValue>,
    /// Each with the time it was started at, the oldest first.
    threads: VecDeque<(ThreadStartResponse, Instant)>,
    /// How many there should be: the number of requests that found none, except for the first.
    target: usize,
    /// Whether it was requested before.
    known: bool,
    last_requested: Instant,
}

/// The next action of the prewarming.
enum PrewarmAction {
    Start(Arc<RawValue>),
    Unsubscribe(ThreadStartResponse),
    Wait(Option<Instant>),
}

impl WarmThreads {
    /// At most `most` warm threads; 0 turns prewarming off.
    pub(super) fn new(most: usize) -> Self {
        Self {
            buckets: Mutex::default(),
            requested: Notify::new(),
            most,
        }
    }

    /// Takes a warm thread with these parameters, which have about `bytes` bytes. The request is counted even if there is none,
    /// so that there will be one later.
    pub(super) fn take(
        &self,
        bytes: usize,
        params: &impl Serialize,
    ) -> Option<ThreadStartResponse> {
        if self.most == 0 || bytes > KIND_BYTES {
            return None;
        }
        let kind = to_raw_value(params).ok()?;
        let mut buckets = self.lock();
        let index = buckets
            .iter()
            .position(|bucket| bucket.kind.get() == kind.get());
        // The bucket that was requested last is the last of the list.
        let mut bucket = match index {
            Some(index) => buckets.remove(index),
            None => Bucket {
                kind: Arc::from(kind),
                threads: VecDeque::new(),
                target: 0,
                known: false,
                last_requested: Instant::now(),
            },
        };
        bucket.last_requested = Instant::now();
        let taken = bucket.threads.pop_front().map(|(thread, _)| thread);
        if taken.is_none() && bucket.known {
            bucket.target = (bucket.target + 1).min(self.most);
        }
        bucket.known = true;
        buckets.push(bucket);
        let idle = |bucket: &Bucket| bucket.threads.is_empty();
        if buckets.len() > BUCKETS
            && let Some(oldest) = buckets.iter().position(idle)
        {
            buckets.remove(oldest);
        }
        drop(buckets);
        self.requested.notify_one();
        taken
    }

    /// The number of warm threads.
    pub(super) fn len(&self) -> usize {
        self.lock().iter().map(|bucket| bucket.threads.len()).sum()
    }

    /// Starts and unsubscribes warm threads until the future is dropped. `count` is called for each thread that is started.
    pub(super) async fn maintain(&self, connection: &Connection, count: impl Fn()) {
        loop {
            match self.next(Instant::now()) {
                PrewarmAction::Start(kind) => {
                    // Requests of a burst come first.
                    if timeout(START_PAUSE, self.requested.notified())
                        .await
                        .is_ok()
                    {
                        self.requested.notify_one();
                        tokio::time::sleep(START_PAUSE).await;
                    }
                    count();
                    let started = connection.call("thread/start", &&*kind).await;
                    let started: Option<ThreadStartResponse> = started.ok();
                    let fits = started
                        .as_ref()
                        .is_some_and(ThreadStartResponse::is_confined);
                    if let Some(unplaced) = self.put(&kind, started, fits) {
                        unsubscribe(connection, &unplaced).await;
                    }
                    if !fits {
                        tracing::debug!(
                            "no thread could be started ahead, or none that is confined"
                        );
                        tokio::time::sleep(FAILURE_PAUSE).await;
                    }
                }
                PrewarmAction::Unsubscribe(thread) => unsubscribe(connection, &thread).await,
                PrewarmAction::Wait(None) => self.requested.notified().await,
                PrewarmAction::Wait(Some(until)) => {
                    tokio::select! {
                        () = self.requested.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    /// Chooses the next action.
    fn next(&self, now: Instant) -> PrewarmAction {
        let mut buckets = self.lock();
        buckets.retain(|bucket| !bucket.threads.is_empty() || now < bucket.last_requested + STALE);
        let mut until: Option<Instant> = None;
        for bucket in buckets.iter_mut() {
            let forgotten = bucket.last_requested + STALE;
            if now >= forgotten {
                bucket.target = 0;
            }
            let oldest = bucket.threads.front().map(|(_, since)| *since + STALE);
            let over = bucket.threads.len() > bucket.target || oldest.is_some_and(|old| now >= old);
            if over && let Some((thread, _)) = bucket.threads.pop_front() {
                return PrewarmAction::Unsubscribe(thread);
            }
            let next = oldest.map_or(forgotten, |oldest| oldest.min(forgotten));
            until = Some(until.map_or(next, |until| until.min(next)));
        }
        let total: usize = buckets.iter().map(|bucket| bucket.threads.len()).sum();
        let latest = buckets.iter().rev();
        let mut lacking = latest.filter(|bucket| bucket.threads.len() < bucket.target);
        let Some(lacking) = lacking.next().map(|bucket| bucket.kind.clone()) else {
            return PrewarmAction::Wait(until);
        };
        if total < self.most {
            return PrewarmAction::Start(lacking);
        }
        // The kind that was requested the longest ago makes room, if it is another one.
        let mut others = buckets
            .iter_mut()
            .filter(|bucket| !bucket.threads.is_empty());
        match others
            .next()
            .filter(|bucket| bucket.kind.get() != lacking.get())
        {
            Some(bucket) => {
                bucket.target = bucket.threads.len() - 1;
                let thread = bucket.threads.pop_front();
                thread.map_or(PrewarmAction::Wait(until), |(thread, _)| {
                    PrewarmAction::Unsubscribe(thread)
                })
            }
            None => PrewarmAction::Wait(until),
        }
    }

    /// Puts a thread into its bucket if it `fits`. If not, no more of its kind are started for now. Returns a thread that was
    /// not stored.
    fn put(
        &self,
        kind: &RawValue,
        thread: Option<ThreadStartResponse>,
        fits: bool,
    ) -> Option<ThreadStartResponse> {
        let mut buckets = self.lock();
        let mut same = buckets.iter_mut();
        let Some(bucket) = same.find(|bucket| bucket.kind.get() == kind.get()) else {
            return thread;
        };
        match thread {
            Some(thread) if fits => {
                bucket.threads.push_back((thread, Instant::now()));
                None
            }
            unfit => {
                bucket.target = 0;
                unfit
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bucket>> {
        self.buckets.lock()
    }
}

async fn unsubscribe(connection: &Connection, thread: &ThreadStartResponse) {
    let thread_id = &thread.thread.id;
    let params = ThreadUnsubscribeParams { thread_id };
    let gone = connection.call::<Ignored>("thread/unsubscribe", &params);
    if let Err(error) = gone.await {
        tracing::debug!(%error, "a warm thread was not unsubscribed");
    }
}

#[cfg(test)]
mod tests;
