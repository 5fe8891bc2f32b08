//! A child that answers, as those who have turns run on it see it.

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
use crate::upstream::UpstreamHealth;
use airlock_types::failure::Failure;
use airlock_types::wit::{Brief, ProblemKind};

/// A child that answers.
#[derive(Debug)]
pub(crate) struct Worker {
    /// The how manieth child of its home.
    pub(super) number: u64,
    pub(super) pid: Option<u32>,
    pub(super) since: Instant,
    pub(crate) connection: Connection,
    pub(crate) version: String,
    pub(crate) model_list: ModelList,
    /// The catalogs for threads. Without them there are no tools.
    pub(super) thread_catalogs: Option<Arc<ThreadCatalogs>>,
    /// OpenAI tells it of its models as it runs, so that only it knows them.
    pub(super) live_models: bool,
    /// Threads that wait for a request.
    pub(crate) warm_threads: WarmThreads,
    /// The home's provider wants an OpenAI login, and there is none.
    pub(super) signed_out: bool,
    /// Cancelled when it is to take no more turns: those that wait for their client end, the others run on.
    pub(crate) leaving: CancellationToken,
    /// How many turns run at once follows how they begin.
    pub(crate) adaptive_limit: Arc<AdaptiveLimit>,
    /// Whether the model can be reached, as turns find out.
    pub(crate) upstream: Arc<UpstreamHealth>,
    /// Cancelled when it is found not to respond: it is offered no more turns.
    pub(super) hung: CancellationToken,
    pub(super) tally: Tally,
}

fn unreached(model: &str) -> Failure {
    let message = format!(
        "this gateway's Codex cannot give the client's tools to `{model}`; GET /v1/models says to which it can"
    );
    Failure::new(ProblemKind::Unsupported, "tools_unavailable", message).at("tools")
}

/// What a child is counted by.
#[derive(Debug)]
pub(super) struct Tally {
    /// Turns that it has, those that wait for their client among them.
    pub(super) turns: watch::Sender<usize>,
    /// Threads that it has started.
    threads: AtomicU64,
    /// Turns that it has begun.
    begun: AtomicU64,
    /// Whether it has ended a turn by itself.
    useful: AtomicBool,
    /// Bytes that it has in memory, when last looked at.
    pub(super) resident: AtomicU64,
    /// Threads after which it is to be replaced.
    most: u64,
    /// Notified when it is to be replaced.
    wake: Arc<Notify>,
}

impl Tally {
    /// Of a new child, whose manager is woken after so many threads.
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

    /// Whether it has ended a turn by itself: then it had started well, however soon it ended.
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
    /// The model that a turn of this brief runs on, once it is known to be possible.
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

    /// Fails for a turn with tools where there cannot be any.
    pub(crate) fn check_tools(&self, wanted: bool) -> Result<(), Failure> {
        if wanted && self.thread_catalogs.is_none() {
            let message = "this gateway's Codex cannot call the client's tools: leave them out, or ask the operator, whose log tells more";
            let kind = ProblemKind::Unsupported;
            return Err(Failure::new(kind, "tools_unavailable", message).at("tools"));
        }
        Ok(())
    }

    /// The catalogue for a thread of this model. None: Codex's own.
    pub(crate) fn thread_catalog(&self, model: Option<&str>, tools: bool) -> Option<&Path> {
        let thread_catalogs = self.thread_catalogs.as_ref()?;
        if tools {
            return Some(&thread_catalogs.plain);
        }
        let (name, listed) = self.model_list.resolve(model)?;
        // A model that is listed and not described is one that OpenAI has told of since.
        let described = thread_catalogs.describe(name) || !listed;
        (described && !self.live_models).then_some(&thread_catalogs.lean)
    }

    /// It does not respond: from now on another takes the turns.
    pub(crate) fn hangs(&self) {
        self.hung.cancel();
    }

    /// One more thread has been asked for.
    pub(crate) fn count_thread(&self) {
        let before = self.tally.threads.fetch_add(1, Ordering::Relaxed);
        if before + 1 == self.tally.most {
            self.tally.wake.notify_one();
        }
    }

    /// It has begun one more turn.
    pub(crate) fn count_turn(&self) {
        self.tally.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended a turn.
    pub(crate) fn was_useful(&self) {
        self.tally.useful.store(true, Ordering::Relaxed);
    }

    /// Completes when no turn is left. Only of a child that takes no more is that the end.
    pub(super) async fn idle(&self) {
        let mut turns = self.tally.turns.subscribe();
        // The sender is ours.
        let _ = turns.wait_for(|turns| *turns == 0).await;
    }
}

/// A place for a turn on a child, which is not ended as long as there is one.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Worker>);

impl Lease {
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        // Nobody waits for more turns.
        worker.tally.turns.send_if_modified(|turns| {
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
        self.0.tally.turns.send_if_modified(|turns| {
            *turns -= 1;
            *turns == 0
        });
    }
}
