//! Codex: a supervised `codex app-server`, and turns on it. The only place that knows its JSON.

pub(crate) mod binary; // which Codex
pub(crate) mod home; // what it may read
pub(crate) mod launch; // how it is started

mod catalogue; // what models it offers
mod child; // one process
mod connection; // its stdin and stdout
mod decode; // a line of stdout
mod failure; // its failures, for clients
mod keeper; // a turn's life
mod pending; // calls that wait
mod plain; // models for threads with tools
mod prompt; // a brief in its terms
mod protocol; // its JSON
mod requests; // what it asks of us
mod stderr; // what it mutters
mod supervisor; // the next process
mod telling; // what was told, against retries
mod turn; // a turn's events

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use self::connection::Bounds;
use self::keeper::{NotStarted, Patience};
use self::launch::Launch;
pub(crate) use self::prompt::Conversation;
use self::prompt::Prompt;
use self::supervisor::{Ready, State, Supervisor};
pub(crate) use self::turn::{Outcome, Parked, Permit, Terms, Turn};
use crate::config::Limits;
use crate::failure::Failure;
use crate::task::Tasks;
use crate::wit::{Brief, Model, Problem, Wish};

/// What Codex calls us in everything that it asks of a model (`originator`).
pub(crate) const CLIENT_NAME: &str = "airlock";

/// How deep a request lies within fan-outs. A home's own model provider is told to send it, so that a gateway behind it
/// knows our turns.
pub(crate) const DEPTH_HEADER: &str = "x-airlock-depth";

/// How long a request waits for a child that is starting.
const START_WAIT: Duration = Duration::from_secs(10);

/// Children that one request is offered to, should they go before they have begun it.
const CHILDREN: usize = 3;

/// A supervised child. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Codex {
    state: watch::Receiver<State>,
    patience: Patience,
    tasks: Tasks,
}

impl Codex {
    /// Starts supervising. A missing Codex fails nothing here: `ready` says so, and it is looked for again.
    pub(crate) fn start(limits: &Limits, launch: Launch, tasks: &Tasks) -> Self {
        let (sender, state) = watch::channel(State::Starting);
        let bounds = Bounds {
            call_timeout: limits.call_timeout,
            calls_in_flight: limits.calls_in_flight,
            line_bytes: limits.line_bytes,
        };
        let supervisor = Supervisor {
            launch,
            bounds,
            tasks: tasks.clone(),
        };
        tasks.spawn("codex", supervisor.run(sender));
        Self {
            state,
            patience: Patience {
                turn: limits.turn_timeout,
                call: limits.call_silence,
            },
            tasks: tasks.clone(),
        }
    }

    /// What stands between a request and a turn, as a client may hear it.
    pub(crate) fn ready(&self) -> Result<(), Problem> {
        let child = supervisor::usable(&self.state.borrow())?;
        if child.connection.is_open() {
            return Ok(());
        }
        supervisor::usable(&State::Starting).map(drop)
    }

    /// As `ready`, but waits a little while a child is starting.
    pub(crate) async fn wait_ready(&self) -> Result<(), Problem> {
        self.child().await.map(drop)
    }

    /// The version of the child that answers.
    pub(crate) fn version(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Ready(ready) => Some(ready.version.clone()),
            State::Starting | State::Down(_) => None,
        }
    }

    /// The models that the child offers.
    pub(crate) async fn models(&self) -> Result<Arc<[Model]>, Failure> {
        Ok(self.child().await?.catalogue.visible())
    }

    /// The models that turns of these briefs run on, once each has been checked against the catalogue.
    pub(crate) async fn check(
        &self,
        conversation: &Conversation,
        briefs: &[Brief],
    ) -> Result<Vec<String>, Failure> {
        let child = self.child().await?;
        let check = |brief| child.check(conversation, brief);
        briefs.iter().map(check).collect()
    }

    /// The name of the model that a turn of this wish would run on, as far as a child has told its models.
    pub(crate) fn model_name(&self, conversation: &Conversation, wished: Option<&Wish>) -> String {
        let wished = wished.or(conversation.model.as_ref());
        match (&*self.state.borrow(), wished) {
            (State::Ready(ready), _) => ready.catalogue.name(wished),
            (State::Starting | State::Down(_), Some(wished)) => wished.name.clone(),
            (State::Starting | State::Down(_), None) => "default".to_owned(),
        }
    }

    /// Whether a turn of ours runs on this thread.
    pub(crate) fn runs(&self, thread: &str) -> bool {
        match &*self.state.borrow() {
            State::Ready(ready) => ready.connection.has_turn(thread),
            State::Starting | State::Down(_) => false,
        }
    }

    /// Starts a turn, once the brief has been checked against the catalogue.
    pub(crate) async fn start_turn(
        &self,
        conversation: Arc<Conversation>,
        brief: Brief,
        terms: Terms,
    ) -> Result<Turn, Failure> {
        let mut child = self.child().await?;
        child.check(&conversation, &brief)?;
        let prompt = Arc::new(Prompt::new(conversation, brief)?);
        let mut left = CHILDREN;
        loop {
            // Another child may be another Codex.
            child.check_tools(!prompt.tools().is_empty())?;
            let started = keeper::start(
                child,
                prompt.clone(),
                terms.clone(),
                self.patience,
                &self.tasks,
            );
            match started.await {
                Ok(turn) => return Ok(turn),
                Err(NotStarted::Failed(failure)) => return Err(failure),
                // Nothing ran: the next child is asked.
                Err(NotStarted::Gone) => {}
            }
            left -= 1;
            if left == 0 {
                return Err(failure::exited());
            }
            child = self.child().await?;
        }
    }

    /// The child to use. One that has just ended, which the supervisor is about to see, is waited past.
    async fn child(&self) -> Result<Arc<Ready>, Problem> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| match state {
            State::Starting => false,
            State::Ready(ready) => ready.connection.is_open(),
            State::Down(_) => true,
        });
        match timeout(START_WAIT, settled).await {
            Ok(Ok(state)) => supervisor::usable(&state),
            // Still starting, or the gateway stops.
            Err(_) | Ok(Err(_)) => supervisor::usable(&State::Starting),
        }
    }
}
