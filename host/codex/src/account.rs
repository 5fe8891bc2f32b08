//! The account of a home: its status as Codex reports it, external tokens, signing in and out.
//!
//! A child knows only the login that it started with (0.169.0). Each change of the login increments the generation, and the
//! fleet replaces the children of an earlier one.

pub mod request; // a client's request to sign in
pub mod status; // what clients may know

mod attach; // a child that has just started
mod cached_probe; // results of the command line
mod events; // the events of a sign-in
mod invalid_field; // an invalid field of a request
mod login_process; // the Codex of one sign-in
mod logout; // signing out
mod messages; // Codex's messages, classified
mod methods; // the steps of each way to sign in
mod reported; // what Codex has reported
mod sign_in; // one sign-in, from its first event to its last
mod sign_in_error; // why a sign-in fails
mod sign_in_slot; // one sign-in at a time
mod staging; // a home for a login that may fail
mod token_source; // where fresh tokens come from
mod tokens; // ChatGPT tokens from outside
mod wire; // the account's JSON

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use self::cached_probe::CachedProbe;
pub use self::events::SignInEvent;
pub use self::logout::SignedOut;
use self::reported::{Login, ReportedAccount};
pub use self::sign_in::{SignInRefusal, SignInStream};
use self::sign_in_slot::SignInSlot;
use self::token_source::TokenSource;
pub use self::tokens::ChatGptTokens;
use self::tokens::ExternalTokens;
use super::binary::{Binary, BinaryError};
use super::connection::{Connection, ConnectionLimits};
use super::launch::Launch;
use super::protocol::AccountReadResponse;
use crate::config::CodexConfig;
pub use crate::token_error::TokenError;
use airlock_base::task::Tasks;

/// How long Codex may take for a step of a sign-in that calls OpenAI's servers.
const STEP: Duration = Duration::from_secs(30);

/// The account of one home. Clones share it.
#[derive(Clone, Debug)]
pub struct Account {
    inner: Arc<AccountState>,
}

#[derive(Debug)]
struct AccountState {
    launch: Launch,
    bounds: ConnectionLimits,
    tasks: Tasks,
    /// Origins of pages that people may be sent to.
    origins: Vec<String>,
    /// The ChatGPT workspaces that may sign in. Empty: any.
    workspaces: Vec<String>,
    rehearsal: bool,
    /// Standard mutexes: held for a few instructions, never across an await.
    reported: Mutex<ReportedAccount>,
    /// The child that was attached last.
    latest: Mutex<Option<Connection>>,
    external: Mutex<ExternalTokens>,
    source: TokenSource,
    generation: watch::Sender<u64>,
    slot: SignInSlot,
    /// The version and the login as the command line prints them, while no child has reported them.
    versions: CachedProbe<PathBuf, Result<Binary, BinaryError>>,
    logins: CachedProbe<u64, Login>,
}

impl Account {
    /// The account of the home that `launch` starts Codex in. Nothing is started.
    pub fn new(config: &CodexConfig, launch: Launch, tasks: &Tasks) -> Self {
        let workspaces = match &config.workspace {
            Some(workspace) => vec![workspace.clone()],
            None => launch.home().workspaces(),
        };
        // Removed at the start: a folder that a killed gateway left may hold tokens.
        staging::sweep(launch.home());
        Self {
            inner: Arc::new(AccountState {
                bounds: ConnectionLimits::of(&config.limits),
                tasks: tasks.clone(),
                origins: config.sign_in_origins.clone(),
                workspaces,
                rehearsal: launch.home().rehearsal,
                reported: Mutex::default(),
                latest: Mutex::default(),
                external: Mutex::default(),
                source: TokenSource::new(config, launch.home().rehearsal),
                generation: watch::Sender::default(),
                slot: SignInSlot::default(),
                versions: CachedProbe::default(),
                logins: CachedProbe::default(),
                launch,
            }),
        }
    }

    /// The generation of the login, which increases with each change of it. Children that were attached under an earlier
    /// generation do not know the new login. The receiver has seen the current value.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// The kind of login in Codex's spelling: `apikey`, `chatgpt`, `chatgptAuthTokens`. None: nobody, or not reported yet.
    pub fn auth_mode(&self) -> Option<String> {
        lock(&self.inner.reported).login()?.auth_mode
    }

    /// Why the last fetch of tokens failed.
    pub fn token_error(&self) -> Option<TokenError> {
        self.inner.source.last_error()
    }

    /// Records the result of `account/read` of a child that has just been attached. None: it could not be read.
    pub(super) fn record_read(&self, read: Option<&AccountReadResponse>) {
        let Some(read) = read else { return };
        let external = lock(&self.inner.external).is_active();
        let mut reported = lock(&self.inner.reported);
        // With no child of this login attached, the result is of a child that knows an older login.
        if lock(&self.inner.latest).is_some() {
            reported.record_read(read, external);
        }
    }

    /// The login's file was replaced by another process.
    pub(super) fn login_replaced(&self) {
        self.changed();
    }

    /// The login has changed.
    fn changed(&self) {
        self.increment_generation(&mut lock(&self.inner.reported));
    }

    /// The same, once for all who notice that the login of this generation has changed.
    fn changed_from(&self, generation: u64) {
        if let Some(mut reported) = self.reported_at(generation) {
            self.increment_generation(&mut reported);
        }
    }

    fn increment_generation(&self, reported: &mut ReportedAccount) {
        reported.reset();
        *lock(&self.inner.latest) = None;
        self.inner
            .generation
            .send_modify(|generation| *generation += 1);
    }

    /// What Codex has reported of the login of this generation. None: the login has changed since. The generation changes
    /// only while this lock is held.
    fn reported_at(&self, generation: u64) -> Option<MutexGuard<'_, ReportedAccount>> {
        let reported = lock(&self.inner.reported);
        let current = *self.inner.generation.borrow();
        (current == generation).then_some(reported)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
