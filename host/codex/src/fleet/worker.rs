//! A running child: what turns need of it, its counters, and leases.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::adaptive_limit::AdaptiveLimit;
use crate::connection::Connection;
use crate::model_list::ModelList;
use crate::prewarm::WarmThreads;
use crate::prompt::Conversation;
use crate::thread_catalogs::ThreadCatalogs;
use crate::upstream_health::UpstreamHealth;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, ProblemKind};

/// A running child.
#[derive(Debug)]
pub(crate) struct Worker {
    /// The child's number within its home, counted from 1.
    pub(super) number: u64,
    pub(super) pid: Option<u32>,
    pub(super) since: Instant,
    pub(crate) connection: Connection,
    pub(crate) version: String,
    pub(crate) model_list: ModelList,
    /// The model catalogs for its threads. None: turns with tools are refused.
    pub(super) thread_catalogs: Option<Arc<ThreadCatalogs>>,
    /// The kind of the login, as `account/read` has it: `chatgpt`, `apiKey`. None: nobody is signed in.
    pub(super) account_kind: Option<String>,
    /// Prewarmed threads that wait for a request.
    pub(crate) warm_threads: WarmThreads,
    /// The home's provider requires an OpenAI login, and there is none.
    pub(super) signed_out: bool,
    /// Cancelled when the child takes no more turns: parked turns end, the others run on.
    pub(crate) leaving: CancellationToken,
    /// The limit of concurrent turns, which follows how promptly they begin.
    pub(crate) adaptive_limit: Arc<AdaptiveLimit>,
    /// Whether the model can be reached, as turns observe.
    pub(crate) upstream: Arc<UpstreamHealth>,
    /// Cancelled when the child does not respond: it gets no more turns.
    pub(super) hung: CancellationToken,
    pub(super) counters: WorkerCounters,
}

fn unreached(model: &str) -> Failure {
    let message = format!(
        "this gateway's Codex cannot give the client's tools to `{model}`; GET /v1/models lists the models that can take them"
    );
    Failure::new(ProblemKind::Unsupported, "tools_unavailable", message).at("tools")
}

/// The counters of a child.
#[derive(Debug)]
pub(super) struct WorkerCounters {
    /// The child's turns, parked ones included.
    pub(super) turns: watch::Sender<usize>,
    /// Threads that the child has started.
    threads: AtomicU64,
    /// Turns that the child has begun.
    begun: AtomicU64,
    /// Whether the child has ended a turn by itself.
    useful: AtomicBool,
    /// Resident memory in bytes, as last measured.
    pub(super) resident: AtomicU64,
    /// Threads after which the child is to be replaced.
    most: u64,
    /// Notified when the child is to be replaced.
    wake: Arc<Notify>,
}

impl WorkerCounters {
    /// The counters of a new child. `wake` is notified after `most` threads.
    pub(super) fn new(most: u64, wake: Arc<Notify>) -> Self {
        Self {
            turns: watch::Sender::default(),
            threads: AtomicU64::default(),
            begun: AtomicU64::default(),
            useful: AtomicBool::default(),
            resident: AtomicU64::default(),
            most,
            wake,
        }
    }

    /// Whether the child has ended a turn by itself, which shows that it started well.
    pub(super) fn is_useful(&self) -> bool {
        self.useful.load(Ordering::Relaxed)
    }

    pub(super) fn threads(&self) -> u64 {
        self.threads.load(Ordering::Relaxed)
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// The model that a turn of this brief runs on.
    ///
    /// # Errors
    /// The model or the tools are unavailable.
    pub(crate) fn check(
        &self,
        conversation: &Conversation,
        brief: &Brief,
    ) -> Result<String, Failure> {
        let wants_tools = brief.tools && conversation.has_tools();
        self.check_tools(wants_tools)?;
        let model = self.model_list.check(conversation, brief)?;
        match &self.thread_catalogs {
            Some(thread_catalogs) if wants_tools && !thread_catalogs.reaches(&model) => {
                Err(unreached(&model))
            }
            _ => Ok(model),
        }
    }

    /// Refuses a turn with tools if this child has no thread catalogs.
    pub(crate) fn check_tools(&self, wanted: bool) -> Result<(), Failure> {
        if wanted && self.thread_catalogs.is_none() {
            let message = "this gateway's Codex cannot call the client's tools: leave them out, or ask the operator, whose log has the reason";
            let kind = ProblemKind::Unsupported;
            return Err(Failure::new(kind, "tools_unavailable", message).at("tools"));
        }
        Ok(())
    }

    /// The file with the model catalog for a thread of this model. None: Codex's own catalog serves.
    pub(crate) fn thread_catalog(&self, model: Option<&str>, tools: bool) -> Option<&Path> {
        let thread_catalogs = self.thread_catalogs.as_ref()?;
        if tools {
            return Some(&thread_catalogs.plain);
        }
        let (name, listed) = self.model_list.resolve(model)?;
        // A listed model without a description was announced by OpenAI after the catalogs were made.
        let described = thread_catalogs.describe(name) || !listed;
        (described && !self.has_live_models()).then_some(&thread_catalogs.lean)
    }

    /// Whether OpenAI sends this child its models at run time, so that only the child knows them.
    fn has_live_models(&self) -> bool {
        let kind = self.account_kind.as_deref();
        kind.is_some_and(|kind| kind.starts_with("chatgpt"))
    }

    /// Marks the child as unresponsive: new turns go to another.
    pub(crate) fn mark_unresponsive(&self) {
        self.hung.cancel();
    }

    /// Counts a requested thread.
    pub(crate) fn count_thread(&self) {
        let before = self.counters.threads.fetch_add(1, Ordering::Relaxed);
        if before + 1 == self.counters.most {
            self.counters.wake.notify_one();
        }
    }

    /// Counts a turn that has begun.
    pub(crate) fn count_turn(&self) {
        self.counters.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the child has ended a turn by itself.
    pub(crate) fn record_useful(&self) {
        self.counters.useful.store(true, Ordering::Relaxed);
    }

    /// Completes when the child has no turns. If it still takes turns, it may get another at any time.
    pub(super) async fn idle(&self) {
        let mut turns = self.counters.turns.subscribe();
        // The sender is ours.
        let _ = turns.wait_for(|turns| *turns == 0).await;
    }
}

/// A turn's hold on a child. A child is not ended while it has leases.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Worker>);

impl Lease {
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        // Nobody waits for more turns.
        worker.counters.turns.send_if_modified(|turns| {
            *turns += 1;
            false
        });
        Self(worker)
    }
}

impl Deref for Lease {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl AsRef<Worker> for Lease {
    fn as_ref(&self) -> &Worker {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.counters.turns.send_if_modified(|turns| {
            *turns -= 1;
            *turns == 0
        });
    }
}
