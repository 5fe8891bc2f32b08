//! The store's thread: takes jobs from the queue, and commits writes that wait together in one transaction.

use std::sync::mpsc::Receiver;

use airlock_base::clock;
use tokio::sync::oneshot;

use super::database::Database;
use crate::error::StoreError;
use crate::object::{ObjectChange, Owner, StoredItem, StoredObject};
use crate::store::StoreUsage;

/// Writes that share a transaction at most, so that the first of them does not wait long.
const GROUP: usize = 64;

/// Receives the result of a job. It is gone if the caller no longer waits.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// An operation for the thread.
pub(super) enum Job {
    Write(WriteJob),
    Load {
        owner: Owner,
        keys: Vec<String>,
        reply: Reply<Vec<StoredObject>>,
    },
    LoadItems {
        owner: Owner,
        ids: Vec<String>,
        reply: Reply<Vec<StoredItem>>,
    },
    Expire(Reply<u64>),
    Usage(Reply<StoreUsage>),
    Close(Reply<()>),
}

/// Changes to one owner's objects, all or none.
pub(super) struct WriteJob {
    pub(super) owner: Owner,
    pub(super) changes: Vec<ObjectChange>,
    pub(super) reply: Reply<()>,
}

/// Runs jobs until the store is closed or its last handle is dropped.
pub(super) fn run(database: Database, queue: &Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
        let now = clock::unix_ms();
        match job {
            Job::Write(first) => {
                let mut group = vec![first];
                while group.len() < GROUP && next.is_none() {
                    match queue.try_recv() {
                        Ok(Job::Write(job)) => group.push(job),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                write(&database, group, now);
            }
            Job::Load { owner, keys, reply } => {
                let _ = reply.send(database.load(&owner, &keys, now));
            }
            Job::LoadItems { owner, ids, reply } => {
                let _ = reply.send(database.load_items(&owner, &ids, now));
            }
            Job::Expire(reply) => {
                let _ = reply.send(database.expire(now));
            }
            Job::Usage(reply) => {
                let _ = reply.send(database.usage());
            }
            Job::Close(reply) => {
                drop(database);
                let _ = reply.send(Ok(()));
                return;
            }
        }
        database.checkpoint();
    }
}

/// Commits a group of writes, then replies to each.
fn write(database: &Database, group: Vec<WriteJob>, now: u64) {
    let (writes, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|job| ((job.owner, job.changes), job.reply))
        .unzip();
    let results = database.write(&writes, now);
    for (reply, result) in replies.into_iter().zip(results) {
        let _ = reply.send(result);
    }
}
