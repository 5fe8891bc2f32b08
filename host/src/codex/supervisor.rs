//! Keeps one child running: starts it, learns its account and models, and starts the next when it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::catalogue::Catalogue;
use super::child::{Child, StartError};
use super::connection::{Bounds, CallError, Connection};
use super::failure;
use super::launch::Launch;
use super::plain;
use super::prompt::Conversation;
use super::protocol::{AccountReadResponse, Nothing};
use crate::failure::Failure;
use crate::task::Tasks;
use crate::wit::{Brief, Problem, ProblemKind};

/// Pauses between starts: the first after a child that ran well, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A child that ran this long had started well, so its end is no reason to wait.
const RAN_WELL: Duration = Duration::from_secs(30);

/// Starts that fail in a row before requests are told, in place of waiting.
const PATIENCE: u32 = 3;

/// How often the login's file is looked at while nobody is signed in.
const LOGIN_POLL: Duration = Duration::from_secs(2);

/// How often a child is asked whether it is still there, and how long it may take to say so.
const PROBE_PAUSE: Duration = Duration::from_secs(5);
const PROBE_WAIT: Duration = Duration::from_secs(10);

/// How long a child that reads no more may go on to speak.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    /// The catalogue for threads with tools. Without it there are none.
    pub(super) plain: Option<PathBuf>,
    /// The home's provider wants an OpenAI login, and there is none.
    pub(super) signed_out: bool,
}

impl Ready {
    /// The model that a turn of this brief runs on, once it is known to be possible.
    pub(super) fn check(
        &self,
        conversation: &Conversation,
        brief: &Brief,
    ) -> Result<String, Failure> {
        self.check_tools(brief.tools && conversation.has_tools())?;
        self.catalogue.check(conversation, brief)
    }

    /// Fails for a turn with tools where there cannot be any.
    pub(super) fn check_tools(&self, wanted: bool) -> Result<(), Failure> {
        if wanted && self.plain.is_none() {
            let message = "this gateway's Codex cannot call the client's tools: leave them out, or ask the operator, whose log tells more";
            let kind = ProblemKind::Unsupported;
            return Err(Failure::new(kind, "tools_unavailable", message).at("tools"));
        }
        Ok(())
    }
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
            // Looked at before the start: a login that comes while a child starts is one that it may not know of.
            let login = Login::look(self.launch.home().login_file()).await;
            // Not raced with the stop: a child that has been spawned is ended step by step.
            match self.start(&state).await {
                Ok(child) => {
                    let useless = self.watch(&child, login, &state).await;
                    let ran_well = began.elapsed() >= RAN_WELL || useless == Useless::Outdated;
                    failures = if ran_well { 0 } else { failures + 1 };
                    state.send_replace(if failures >= PATIENCE {
                        State::Down(failing().problem)
                    } else {
                        State::Starting
                    });
                    child.end().await;
                }
                Err(StartError::Stopping) => return,
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
        let plain = async {
            tokio::select! {
                plain = plain::prepare(&self.launch) => plain,
                () = self.tasks.stopping() => None,
            }
        };
        let child = Child::start(&self.launch, self.bounds, &self.tasks);
        let (child, plain) = tokio::join!(child, plain);
        let child = child?;
        let connection = child.connection.clone();
        let open = self.launch.home().custom_provider;
        let asked = async {
            let account = connection.call::<AccountReadResponse>("account/read", &Nothing {});
            let catalogue = Catalogue::read(&connection, open, plain.is_some());
            let (catalogue, account) = tokio::join!(catalogue, account);
            Ok((catalogue?, account))
        };
        let asked = tokio::select! {
            asked = asked => asked.map_err(|error: CallError| StartError::from(error)),
            () = self.tasks.stopping() => Err(StartError::Stopping),
        };
        let (catalogue, account) = match asked {
            Ok(answers) => answers,
            Err(error) => {
                child.end().await;
                return Err(error);
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
            plain,
            signed_out,
        })));
        Ok(child)
    }

    /// Waits until a child is of no more use: it ended or hangs, the gateway stops, or there is a login that it
    /// cannot know of. `login` is what there was before it started.
    async fn watch(&self, child: &Child, login: Login, state: &watch::Sender<State>) -> Useless {
        let connection = &child.connection;
        let signed_out = matches!(&*state.borrow(), State::Ready(ready) if ready.signed_out);
        // Codex rewrites the file itself when it refreshes tokens. So a change means something only as long as
        // nobody is signed in, or the account is refused.
        let signed_in_anew = async {
            let mut refused = connection.refused();
            loop {
                if !signed_out && refused.wait_for(|refused| *refused).await.is_err() {
                    // The connection is gone, which another arm sees.
                    std::future::pending::<()>().await;
                }
                if login.has_changed().await {
                    return;
                }
                tokio::time::sleep(LOGIN_POLL).await;
            }
        };
        tokio::select! {
            () = connection.closed() => tracing::warn!("codex ended; starting it again"),
            () = connection.hung_up() => {
                tracing::warn!("codex reads no more; starting it again");
                // What it still has to say belongs to replies that are nearly done.
                let _ = timeout(LAST_WORDS, connection.closed()).await;
            }
            () = falls_silent(connection) => tracing::error!("codex hangs; starting it again"),
            () = signed_in_anew => {
                tracing::info!("a login appeared; starting codex again with it");
                return Useless::Outdated;
            }
            () = self.tasks.stopping() => {}
        }
        Useless::Broken
    }
}

