//! The account of a home: its status, external tokens, signing in, and signing out.
//!
//! A child knows only the login that it started with (0.169.0). Each change of the login increments the generation, and the
//! fleet replaces the children of an earlier one.

pub mod request; // a client's request to sign in
pub mod status; // the status, for clients

mod attach; // attaching a new child to the account
mod cached_probe; // cached results of Codex's command line
mod events; // the events of a sign-in
mod invalid_field; // an invalid field of a request
mod login_process; // the Codex of one sign-in
mod logout; // signing out
mod messages; // Codex's messages, classified
mod methods; // the steps of each way to sign in
mod reported; // the state that Codex has reported
mod sign_in; // one sign-in, from its first event to its last
mod sign_in_error; // why a sign-in fails
mod sign_in_slot; // one sign-in at a time
mod staging; // a temporary home for one sign-in
mod token_source; // the source of fresh tokens
mod tokens; // external ChatGPT tokens
mod wire; // the account's JSON

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
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
    limits: ConnectionLimits,
    tasks: Tasks,
    /// The origins to which people may be sent to sign in.
    origins: Vec<String>,
    /// The ChatGPT workspaces that may sign in. Empty: any.
    workspaces: Vec<String>,
    rehearsal: bool,
    reported: Mutex<ReportedAccount>,
    /// The child that was attached last.
    latest: Mutex<Option<Connection>>,
    external: Mutex<ExternalTokens>,
    source: TokenSource,
    generation: watch::Sender<u64>,
    slot: SignInSlot,
    /// The version and the login that Codex's command line prints, used while no child has reported them.
    versions: CachedProbe<PathBuf, Result<Binary, BinaryError>>,
    logins: CachedProbe<u64, Login>,
}

impl Account {
    /// The account of the home in which `launch` starts Codex. Removes folders of abandoned sign-ins; starts nothing.
    pub fn new(config: &CodexConfig, launch: Launch, tasks: &Tasks) -> Self {
        let workspaces = match &config.workspace {
            Some(workspace) => vec![workspace.clone()],
            None => launch.home().workspaces(),
        };
        // The folder of a gateway that was killed may contain tokens.
        staging::sweep(launch.home());
        Self {
            inner: Arc::new(AccountState {
                limits: ConnectionLimits::of(&config.limits),
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

    /// The generation of the login, which increases with each change. Children that were attached under an earlier generation
    /// do not know the new login. The receiver has seen the current value.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// The kind of login in Codex's spelling: `apikey`, `chatgpt`, `chatgptAuthTokens`. None: nobody is signed in, or Codex has
    /// not reported it yet.
    pub fn auth_mode(&self) -> Option<String> {
        self.inner.reported.lock().login()?.auth_mode
    }

    /// The error of the last fetch of tokens that failed.
    pub fn token_error(&self) -> Option<TokenError> {
        self.inner.source.last_error()
    }

    /// Records the result of `account/read` of a child that was just attached. None: the call failed.
    pub(super) fn record_read(&self, read: Option<&AccountReadResponse>) {
        let Some(read) = read else { return };
        let external = self.inner.external.lock().is_active();
        let mut reported = self.inner.reported.lock();
        // If no child of this login is attached, the result is of a child that knows an older login.
        if self.inner.latest.lock().is_some() {
            reported.record_read(read, external);
        }
    }

    /// Records that another process has replaced the login's file.
    pub(super) fn login_replaced(&self) {
        self.changed();
    }

    /// Records that the login has changed.
    fn changed(&self) {
        self.increment_generation(&mut self.inner.reported.lock());
    }

    /// Records that the login of this generation has changed, once for all callers that notice it.
    fn changed_from(&self, generation: u64) {
        if let Some(mut reported) = self.reported_at(generation) {
            self.increment_generation(&mut reported);
        }
    }

    fn increment_generation(&self, reported: &mut ReportedAccount) {
        reported.reset();
        *self.inner.latest.lock() = None;
        self.inner
            .generation
            .send_modify(|generation| *generation += 1);
    }

    /// The state that Codex has reported of the login of this generation. None: the login has changed since. The generation
    /// changes only while this lock is held.
    fn reported_at(&self, generation: u64) -> Option<MutexGuard<'_, ReportedAccount>> {
        let reported = self.inner.reported.lock();
        let current = *self.inner.generation.borrow();
        (current == generation).then_some(reported)
    }
}

#[cfg(test)]
mod tests;
