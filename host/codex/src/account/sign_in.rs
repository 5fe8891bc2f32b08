//! One sign-in, from its first event to its last. Whoever drops it ends it, at any stage, with all that it has started.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::login_process::LoginProcess;
use super::request::SignIn;
use super::slot::Place;
use super::staging::Staging;
use super::{Account, lock};
use crate::stderr;
use airlock_base::secrets::Secret;

/// Events that may wait for a client, and lines of Codex that may wait to become some. What is beyond is not told.
const EVENTS: usize = 64;

/// Events that are never in the way of others: the code, and the end.
const RESERVED: usize = 2;

/// What Codex says at each start where it could run no commands, which it never does here.
const NOISE: &str = "bubblewrap";

/// What a sign-in tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A person must open this page and type this code.
    DeviceCode {
        /// Of an origin on the list.
        url: String,
        /// The code to type in there.
        code: String,
        /// When Codex gives up, in Unix seconds.
        expires: u64,
    },
    /// What happens, for people.
    Log {
        /// The line.
        message: String,
    },
    /// Somebody is signed in. It is the last event.
    Done {
        /// Codex's name of the method: `chatgpt`, `apikey`.
        auth_mode: Option<String>,
        /// The ChatGPT plan, in Codex's spelling.
        plan: Option<String>,
    },
    /// The sign-in failed, and nothing has changed. It is the last event.
    Error {
        /// The reason, for programs.
        reason: Reason,
        /// The reason, for people.
        message: String,
    },
}

/// Why a sign-in came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The person, or OpenAI, refused it.
    Denied,
    /// Nobody typed the code in time.
    Expired,
    /// The servers that it takes cannot be reached, or fail.
    NetworkUnreachable,
    /// Too many of them.
    TooMany,
    /// The page is of an origin that is not on the list.
    UrlNotAllowed,
    /// The account is not of the workspace that is configured.
    WorkspaceMismatch,
    /// The home's settings forbid this way (`forced_login_method`).
    NotAllowed,
    /// The issuer has no device codes.
    NotEnabled,
    /// Codex has tokens from outside.
    ExternalTokensActive,
    /// Another sign-in took its place.
    TakenOver,
    /// Somebody ended it.
    Cancelled,
    /// The gateway stops.
    Stopping,
    /// There is no Codex to do it, or it ended.
    CodexUnavailable,
    /// The login cannot be written.
    HomeUnwritable,
    /// Codex said something that is not known.
    InvalidResponse,
    /// Something else.
    Failed,
}

impl Reason {
    /// What a person may do about it.
    pub fn message(self) -> &'static str {
        match self {
            Self::Denied => {
                "the sign-in was refused; start it again, and approve it in the browser"
            }
            Self::Expired => "the code has expired before it was used; start again",
            Self::NetworkUnreachable => {
                "OpenAI's sign-in servers cannot be reached, or fail; check the gateway's network and proxy, then try again"
            }
            Self::TooMany => "there were too many sign-ins; wait a few minutes",
            Self::UrlNotAllowed => {
                "the page to sign in on is not of an origin in codex.sign_in_origins, so it is not shown; check that setting and CODEX_APP_SERVER_LOGIN_ISSUER"
            }
            Self::WorkspaceMismatch => {
                "the account is not of the workspace that this gateway is configured for; choose that workspace when you sign in, or change codex.workspace"
            }
            Self::NotAllowed => {
                "the Codex settings of this gateway forbid this way to sign in (forced_login_method); use the other"
            }
            Self::NotEnabled => {
                "device codes are not enabled for this account or server; enable them in ChatGPT's security settings, or use an API key"
            }
            Self::ExternalTokensActive => {
                "Codex is signed in with external tokens; sign out first (`airlock logout`)"
            }
            Self::TakenOver => "another sign-in took the place of this one",
            Self::Cancelled => "the sign-in was cancelled",
            Self::Stopping => "the gateway stops; sign in once it runs again",
            Self::CodexUnavailable => {
                "Codex does not run here; `airlock doctor` says why, and `airlock codex install` installs it"
            }
            Self::HomeUnwritable => {
                "the login cannot be written; the gateway's log says to where and why"
            }
            Self::InvalidResponse => {
                "Codex or the sign-in server answered in a way that this gateway does not know"
            }
            Self::Failed => "the sign-in failed; try again, and see the gateway's log",
        }
    }
}

