//! Threads that are started before a request needs them: `thread/start` is the slowest call of a turn's beginning.
//!
//! A thread fits requests that would start just such a one: of the same model, instructions and tools, which the next
//! request of a client mostly has. So a kind of thread is asked for twice before there is one ahead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::protocol::{Ignored, ThreadStartResponse, ThreadUnsubscribeParams};

/// How long after a thread was taken the next is started: the turn that took it comes first.
const AFTER: Duration = Duration::from_millis(30);

/// A kind that nobody has asked for so long is forgotten, and a thread as old as that is given back.
const STALE: Duration = Duration::from_secs(60);

/// Bytes of parameters that are kept for the next request of their kind, and how many kinds.
const KIND_BYTES: usize = 64 << 10;
const KINDS: usize = 64;

/// How long after a thread that could not be started the next is tried.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The threads of one child that wait for a request.
#[derive(Debug)]
pub(super) struct Stock {
    shelves: Mutex<Vec<Shelf>>,
    /// Rung when a thread was asked for.
    asked: Notify,
    most: usize,
}

/// Those of one kind.
#[derive(Debug)]
struct Shelf {
    /// What they are started with.
    kind: Arc<RawValue>,
    /// The oldest first.
    threads: VecDeque<(ThreadStartResponse, Instant)>,
    /// How many there should be: as many as were asked for in vain, but for the first.
    wanted: usize,
    /// Whether it was asked for before.
    known: bool,
    asked: Instant,
}

/// What is to be done for the stock.
enum Work {
    Start(Arc<RawValue>),
    GiveBack(ThreadStartResponse),
    Wait(Option<Instant>),
}

impl Stock {
    pub(super) fn new(most: usize) -> Self {
        Self {
            shelves: Mutex::default(),
            asked: Notify::new(),
            most,
        }
    }

    /// A thread that was started with these parameters, of about so many bytes, if there is one. In either case there will
    /// be more like it.
    pub(super) fn take(
        &self,
        bytes: usize,
        params: &impl Serialize,
    ) -> Option<ThreadStartResponse> {
        if self.most == 0 || bytes > KIND_BYTES {
            return None;
        }
        let kind = to_raw_value(params).ok()?;
        let mut shelves = self.lock();
        let place = shelves
            .iter()
            .position(|shelf| shelf.kind.get() == kind.get());
        // The one that was asked for last stands last.
        let mut shelf = match place {
            Some(place) => shelves.remove(place),
            None => Shelf {
                kind: Arc::from(kind),
                threads: VecDeque::new(),
                wanted: 0,
                known: false,
                asked: Instant::now(),
            },
        };
        shelf.asked = Instant::now();
        let taken = shelf.threads.pop_front().map(|(thread, _)| thread);
        if taken.is_none() && shelf.known {
            shelf.wanted = (shelf.wanted + 1).min(self.most);
        }
        shelf.known = true;
        shelves.push(shelf);
        let idle = |shelf: &Shelf| shelf.threads.is_empty();
        if shelves.len() > KINDS
            && let Some(oldest) = shelves.iter().position(idle)
        {
            shelves.remove(oldest);
        }
        drop(shelves);
        self.asked.notify_one();
        taken
    }

