//! A journal: recorded entries in order, which a test can await.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::patience::{PATIENCE, within};

/// Entries in the order in which they were recorded. Clones share them.
#[derive(Debug)]
pub struct Journal<T> {
    entries: Arc<Mutex<Vec<T>>>,
    length: watch::Sender<usize>,
    forgets: Arc<AtomicBool>,
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self {
            entries: Arc::clone(&self.entries),
            length: self.length.clone(),
            forgets: Arc::clone(&self.forgets),
        }
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            length: watch::Sender::new(0),
            forgets: Arc::default(),
        }
    }
}

impl<T: Clone> Journal<T> {
    /// Adds an entry, and wakes the waiters.
    pub fn record(&self, entry: T) {
        if self.forgets.load(Ordering::Relaxed) {
            return;
        }
        let mut entries = self.entries.lock();
        entries.push(entry);
        self.length.send_replace(entries.len());
    }

    /// Discards all further entries.
    pub fn forget(&self) {
        self.forgets.store(true, Ordering::Relaxed);
    }

    /// All entries so far.
    pub fn all(&self) -> Vec<T> {
        self.entries.lock().clone()
    }

    /// The number of entries so far that satisfy `is`.
    pub fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        let entries = self.entries.lock();
        entries.iter().filter(|entry| is(entry)).count()
    }

    /// Waits for the `number`th entry, from 0, that satisfies `is`. `what` names it in the error.
    pub async fn nth(&self, what: &str, number: usize, is: impl Fn(&T) -> bool) -> Result<T> {
        self.nth_within(PATIENCE, what, number, is).await
    }

    /// Like `nth`, with this timeout.
    pub async fn nth_within(
        &self,
        limit: Duration,
        what: &str,
        number: usize,
        is: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let mut length = self.length.subscribe();
        let find = async {
            loop {
                length.borrow_and_update();
                if let Some(entry) = self.find(number, &is) {
                    return Ok(entry);
                }
                length.changed().await.context("the journal is gone")?;
            }
        };
        within(limit, what, find).await?
    }

    fn find(&self, number: usize, is: impl Fn(&T) -> bool) -> Option<T> {
        let entries = self.entries.lock();
        entries
            .iter()
            .filter(|entry| is(entry))
            .nth(number)
            .cloned()
    }
}