/// What stands in the way of a sign-in.
#[derive(Debug)]
pub(super) struct SignInError {
    pub(super) reason: Reason,
    message: Option<String>,
    /// Codex's own words, as they came.
    pub(super) codex: Option<String>,
}

impl SignInError {
    pub(super) fn of(reason: Reason) -> Self {
        Self {
            reason,
            message: None,
            codex: None,
        }
    }

    /// With other words than usual, which are for clients.
    pub(super) fn saying(reason: Reason, message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::of(reason)
        }
    }
}

/// Why a sign-in is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is one already.
    InProgress,
    /// Codex has tokens from outside.
    ExternalTokens,
    /// A scripted model answers, and needs no login.
    Rehearsal,
}

/// A sign-in that is under way. Dropping it ends it.
#[derive(Debug)]
pub struct Flow {
    events: mpsc::Receiver<Event>,
    _leave: DropGuard,
}

impl Flow {
    /// The next event. None: there was a last one.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Account {
    /// Begins to sign in. `takeover`: one that is under way is ended first.
    pub async fn sign_in(&self, request: SignIn, takeover: bool) -> Result<Flow, Refused> {
        let inner = &self.inner;
        if inner.rehearsal {
            return Err(Refused::Rehearsal);
        }
        // Codex itself refuses this only in the child that has the tokens (0.169.0).
        if !matches!(request, SignIn::Tokens(_)) && lock(&inner.external).is_active() {
            return Err(Refused::ExternalTokens);
        }
        let place = match takeover {
            true => inner.slot.take_over(Reason::TakenOver).await,
            false => inner.slot.take(),
        };
        let place = place.ok_or(Refused::InProgress)?;
        let (sender, events) = mpsc::channel(EVENTS);
        let left = CancellationToken::new();
        let flow = Flow {
            events,
            _leave: left.clone().drop_guard(),
        };
        let account = self.clone();
        inner.tasks.spawn("sign-in", async move {
            let teller = Teller::new(sender, &request);
            account.run(request, place, left, teller).await;
        });
        Ok(flow)
    }

    /// Ends the sign-in that is under way. False: there is none.
    pub async fn cancel_sign_in(&self) -> bool {
        self.inner.slot.end(Reason::Cancelled).await
    }

    /// Ends the sign-in that is under way, because the gateway stops.
    pub async fn stop(&self) {
        self.inner.slot.end(Reason::Stopping).await;
    }

    async fn run(self, request: SignIn, mut place: Place, left: CancellationToken, teller: Teller) {
        let outcome = match Staging::make(self.inner.launch.home()) {
            Ok(staging) => {
                let mut process = LoginProcess::at(staging);
                let outcome = {
                    let (ear, mut mutters) = mpsc::channel(EVENTS);
                    let signing = self.sign(&mut process, &request, &teller, ear);
                    let reporting = async {
                        while let Some(line) = mutters.recv().await {
                            // Its log is for whoever looks for a fault, and in ours.
                            if !line.contains(NOISE) && !stderr::is_log_line(&line) {
                                teller.log(&line);
                            }
                        }
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        biased;
                        reason = place.stopped() => Err(SignInError::of(reason)),
                        () = left.cancelled() => Err(SignInError::of(Reason::Cancelled)),
                        () = self.inner.tasks.stopping() => Err(SignInError::of(Reason::Stopping)),
                        outcome = signing => outcome,
                        () = reporting => Err(SignInError::of(Reason::Failed)),
                    }
                };
                process.close().await;
                outcome
            }
            Err(error) => {
                tracing::error!(%error, "a sign-in has no folder");
                Err(SignInError::of(Reason::HomeUnwritable))
            }
        };
        // Whoever hears of the end may begin the next.
        drop(place);
        teller.end(outcome);
    }

