//! The account of a home: its status as Codex reports it, external tokens, signing in and out.
//!
//! A child knows the login that it started with (0.169.0). So whatever makes the login another counts up a generation,
//! and whoever keeps children replaces those of an earlier one.

pub mod request; // what somebody wants to sign in with
pub mod status; // what clients may know

mod introduce; // a child that has just started
mod known; // what Codex has reported
mod login_process; // the Codex that a sign-in has for itself
mod logout; // the way out
mod messages; // Codex's reasons, in words for people
mod methods; // the ways to sign in
mod probe; // what the command line says
mod sign_in; // one sign-in, from its first event to its last
mod slot; // one sign-in at a time
mod source; // where fresh tokens come from
mod staging; // a home for a login that may come to nothing
mod tokens; // ChatGPT tokens from outside
mod wire; // the account's JSON

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use self::known::{Known, Login};
pub use self::logout::SignedOut;
use self::probe::Probe;
pub use self::sign_in::{Event, Flow, Refused};
use self::slot::Slot;
use self::source::Source;
pub use self::source::TokenFault;
use self::tokens::External;
pub use self::tokens::Tokens;
use super::binary::{Binary, BinaryError};
use super::connection::{Connection, ConnectionLimits};
use super::launch::Launch;
use super::protocol::AccountReadResponse;
use crate::config::CodexConfig;
use airlock_base::task::Tasks;

/// How long Codex may take for a step of a sign-in that asks OpenAI's servers.
const STEP: Duration = Duration::from_secs(30);

/// The account of one home. Clones share it.
#[derive(Clone, Debug)]
pub struct Account {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    launch: Launch,
    bounds: ConnectionLimits,
    tasks: Tasks,
    /// Where people may be sent to.
    origins: Vec<String>,
    /// The workspaces that may sign in. Empty: any.
    workspaces: Vec<String>,
    rehearsal: bool,
    /// Standard mutexes: held for a few instructions, never across an await.
    known: Mutex<Known>,
    /// A child to ask, the one that was introduced last.
    latest: Mutex<Option<Connection>>,
    external: Mutex<External>,
    source: Source,
    generation: watch::Sender<u64>,
    slot: Slot,
    /// What the command line says while no child has told it.
    versions: Probe<PathBuf, Result<Binary, BinaryError>>,
    logins: Probe<u64, Login>,
}

impl Account {
    /// The account of the home that `launch` starts Codex in. Nothing is started.
    pub fn new(config: &CodexConfig, launch: Launch, tasks: &Tasks) -> Self {
        let workspaces = match &config.workspace {
            Some(workspace) => vec![workspace.clone()],
            None => launch.home().workspaces(),
        };
        // Tokens are not to lie about until somebody signs in.
        staging::sweep(launch.home());
        Self {
            inner: Arc::new(Inner {
                bounds: ConnectionLimits::of(&config.limits),
                tasks: tasks.clone(),
                origins: config.sign_in_origins.clone(),
                workspaces,
                rehearsal: launch.home().rehearsal,
                known: Mutex::default(),
                latest: Mutex::default(),
                external: Mutex::default(),
                source: Source::new(config, launch.home().rehearsal),
                generation: watch::Sender::default(),
                slot: Slot::default(),
                versions: Probe::default(),
                logins: Probe::default(),
                launch,
            }),
        }
    }

    /// Which login it is by now: counts up each time that it has become another. Children that were started before
    /// such a change, and so were introduced under an earlier number, do not know of it. What is there now counts as
    /// seen.
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// How somebody is signed in, in Codex's own words, as far as a child has told: `apikey`, `chatgpt`, `chatgptAuthTokens`.
    pub fn auth_mode(&self) -> Option<String> {
        lock(&self.inner.known).login()?.auth_mode
    }

    /// Why the last attempt to get tokens failed.
    pub fn token_fault(&self) -> Option<TokenFault> {
        self.inner.source.fault()
    }

    /// Takes what `account/read` answered to a child that has just been introduced. None: it could not be read.
    pub(super) fn learn(&self, read: Option<&AccountReadResponse>) {
        let Some(read) = read else { return };
        let external = lock(&self.inner.external).is_active();
        let mut known = lock(&self.inner.known);
        // As long as no child of this login has been introduced, it is an older one that tells.
        if lock(&self.inner.latest).is_some() {
            known.learn(read, external);
        }
    }

    /// Somebody else has made the login another.
    pub(super) fn renewed(&self) {
        self.changed();
    }

    /// The login has become another.
    fn changed(&self) {
        self.become_another(&mut lock(&self.inner.known));
    }

    /// The same, but once for all who find out about a login of this number.
    fn changed_from(&self, generation: u64) {
        if let Some(mut known) = self.known_of(generation) {
            self.become_another(&mut known);
        }
    }

    fn become_another(&self, known: &mut Known) {
        known.forget();
        *lock(&self.inner.latest) = None;
        self.inner
            .generation
            .send_modify(|generation| *generation += 1);
    }

    /// What is known of the login of this number. None: it has become another, whose facts are others. Numbers change
    /// under this lock alone.
    fn known_of(&self, generation: u64) -> Option<MutexGuard<'_, Known>> {
        let known = lock(&self.inner.known);
        let current = *self.inner.generation.borrow();
        (current == generation).then_some(known)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