/// Why a child is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Useless {
    /// It ended, or hangs.
    Broken,
    /// Nothing is wrong with it, but that it knows an old login.
    Outdated,
}

/// The file that holds the login, as it was at some time.
#[derive(Debug)]
struct Login {
    file: PathBuf,
    modified: Option<SystemTime>,
}

impl Login {
    async fn look(file: PathBuf) -> Self {
        let modified = modified(&file).await;
        Self { file, modified }
    }

    /// Whether the file is another now. A login made in one process is not seen by one that runs (0.169.0).
    async fn has_changed(&self) -> bool {
        modified(&self.file).await != self.modified
    }
}

async fn modified(file: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(file).await.ok()?.modified().ok()
}

/// Completes when a child twice in a row has not answered a question that costs it nothing, and has said nothing else
/// either: one that is merely busy still speaks. An error is an answer too.
async fn falls_silent(connection: &Connection) {
    let mut silences = 0;
    while silences < 2 {
        tokio::time::sleep(PROBE_PAUSE).await;
        let heard = connection.heard();
        let _ = timeout(PROBE_WAIT, connection.probe("thread/loaded/list")).await;
        silences = if connection.heard() == heard {
            silences + 1
        } else {
            0
        };
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        call_timeout: Duration::from_secs(30),
        calls_in_flight: 8,
        line_bytes: 1 << 20,
    };

    #[tokio::test(start_paused = true)]
    async fn a_child_that_hangs_is_noticed() {
        let (near, _far) = duplex(64 << 10);
        let (stdout, stdin) = split(near);
        let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
        let noticed = timeout(Duration::from_secs(60), falls_silent(&connection)).await;
        assert!(noticed.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_answers_anything_does_not_hang() {
        let (near, far) = duplex(64 << 10);
        let (stdout, stdin) = split(near);
        let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
        let (read, mut write) = split(far);
        let answers = async {
            let mut lines = BufReader::new(read).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let call: serde_json::Value = serde_json::from_str(&line).unwrap();
                let error = serde_json::json!({"code": -32600, "message": "unknown"});
                let answer = serde_json::json!({"id": call["id"], "error": error});
                write
                    .write_all(format!("{answer}\n").as_bytes())
                    .await
                    .unwrap();
            }
        };
        let watched = tokio::select! {
            () = answers => unreachable!("the far end ended"),
            noticed = timeout(Duration::from_secs(600), falls_silent(&connection)) => noticed,
        };
        assert!(watched.is_err());
    }

    #[tokio::test]
    async fn a_login_that_comes_or_goes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        let absent = Login::look(file.clone()).await;
        assert!(!absent.has_changed().await);
        tokio::fs::write(&file, "{}").await.unwrap();
        assert!(absent.has_changed().await);
        let present = Login::look(file.clone()).await;
        assert!(!present.has_changed().await);
        tokio::fs::remove_file(&file).await.unwrap();
        assert!(present.has_changed().await);
    }
}
