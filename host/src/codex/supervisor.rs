//! Keeps one child running: starts it, learns its account and models, and starts the next when it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::catalogue::Catalogue;
use super::child::{Child, StartError};
use super::connection::{Bounds, Connection};
use super::failure;
use super::launch::Launch;
use super::protocol::{AccountReadResponse, Nothing};
use crate::failure::Failure;
use crate::task::Tasks;
use crate::wit::{Problem, ProblemKind};

/// Pauses between starts: the first after a child that ran well, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A child that ran this long had started well, so its end is no reason to wait.
const RAN_WELL: Duration = Duration::from_secs(30);

/// Starts that fail in a row before requests are told, in place of waiting.
const PATIENCE: u32 = 3;

/// How often the login's file is looked at while nobody is signed in.
const LOGIN_POLL: Duration = Duration::from_secs(2);

/// What the rest of the host may know of the child.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// A start is under way: worth a wait.
    Starting,
    Ready(Arc<Ready>),
    /// Not before somebody does something, or a later start succeeds.
    Down(Problem),
}

/// A child that answers.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) connection: Connection,
    pub(super) version: String,
    pub(super) catalogue: Catalogue,
    /// The home's provider wants an OpenAI login, and there is none.
    pub(super) signed_out: bool,
}

/// What it takes to start a child.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) launch: Launch,
    pub(super) bounds: Bounds,
    pub(super) tasks: Tasks,
}

impl Supervisor {
    /// Runs until the gateway stops.
    pub(super) async fn run(self, state: watch::Sender<State>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = self.tasks.stopping() => return,
                ended = self.start(&state) => ended,
            };
            match ended {
                Ok(child) => {
                    self.watch(&child, &state).await;
                    state.send_if_modified(|state| {
                        !matches!(std::mem::replace(state, State::Starting), State::Starting)
                    });
                    child.end().await;
                    failures = if began.elapsed() >= RAN_WELL {
                        0
                    } else {
                        failures + 1
                    };
                }
                Err(StartError::Unfit(problem)) => {
                    // Somebody may install it meanwhile, so it is looked for again.
                    state.send_replace(State::Down(problem));
                    failures = failures.max(PATIENCE);
                }
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::error!(error, "codex did not start");
                    failures += 1;
                    if failures >= PATIENCE {
                        state.send_replace(State::Down(failing().problem));
                    }
                }
            }
            let pause = FIRST_PAUSE * 2u32.pow(failures.min(7));
            let pause = pause.min(LAST_PAUSE).mul_f64(rand::random_range(0.8..1.2));
            if timeout(pause, self.tasks.stopping()).await.is_ok() {
                return;
            }
        }
    }

    /// Starts a child and publishes it.
    async fn start(&self, state: &watch::Sender<State>) -> Result<Child, StartError> {
        let began = Instant::now();
        let child = Child::start(&self.launch, self.bounds, &self.tasks).await?;
        let connection = child.connection.clone();
        let open = self.launch.home().custom_provider;
        let (catalogue, account) = tokio::join!(
            Catalogue::read(&connection, open),
            connection.call::<AccountReadResponse>("account/read", &Nothing {}),
        );
        let catalogue = match catalogue {
            Ok(catalogue) => catalogue,
            Err(error) => {
                child.end().await;
                return Err(error.into());
            }
        };
        // With a ChatGPT login and no network, `account/read` fails although somebody is signed in (0.169.0); the
        // turn itself will then say what is wrong.
        let account = account
            .inspect_err(|error| tracing::warn!(%error, "the account could not be read"))
            .ok();
        let signed_out = account
            .as_ref()
            .is_some_and(|read| read.requires_openai_auth && read.account.is_none());
        let kind = account
            .and_then(|read| read.account)
            .map(|account| account.kind);
        tracing::info!(
            version = child.version,
            models = catalogue.visible().len(),
            account = kind.as_deref().unwrap_or("none"),
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "codex is ready"
        );
        if signed_out {
            tracing::warn!("codex is not signed in: every completion answers 503 until it is");
        }
        let version = child.version.clone();
        state.send_replace(State::Ready(Arc::new(Ready {
            connection,
            version,
            catalogue,
            signed_out,
        })));
        Ok(child)
    }

    /// Waits until a child ends, the gateway stops, or a login appears that this child cannot know of.
    async fn watch(&self, child: &Child, state: &watch::Sender<State>) {
        let signed_out = matches!(&*state.borrow(), State::Ready(ready) if ready.signed_out);
        tokio::select! {
            () = child.connection.closed() => tracing::warn!("codex ended; starting it again"),
            () = self.tasks.stopping() => {}
            () = login_appears(self.launch.home().login_file()), if signed_out => {
                tracing::info!("a login appeared; starting codex again with it");
            }
        }
    }
}

/// Completes when the login's file changes. A login made in one process is not seen by one that runs (0.169.0).
async fn login_appears(file: PathBuf) {
    let changed =
        async || -> Option<SystemTime> { tokio::fs::metadata(&file).await.ok()?.modified().ok() };
    let before = changed().await;
    loop {
        tokio::time::sleep(LOGIN_POLL).await;
        if changed().await != before {
            return;
        }
    }
}

fn failing() -> Failure {
    Failure::new(
        ProblemKind::Overloaded,
        "codex_failing",
        "Codex does not start; the gateway keeps trying, and `airlock doctor` tells more",
    )
    .retry_after(10)
}

/// The child that may run turns, or what stands in the way, as a client may hear it.
pub(super) fn usable(state: &State) -> Result<Arc<Ready>, Problem> {
    match state {
        State::Starting => Err(Failure::new(
            ProblemKind::Overloaded,
            "codex_starting",
            "Codex is starting; try again in a moment",
        )
        .retry_after(1)
        .problem),
        State::Ready(ready) if ready.signed_out => Err(failure::not_signed_in().problem),
        State::Ready(ready) => Ok(ready.clone()),
        State::Down(problem) => Err(problem.clone()),
    }
}
