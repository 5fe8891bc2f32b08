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
mod prompt; // a brief in its terms
mod protocol; // its JSON
mod requests; // what it asks of us
mod stderr; // what it mutters
mod supervisor; // the next process
mod telling; // what was told, against retries
mod turn; // a turn's events

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use self::connection::Bounds;
use self::keeper::{NotStarted, TurnBounds};
use self::launch::Launch;
use self::prompt::Prompt;
use self::supervisor::{Ready, State, Supervisor};
pub(crate) use self::turn::Turn;
use crate::attachments::Attachments;
use crate::config::Limits;
use crate::failure::Failure;
use crate::task::Tasks;
use crate::wit::{Brief, Model, Problem};

/// How long a request waits for a child that is starting.
const START_WAIT: Duration = Duration::from_secs(10);

/// Children that one request is offered to, should they go before they have begun it.
const CHILDREN: usize = 3;

/// A supervised child. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Codex {
    state: watch::Receiver<State>,
    bounds: TurnBounds,
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
            bounds: TurnBounds {
                timeout: limits.turn_timeout,
                buffer_bytes: limits.turn_buffer_bytes,
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

    /// Starts a turn, once the brief has been checked against the catalogue. `permit` is kept until Codex has ended it.
    pub(crate) async fn start_turn(
        &self,
        brief: Brief,
        attachments: &Attachments,
        permit: OwnedSemaphorePermit,
    ) -> Result<Turn, Failure> {
        let mut child = self.child().await?;
        child.catalogue.check(&brief, attachments)?;
        let prompt = Arc::new(Prompt::new(brief, attachments)?);
        let mut permit = permit;
        let mut left = CHILDREN;
        loop {
            let connection = child.connection.clone();
            let started =
                keeper::start(connection, prompt.clone(), permit, self.bounds, &self.tasks);
            match started.await {
                Ok(turn) => return Ok(turn),
                Err(NotStarted::Failed(failure)) => return Err(failure),
                // Nothing ran: the next child is asked.
                Err(NotStarted::Gone(returned)) => permit = returned,
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
