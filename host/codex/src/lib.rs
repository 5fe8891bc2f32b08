//! Codex: supervised `codex app-server` processes, and turns on them. The only place that knows
//! its JSON, of which the crate `airlock-wire` decodes what comes on stdout.

pub mod account; // who is signed in
pub mod binary; // which Codex
pub mod certificates; // what it trusts
pub mod config; // its settings
pub mod home; // what it may read
pub mod launch; // how it is started
pub mod schema; // whether it speaks our protocol

mod child; // one process
mod command; // its command line and environment
mod connection; // its stdin and stdout
mod failure; // its failures, for clients
mod fleet; // a home's children
mod log; // what it writes of itself
mod model_list; // the models that it offers
mod orphans; // what an earlier gateway left
mod pending; // calls that wait
mod prewarm; // threads before they are needed
mod prompt; // a brief in its context
mod protocol; // its JSON
mod requests; // what it asks of us
mod retry_filter; // hides Codex's retries from the reply
mod stderr; // what it mutters
mod thread_catalogs; // the models' catalogs for threads
mod token_error; // why there is no ChatGPT token
mod turn; // a turn's events
mod turn_task; // a turn's life
mod upstream; // whether the model can be reached
mod vocabulary; // what it tells, in the boundary's words

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::account::Account;
use self::connection::ConnectionLimits;
use self::fleet::Fleet;
pub use self::fleet::{FleetReport, Started};
use self::launch::Launch;
use self::prompt::Prompt;
pub use self::prompt::{Conversation, brief_bytes};
pub use self::turn::{Parked, Permit, Turn, TurnContext, TurnOutcome};
use self::turn_task::{TurnStartError, TurnTimeouts};
pub use self::upstream::{ModelReport, Reach};
use crate::config::{CodexConfig, TurnLimits};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::offload::offload;
use airlock_types::wit::{Brief, Model, Problem, Selection};

/// What Codex calls us in everything that it asks of a model (`originator`).
pub const CLIENT_NAME: &str = "airlock";

/// How deep a request lies within fan-outs. A home's own model provider is told to send it, so that a gateway behind it
/// knows our turns.
pub const DEPTH_HEADER: &str = "x-airlock-depth";

/// Children that one request is offered to, should they go before they have begun it.
const CHILDREN: usize = 3;

/// One home: its login, and its children. Clones share it.
#[derive(Debug, Clone)]
pub struct Codex {
    fleet: Fleet,
    timeouts: TurnTimeouts,
    limits: Arc<TurnLimits>,
    account: Account,
    tasks: Tasks,
}

impl Codex {
    /// Starts supervising. A missing Codex fails nothing here: `ready` says so, and it is looked for again.
    pub fn start(config: &CodexConfig, launch: Launch, tasks: &Tasks) -> Self {
        let limits = &config.limits;
        let bounds = ConnectionLimits::of(limits);
        let account = Account::new(config, launch.clone(), tasks);
        Self {
            fleet: Fleet::start(config, bounds, launch, account.clone(), tasks),
            timeouts: TurnTimeouts {
                turn: limits.turn_timeout,
                call: limits.call_silence,
                model: limits.model_wait,
            },
            limits: Arc::new(limits.clone()),
            account,
            tasks: tasks.clone(),
        }
    }

    /// The limits of turns.
    pub fn limits(&self) -> &Arc<TurnLimits> {
        &self.limits
    }

    /// Who is signed in.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What stands between a request and a turn, as a client may hear it.
    pub fn ready(&self) -> Result<(), Problem> {
        self.fleet.now()?;
        self.fleet.upstream().problem().map_or(Ok(()), Err)
    }

    /// Whether the model can be reached, as turns have found out.
    pub fn model(&self) -> ModelReport {
        self.fleet.upstream().report()
    }

    /// How many turns may run at once, as it changes: never more than `limits.turns`.
    pub fn turn_capacity(&self) -> watch::Receiver<usize> {
        self.fleet.turn_capacity()
    }

    /// The children, as operators see them.
    pub fn report(&self) -> FleetReport {
        self.fleet.report()
    }

    /// Waits until the first child answers or has failed to start, at most so long.
    pub async fn started(&self, wait: Duration) -> Started {
        self.fleet.started(wait).await
    }

    /// As `ready`, but waits a little while a child is starting.
    pub async fn wait_ready(&self) -> Result<(), Problem> {
        self.fleet.child().await.map(drop)
    }

    /// The version of the child that answers.
    pub fn version(&self) -> Option<String> {
        Some(self.fleet.any()?.version.clone())
    }

    /// The models that the child offers, where one answers now.
    fn offered(&self) -> Option<Arc<[Model]>> {
        Some(self.fleet.any()?.model_list.visible())
    }

    /// The models that the child offers.
    pub async fn models(&self) -> Result<Arc<[Model]>, Failure> {
        Ok(self.fleet.child().await?.model_list.visible())
    }

    /// The models that turns of these briefs run on, once each has been checked against the model_list.
    pub async fn check(
        &self,
        conversation: &Conversation,
        briefs: &[Brief],
    ) -> Result<Vec<String>, Failure> {
        let child = self.fleet.child().await?;
        let check = |brief| child.check(conversation, brief);
        briefs.iter().map(check).collect()
    }

    /// The name of the model that a turn of this wish would run on, as far as a child has told its models.
    pub fn model_name(&self, conversation: &Conversation, wished: Option<&Selection>) -> String {
        let wished = wished.or(conversation.model.as_ref());
        match (self.fleet.now(), wished) {
            (Ok(child), _) => child.model_list.name(wished),
            (Err(_), Some(wished)) => wished.name.clone(),
            (Err(_), None) => "default".to_owned(),
        }
    }

    /// Whether a turn of ours runs on this thread.
    pub fn runs(&self, thread: &str) -> bool {
        self.fleet.runs(thread)
    }

    /// Starts a turn, once the brief has been checked against the model_list.
    pub async fn start_turn(
        &self,
        conversation: Arc<Conversation>,
        brief: Brief,
        context: TurnContext,
    ) -> Result<Turn, Failure> {
        tokio::select! {
            biased;
            // Whatever of it exists by then is ended.
            () = self.tasks.requests_aborted() => Err(Failure::stopping()),
            turn = self.begin_turn(conversation, brief, context) => turn,
        }
    }

    async fn begin_turn(
        &self,
        conversation: Arc<Conversation>,
        brief: Brief,
        context: TurnContext,
    ) -> Result<Turn, Failure> {
        let mut child = self.fleet.lease().await?;
        child.check(&conversation, &brief)?;
        let bytes = prompt::brief_bytes(&brief);
        let prompt = offload(bytes, move || Prompt::new(conversation, brief)).await?;
        let prompt = Arc::new(prompt?);
        let mut left = CHILDREN;
        loop {
            // Another child may be another Codex.
            child.check_tools(!prompt.tools().is_empty())?;
            let started = turn_task::start(
                child,
                prompt.clone(),
                context.clone(),
                self.timeouts,
                &self.tasks,
            );
            match started.await {
                Ok(turn) => return Ok(turn),
                Err(TurnStartError::Failed(failure)) => return Err(failure),
                // Nothing ran: the next child is asked.
                Err(TurnStartError::ChildGone) => {}
            }
            left -= 1;
            if left == 0 {
                return Err(failure::exited());
            }
            child = self.fleet.lease().await?;
        }
    }
}

impl ConnectionLimits {
    fn of(limits: &TurnLimits) -> Self {
        Self {
            call_timeout: limits.call_timeout,
            calls_in_flight: limits.calls_in_flight,
            line_bytes: limits.line_bytes,
        }
    }
}