    /// Threads that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().iter().map(|shelf| shelf.threads.len()).sum()
    }

    /// Keeps the stock, until it is dropped.
    pub(super) async fn keep(&self, connection: &Connection, count: impl Fn()) {
        loop {
            match self.next(Instant::now()) {
                Work::Start(kind) => {
                    // Whoever takes part in a rush goes first.
                    if timeout(AFTER, self.asked.notified()).await.is_ok() {
                        self.asked.notify_one();
                        tokio::time::sleep(AFTER).await;
                    }
                    count();
                    let started = connection.call("thread/start", &&*kind).await;
                    let started: Option<ThreadStartResponse> = started.ok();
                    let fits = started
                        .as_ref()
                        .is_some_and(ThreadStartResponse::is_confined);
                    if let Some(unplaced) = self.put(&kind, started, fits) {
                        give_back(connection, &unplaced).await;
                    }
                    if !fits {
                        tracing::debug!(
                            "no thread could be started ahead, or none that is confined"
                        );
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                }
                Work::GiveBack(thread) => give_back(connection, &thread).await,
                Work::Wait(None) => self.asked.notified().await,
                Work::Wait(Some(until)) => {
                    tokio::select! {
                        () = self.asked.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    fn next(&self, now: Instant) -> Work {
        let mut shelves = self.lock();
        shelves.retain(|shelf| !shelf.threads.is_empty() || now < shelf.asked + STALE);
        let mut until: Option<Instant> = None;
        for shelf in shelves.iter_mut() {
            let forgotten = shelf.asked + STALE;
            if now >= forgotten {
                shelf.wanted = 0;
            }
            let oldest = shelf.threads.front().map(|(_, since)| *since + STALE);
            let over = shelf.threads.len() > shelf.wanted || oldest.is_some_and(|old| now >= old);
            if over && let Some((thread, _)) = shelf.threads.pop_front() {
                return Work::GiveBack(thread);
            }
            let next = oldest.map_or(forgotten, |oldest| oldest.min(forgotten));
            until = Some(until.map_or(next, |until| until.min(next)));
        }
        let total: usize = shelves.iter().map(|shelf| shelf.threads.len()).sum();
        let latest = shelves.iter().rev();
        let mut lacking = latest.filter(|shelf| shelf.threads.len() < shelf.wanted);
        let Some(lacking) = lacking.next().map(|shelf| shelf.kind.clone()) else {
            return Work::Wait(until);
        };
        if total < self.most {
            return Work::Start(lacking);
        }
        // Room is made by the kind that nobody has asked for the longest, if it is another.
        let mut others = shelves.iter_mut().filter(|shelf| !shelf.threads.is_empty());
        match others
            .next()
            .filter(|shelf| shelf.kind.get() != lacking.get())
        {
            Some(shelf) => {
                shelf.wanted = shelf.threads.len() - 1;
                let thread = shelf.threads.pop_front();
                thread.map_or(Work::Wait(until), |(thread, _)| Work::GiveBack(thread))
            }
            None => Work::Wait(until),
        }
    }

    /// Puts a thread on its shelf if it `fits`; else no more of its kind are started for now. Gives back what has no place.
    fn put(
        &self,
        kind: &RawValue,
        thread: Option<ThreadStartResponse>,
        fits: bool,
    ) -> Option<ThreadStartResponse> {
        let mut shelves = self.lock();
        let mut same = shelves.iter_mut();
        let Some(shelf) = same.find(|shelf| shelf.kind.get() == kind.get()) else {
            return thread;
        };
        match thread {
            Some(thread) if fits => {
                shelf.threads.push_back((thread, Instant::now()));
                None
            }
            unfit => {
                shelf.wanted = 0;
                unfit
            }
        }
    }

    /// A standard mutex: it is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn give_back(connection: &Connection, thread: &ThreadStartResponse) {
    let thread_id = &thread.thread.id;
    let params = ThreadUnsubscribeParams { thread_id };
    let gone = connection.call::<Ignored>("thread/unsubscribe", &params);
    if let Err(error) = gone.await {
        tracing::debug!(%error, "a thread was not given back");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn thread(id: &str) -> Option<ThreadStartResponse> {
        let sandbox = json!({"type": "readOnly"});
        let started = json!({"thread": {"id": id}, "model": "m", "approvalPolicy": "never", "sandbox": sandbox});
        Some(serde_json::from_value(started).unwrap())
    }

    fn take(stock: &Stock, kind: &str) -> Option<String> {
        let taken = stock.take(kind.len(), &kind);
        taken.map(|thread| thread.thread.id)
    }

    fn put(stock: &Stock, kind: &str, started: Option<ThreadStartResponse>) {
        let fits = started.is_some();
        assert!(
            stock
                .put(&to_raw_value(kind).unwrap(), started, fits)
                .is_none()
        );
    }

    fn next(stock: &Stock) -> String {
        match stock.next(Instant::now()) {
            Work::Start(kind) => format!("start {}", kind.get()),
            Work::GiveBack(thread) => format!("give back {}", thread.thread.id),
            Work::Wait(until) => format!("wait {}", until.is_some()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_twice_is_there_the_next_time() {
        let stock = Stock::new(2);
        assert_eq!(next(&stock), "wait false");
        assert_eq!(take(&stock, "a"), None);
        assert_eq!(next(&stock), "wait true");
        assert_eq!(take(&stock, "a"), None);
        assert_eq!(next(&stock), "start \"a\"");
        put(&stock, "a", thread("t1"));
        assert_eq!(next(&stock), "wait true");
        assert_eq!(take(&stock, "a").as_deref(), Some("t1"));
        // A rush: as many as are missed, up to the most.
        for _ in 0..5 {
            assert_eq!(take(&stock, "a"), None);
        }
        for id in ["t2", "t3"] {
            assert_eq!(next(&stock), "start \"a\"");
            put(&stock, "a", thread(id));
        }
        assert_eq!((stock.len(), next(&stock).as_str()), (2, "wait true"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_given_back() {
        let stock = Stock::new(2);
        take(&stock, "a");
        take(&stock, "a");
        put(&stock, "a", thread("t1"));
        tokio::time::advance(STALE).await;
        assert_eq!(next(&stock), "give back t1");
        assert_eq!(next(&stock), "wait false");
    }

    #[tokio::test(start_paused = true)]
    async fn the_kind_that_is_asked_for_takes_the_room_of_others() {
        let stock = Stock::new(1);
        take(&stock, "a");
        take(&stock, "a");
        put(&stock, "a", thread("t1"));
        for _ in 0..2 {
            assert_eq!(take(&stock, "b"), None);
        }
        assert_eq!(next(&stock), "give back t1");
        assert_eq!(next(&stock), "start \"b\"");
    }

    #[tokio::test(start_paused = true)]
    async fn none_are_kept_where_none_are_wanted_or_they_are_large() {
        for (stock, kind) in [
            (Stock::new(0), "a".to_owned()),
            (Stock::new(4), "x".repeat(KIND_BYTES + 1)),
        ] {
            take(&stock, &kind);
            take(&stock, &kind);
            assert_eq!(next(&stock), "wait false");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_all_different_start_nothing_and_are_forgotten() {
        let stock = Stock::new(4);
        for number in 0..KINDS * 2 {
            assert_eq!(take(&stock, &number.to_string()), None);
            assert_eq!(next(&stock), "wait true");
        }
        assert_eq!(stock.lock().len(), KINDS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_cannot_be_started_is_not_tried_again_by_itself() {
        let stock = Stock::new(4);
        take(&stock, "a");
        take(&stock, "a");
        put(&stock, "a", None);
        assert_eq!(next(&stock), "wait true");
    }
}
