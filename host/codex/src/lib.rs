//! Codex: supervised `codex app-server` processes, and the turns that run on them. The lines of their stdout are decoded by
//! `airlock-wire`.

pub mod account; // its login
pub mod binary; // its binary and version
pub mod certificates; // the certificates that it trusts
pub mod config; // the settings of this crate
pub mod home; // its home folder
pub mod launch; // the command that starts it
pub mod schema; // the upgrade gate

mod call_error; // why a call of its JSON-RPC has no result
mod child; // one process
mod command; // its command line and environment
mod connection; // JSON-RPC over its stdin and stdout
mod failure; // its failures, for clients
mod fleet; // a home's children
mod log; // its log database
mod model_list; // the models that it offers
mod orphans; // processes that outlived their gateway
mod pending; // calls that await a response
mod prewarm; // threads started in advance
mod prompt; // a brief in its context
mod protocol; // its JSON
mod requests; // refusals of its requests
mod retry_filter; // hides its retries from the reply
mod stderr; // its stderr, redacted
mod thread_catalogs; // the models' catalogs for threads
mod token_error; // why there is no ChatGPT token
mod turn; // a turn's state and events
mod turn_outcome; // how a turn ended
mod turn_task; // a turn's task
mod upstream; // whether the model can be reached
mod vocabulary; // its types, converted to WIT's

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
pub use self::turn::{Parked, Permit, Turn, TurnContext};
pub use self::turn_outcome::TurnOutcome;
use self::turn_task::{TurnStartError, TurnTimeouts};
pub use self::upstream::{ModelReport, Reach};
use crate::config::{CodexConfig, TurnLimits};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::offload::offload;
use airlock_types::wit::{Brief, Model, Problem, Selection};

/// The name that Codex sends to the model (`originator`).
pub const CLIENT_NAME: &str = "airlock";

/// The header with a request's depth within fan-outs. A home's own model provider is configured to send it, so that a gateway
/// behind it recognises our turns.
pub const DEPTH_HEADER: &str = "x-airlock-depth";

/// Children on which a turn is tried, should they exit before they have started it.
const ATTEMPTS: usize = 3;

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
    /// Starts to supervise. A missing Codex is not an error here: `ready` reports it, and the start is tried again.
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

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether turns can start now; the error is for clients.
    pub fn ready(&self) -> Result<(), Problem> {
        self.fleet.now()?;
        self.fleet.upstream().problem().map_or(Ok(()), Err)
    }

    /// Whether the model can be reached, as turns found out.
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

    /// Waits until the first child has started or has failed to, at most `wait`.
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

    /// The name of the model that a turn with this selection would run on, as far as a child has listed its models.
    pub fn model_name(&self, conversation: &Conversation, selection: Option<&Selection>) -> String {
        let selection = selection.or(conversation.model.as_ref());
        match (self.fleet.now(), selection) {
            (Ok(child), _) => child.model_list.name(selection),
            (Err(_), Some(selection)) => selection.name.clone(),
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
            // Dropping the other future ends the turn.
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
        let mut left = ATTEMPTS;
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
                // Nothing ran: the turn is started on the next child.
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
