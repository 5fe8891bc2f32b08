//! Codex for the gateway: supervised `codex app-server` processes, their account, and the turns that run on them.
//! `airlock-wire` decodes the lines of their stdout.

pub mod account; // a home's login
pub mod binary; // Codex's binary and its version
pub mod certificates; // the certificates that Codex trusts
pub mod config; // the settings of this crate
pub mod home; // Codex's home folder
pub mod launch; // how children are started
pub mod upgrade_gate; // checks the protocol of a new binary

mod call_error; // the error of a JSON-RPC call
mod child; // one process
mod command; // a child's command line and environment
mod connection; // JSON-RPC over a child's stdin and stdout
mod failure; // Codex's errors as failures for clients
mod fleet; // a home's children
mod log; // Codex's log database
mod model_list; // the models that a child offers
mod orphans; // processes that outlived their gateway
mod pending; // calls that await a response
mod prewarm; // threads started in advance
mod prompt; // a brief with its conversation, as Codex's parameters
mod protocol; // the JSON of Codex's protocol
mod retry_filter; // hides Codex's retries from the reply
mod server_requests; // refusals of Codex's requests
mod stderr; // a child's stderr, redacted, in the log
mod thread_catalogs; // the models' catalogs for threads
mod token_error; // why there is no ChatGPT token
mod turn; // a turn's state and events
mod turn_outcome; // how a turn ended
mod turn_task; // a turn's task
mod upstream_health; // whether the model can be reached
mod vocabulary; // Codex's types converted to WIT's

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
pub use self::upstream_health::{ModelReport, Reach};
use crate::config::{CodexConfig, TurnLimits};
use airlock_base::task::Tasks;
use airlock_types::failure::Failure;
use airlock_types::offload::offload;
use airlock_types::wit::{Brief, Model, Problem, Selection};

/// The name that Codex sends to the model (`originator`).
pub const CLIENT_NAME: &str = "airlock";

/// The header with a request's depth within fan-outs. A home's own model provider is configured to send it, so that a gateway
/// behind it recognises the turns of this one.
pub const DEPTH_HEADER: &str = "x-airlock-depth";

/// Children that a turn is tried on. Another is tried only if the one before exits before it has started the turn.
const ATTEMPTS: usize = 3;

/// One Codex home: its login and its children. Clones share it.
#[derive(Debug, Clone)]
pub struct Codex {
    fleet: Fleet,
    timeouts: TurnTimeouts,
    account: Account,
    tasks: Tasks,
}

impl Codex {
    /// Starts the home's children and keeps them running until `tasks` stop. A missing Codex is reported by `ready`, and the
    /// start is tried again.
    pub fn start(config: &CodexConfig, launch: Launch, tasks: &Tasks) -> Self {
        let limits = &config.limits;
        let connection_limits = ConnectionLimits::of(limits);
        let account = Account::new(config, launch.clone(), tasks);
        Self {
            fleet: Fleet::start(config, connection_limits, launch, account.clone(), tasks),
            timeouts: TurnTimeouts {
                turn: limits.turn_timeout,
                call: limits.call_silence,
                model: limits.model_wait,
            },
            account,
            tasks: tasks.clone(),
        }
    }

    /// The login of this home.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether turns can start now. The error is for clients.
    pub fn ready(&self) -> Result<(), Problem> {
        self.fleet.now()?;
        self.fleet.upstream().problem().map_or(Ok(()), Err)
    }

    /// Whether the model can be reached, as the last turns observed.
    pub fn model(&self) -> ModelReport {
        self.fleet.upstream().report()
    }

    /// How many turns may run at once: at most `limits.turns`. The receiver follows the changes.
    pub fn turn_capacity(&self) -> watch::Receiver<usize> {
        self.fleet.turn_capacity()
    }

    /// The children, for operators.
    pub fn report(&self) -> FleetReport {
        self.fleet.report()
    }

    /// Waits until the first child has started or failed to start, at most `wait`.
    pub async fn started(&self, wait: Duration) -> Started {
        self.fleet.started(wait).await
    }

    /// As `ready`, but waits up to 10 s for a child that is starting.
    pub async fn wait_ready(&self) -> Result<(), Problem> {
        self.fleet.child().await.map(drop)
    }

    /// The Codex version of a running child, such as `0.169.0`. None: no child runs.
    pub fn version(&self) -> Option<String> {
        Some(self.fleet.any()?.version.clone())
    }

    /// The models that a running child offers. None: no child runs.
    fn offered(&self) -> Option<Arc<[Model]>> {
        Some(self.fleet.any()?.model_list.visible())
    }

    /// The models that a child offers. Waits up to 10 s for a child that is starting.
    ///
    /// # Errors
    /// No child serves requests.
    pub async fn models(&self) -> Result<Arc<[Model]>, Failure> {
        Ok(self.fleet.child().await?.model_list.visible())
    }

    /// Checks each brief against the models of a child, and returns the model that each will run on.
    ///
    /// # Errors
    /// No child serves requests, or a brief has a model or tools that are unavailable.
    pub async fn check(
        &self,
        conversation: &Conversation,
        briefs: &[Brief],
    ) -> Result<Vec<String>, Failure> {
        let child = self.fleet.child().await?;
        let check = |brief| child.check(conversation, brief);
        briefs.iter().map(check).collect()
    }

    /// The name of the model that a turn with this selection would run on. Without a child it is the selection's own name, or
    /// `default`.
    pub fn model_name(&self, conversation: &Conversation, selection: Option<&Selection>) -> String {
        let selection = selection.or(conversation.model.as_ref());
        match (self.fleet.now(), selection) {
            (Ok(child), _) => child.model_list.name(selection),
            (Err(_), Some(selection)) => selection.name.clone(),
            (Err(_), None) => "default".to_owned(),
        }
    }

    /// Whether a turn of this home runs on this thread.
    pub fn runs(&self, thread: &str) -> bool {
        self.fleet.runs(thread)
    }

    /// Checks the brief and starts a turn on the child with the fewest. Dropping the future ends the turn.
    ///
    /// # Errors
    /// The brief is refused, Codex does not start the turn, or the gateway stops.
    pub async fn start_turn(
        &self,
        conversation: Arc<Conversation>,
        brief: Brief,
        context: TurnContext,
    ) -> Result<Turn, Failure> {
        tokio::select! {
            biased;
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
            // Another child may run another version of Codex.
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
                // `turn/start` was not written, so the turn may run on another child.
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