    async fn sign(
        &self,
        process: &mut LoginProcess,
        request: &SignIn,
        teller: &Teller,
        ear: mpsc::Sender<String>,
    ) -> Result<Event, SignInError> {
        process.open(&self.inner, ear).await?;
        let made = match request {
            SignIn::DeviceCode => self.sign_in_by_device(process, teller).await?,
            SignIn::ApiKey(key) => process.sign_in_by_key(key).await?,
            SignIn::Tokens(tokens) => {
                process
                    .sign_in_by_tokens(tokens, &self.inner.workspaces)
                    .await?
            }
        };
        // From here on nothing waits, so nothing comes between.
        match request {
            SignIn::DeviceCode | SignIn::ApiKey(_) => self.keep(process)?,
            SignIn::Tokens(tokens) => drop(lock(&self.inner.external).give(tokens.clone())),
        }
        self.changed();
        let mut known = lock(&self.inner.known);
        known.learn(&made.read, matches!(request, SignIn::Tokens(_)));
        let login = known.login().unwrap_or_default();
        tracing::info!(account = login.auth_mode.as_deref(), "signed in");
        Ok(Event::Done {
            auth_mode: login.auth_mode,
            plan: login.plan,
        })
    }

    /// Makes the login that Codex has written the home's.
    fn keep(&self, process: &LoginProcess) -> Result<(), SignInError> {
        // They may have come while a person typed the code, and would hide the login.
        if lock(&self.inner.external).is_active() {
            return Err(SignInError::of(Reason::ExternalTokensActive));
        }
        let written = process.staging.login().map_err(|error| error.to_string());
        let saved = written.and_then(|login| {
            let home = self.inner.launch.home();
            home.write_login(&login).map_err(|error| error.to_string())
        });
        saved.map_err(|error| {
            tracing::error!(error, "the login is not kept");
            SignInError::of(Reason::HomeUnwritable)
        })
    }
}

/// Tells events, and nothing that is secret.
pub(super) struct Teller {
    events: mpsc::Sender<Event>,
    /// What the client itself has sent.
    secret: Option<Secret>,
}

impl Teller {
    fn new(events: mpsc::Sender<Event>, request: &SignIn) -> Self {
        let secret = match request {
            SignIn::DeviceCode => None,
            SignIn::ApiKey(key) => Some(key.clone()),
            SignIn::Tokens(tokens) => Some(tokens.access.clone()),
        };
        Self { events, secret }
    }

    /// Tells that a person must act.
    pub(super) fn code(&self, url: String, code: String, expires: u64) {
        let event = Event::DeviceCode { url, code, expires };
        // There is room: lines leave some, and it comes once.
        let _ = self.events.try_send(event);
    }

    /// Tells a line, where there is room for it.
    pub(super) fn log(&self, line: &str) {
        let mut message = line.to_owned();
        if let Some(secret) = &self.secret {
            message = message.replace(secret.expose(), "(secret)");
        }
        let message = stderr::clean_strictly(&message);
        if self.events.capacity() > RESERVED && !message.is_empty() {
            let _ = self.events.try_send(Event::Log { message });
        }
    }

    fn end(self, outcome: Result<Event, SignInError>) {
        let last = match outcome {
            Ok(done) => done,
            Err(error) => {
                if let Some(words) = &error.codex {
                    self.log(&format!("Codex: {words}"));
                }
                let reason = error.reason;
                tracing::info!(?reason, "the sign-in came to nothing");
                let message = error.message.unwrap_or_else(|| reason.message().to_owned());
                Event::Error { reason, message }
            }
        };
        let _ = self.events.try_send(last);
    }
}
