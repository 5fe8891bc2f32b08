//! The registry: the builds, releases and roles of a gateway's policies.
//!
//! Changes are made beside the requests, one after the other. Requests see only the `Rollout`, whose pointer a change
//! replaces at its end.

mod error; // who requests a change, and why it fails
mod find; // the build that a name and a digest mean
mod folder; // the folder of policies
mod folder_watch; // new files in the folder
mod guard; // rolls releases back
mod history; // releases and activations
mod load; // from a build to a release
mod persisted; // policies.json and its lock
mod report; // the answer of `GET /admin/policies`
mod roles; // canary and shadow
mod start; // the first policy
mod state; // the history and the loaded releases

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, Notify};
use wasmtime::component::Component;

pub use self::error::{ChangedBy, RegistryError};
use self::find::{Finder, FoundBuild};
pub use self::folder::is_name;
pub(crate) use self::history::{Activation, ReleaseRecord};
use self::persisted::PersistedState;
pub(crate) use self::report::RegistryReport;
use self::state::{LoadedRelease, RegistryState, StateChange};
use super::cache::Cache;
use super::compile::{self, Compiler};
use super::engine::Engine;
use super::release::Release;
use super::rollout::{Roles, Rollout};
use super::trust::Trust;
use crate::config::PolicyConfig;
use airlock_base::task::Tasks;
use airlock_metrics::Metrics;

/// The folder of the data directory for operators' policies.
const FOLDER: &str = "policies";

/// The folder with the components of all remembered releases, by digest, so that a rollback does not need the file.
const STORE: &str = "policy-store";

/// The file of the history.
const STATE: &str = "policies.json";

/// The policies of a gateway. Clones share them.
#[derive(Clone)]
pub struct Registry(Arc<RegistryInner>);

struct RegistryInner {
    config: PolicyConfig,
    engine: Engine,
    compiler: Compiler,
    trust: Trust,
    metrics: Metrics,
    rollout: Rollout,
    /// The release of the policy that the configuration names. It is never rolled back automatically.
    configured: Option<u64>,
    /// Locked while a change is made.
    state: Mutex<RegistryState>,
    /// Notified at every fault of a release.
    fault_notify: Arc<Notify>,
    tasks: Tasks,
}

impl Registry {
    /// Loads the first policy: the configured one, else the one that was active last, else the embedded one.
    ///
    /// # Errors
    /// The policy cannot be loaded, or the data directory cannot be used.
    pub async fn open(
        config: &PolicyConfig,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let engine = Engine::new(&config.sandbox)?;
        let trust = start::trust(config)?;
        start::folders(config)?;
        let compiler = compiler(&engine, config)?;
        let persisted = PersistedState::open(config.data_dir.join(STATE))?;
        if !persisted.is_ours() {
            tracing::warn!(
                "another gateway uses this data directory: it saves which policies are active, and this one does not"
            );
        }
        if persisted.is_ours() {
            persisted::remove_drafts(&config.data_dir.join(STORE), ".");
        }
        let mut state = RegistryState {
            persisted,
            loaded: Vec::new(),
        };
        let fault_notify = Arc::<Notify>::default();
        let loader = load::Loader {
            config,
            engine: &engine,
            compiler: &compiler.hurried(),
            trust: &trust,
            metrics,
            fault_notify: &fault_notify,
        };
        let release = loader.first(&mut state).await?;
        let number = release.about().number;
        let rollout = Rollout::new(release);
        if let Err(error) = state.persisted.save() {
            tracing::error!(%error, "the active policy cannot be saved for a restart");
        }
        let registry = Self(Arc::new(RegistryInner {
            config: config.clone(),
            engine,
            compiler,
            trust,
            metrics: metrics.clone(),
            rollout,
            configured: config.source.is_some().then_some(number),
            state: Mutex::new(state),
            fault_notify,
            tasks: tasks.clone(),
        }));
        registry.watch();
        Ok(registry)
    }

    /// The rollout, which chooses the release of each request.
    pub fn rollout(&self) -> Rollout {
        self.0.rollout.clone()
    }

    /// Makes a build of this policy the active one. `digest`: the first digits of its digest, if the name is not enough.
    ///
    /// # Errors
    /// There is no such build, it cannot serve, or the change cannot be written to the disk. Nothing has changed then.
    pub async fn activate(
        &self,
        name: &str,
        digest: Option<&str>,
        by: ChangedBy,
    ) -> Result<Activation, RegistryError> {
        let (mut pending, release) = self.obtain(name, digest, false).await?;
        pending
            .persisted
            .history
            .set_failed(release.about().number, false);
        let activation = self.swap(&mut pending, &release, by, false)?;
        release.health().forget_lately();
        Ok(activation)
    }

    /// Makes the release active again that was active before the current one.
    ///
    /// # Errors
    /// There was none, or none can be loaded any more.
    pub async fn rollback(&self, by: ChangedBy) -> Result<Activation, RegistryError> {
        let active = self.active();
        let nothing = "there is no other release to go back to";
        let mut error = RegistryError::Unclear(nothing.to_owned());
        for previous in self.before(active).await {
            match self.go_back(active, &previous, by.clone(), false).await {
                Ok(activation) => return Ok(activation),
                // Builds of the shipped policy from other versions of the gateway do not exist any more.
                Err(RegistryError::NotFound(why)) => error = RegistryError::NotFound(why),
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }

    /// The activations that a rollback may return to, the best first.
    async fn before(&self, active: u64) -> Vec<Activation> {
        self.state()
            .await
            .persisted
            .history
            .rollback_targets(active)
    }

    /// Makes a former release active, if `active` still is. `failed`: whether `active` is to be recorded as failed.
    async fn go_back(
        &self,
        active: u64,
        previous: &Activation,
        by: ChangedBy,
        failed: bool,
    ) -> Result<Activation, RegistryError> {
        let digest = Some(previous.digest.as_str());
        let (mut pending, release) = self.obtain(&previous.name, digest, true).await?;
        if self.active() != active {
            return Err(RegistryError::Unclear(
                "another release has become the active one meanwhile".to_owned(),
            ));
        }
        if failed {
            pending.persisted.history.set_failed(active, true);
        }
        self.swap(&mut pending, &release, by, true)
    }

    /// The number of the active release.
    fn active(&self) -> u64 {
        self.0.rollout.roles().active.about().number
    }

    /// Makes a release of a build. Returns the pending change of the state, too. The state is not locked while the build is
    /// found, compiled and tried out, so that rollbacks and reports do not wait. `lenient`: as for `take_in`.
    async fn obtain(
        &self,
        name: &str,
        digest: Option<&str>,
        lenient: bool,
    ) -> Result<(StateChange<'_>, Release), RegistryError> {
        let known = self.known().await;
        let finder = Finder {
            config: &self.0.config,
            known: &known,
        };
        if let Some(unread) = digest.and_then(|digits| finder.unread(name, digits))
            && let Some(code) = self.0.compiler.cached(&unread.digest).await.ok().flatten()
            && let Some(before) = self.loaded(&unread).await
        {
            return self
                .take_in(unread, Some(before), Some(code), lenient)
                .await;
        }
        let found = finder.find(name, digest).await?;
        let before = self.loaded(&found).await;
        self.take_in(found, before, None, lenient).await
    }

    /// The loaded release of a build.
    async fn loaded(&self, found: &FoundBuild) -> Option<LoadedRelease> {
        let state = self.state().await;
        state.loaded(&found.name, &found.digest)
    }

    /// Makes a release of a build that was found. `before`: its loaded release. `code`: its compiled code, if at hand.
    /// `lenient`: if it refuses its new settings, it keeps the former ones.
    async fn take_in(
        &self,
        found: FoundBuild,
        before: Option<LoadedRelease>,
        code: Option<Component>,
        lenient: bool,
    ) -> Result<(StateChange<'_>, Release), RegistryError> {
        let ready = self.loader().ready(found, before, code, lenient).await?;
        let mut pending = StateChange::on(self.state().await);
        let release = self.loader().adopt(&mut pending, ready)?;
        Ok((pending, release))
    }

    async fn known(&self) -> Vec<ReleaseRecord> {
        self.state().await.persisted.history.releases.clone()
    }

    /// The state of the registry for operators.
    pub async fn report(&self) -> RegistryReport {
        let state = self.state().await;
        report::make(&self.0, &state)
    }

    /// Makes a release the active one: writes the change to the disk, then replaces the pointer.
    fn swap(
        &self,
        pending: &mut StateChange<'_>,
        release: &Release,
        by: ChangedBy,
        back: bool,
    ) -> Result<Activation, RegistryError> {
        let number = release.about().number;
        let activation = pending.note(release, by, back);
        self.commit(pending)?;
        activation.log();
        if self.active() != number {
            self.0.metrics.swapped();
        }
        self.set(|roles| {
            // A canary or shadow that becomes active loses its role.
            let is_other = |it: &Release| it.about().number != number;
            roles.canary = roles.canary.take().filter(|it| is_other(&it.release));
            roles.shadow = roles.shadow.take().filter(|it| is_other(&it.release));
            roles.active = release.clone();
        });
        Ok(activation)
    }

    fn set(&self, change: impl FnOnce(&mut Roles)) {
        let mut roles = Roles::clone(&self.0.rollout.roles());
        change(&mut roles);
        self.0.rollout.set(roles);
    }

    /// Writes a change to the disk, and drops metrics of forgotten releases.
    fn commit(&self, pending: &mut StateChange<'_>) -> Result<(), RegistryError> {
        pending.commit()?;
        let state = &pending.persisted;
        self.0
            .metrics
            .retain(|number| state.history.has_release(number));
        Ok(())
    }

    fn loader(&self) -> load::Loader<'_> {
        let shared = &self.0;
        load::Loader {
            config: &shared.config,
            engine: &shared.engine,
            compiler: &shared.compiler,
            trust: &shared.trust,
            metrics: &shared.metrics,
            fault_notify: &shared.fault_notify,
        }
    }

    /// The folder for operators' policies.
    fn folder(&self) -> PathBuf {
        self.0.config.data_dir.join(FOLDER)
    }

    async fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.0.state.lock().await
    }
}

fn compiler(
    engine: &Engine,
    config: &PolicyConfig,
) -> Result<Compiler, Box<dyn Error + Send + Sync>> {
    let cache = Cache::open(&config.data_dir)?;
    let limits = compile::CompileLimits {
        timeout: config.compile_timeout,
        memory_bytes: config.compile_memory_bytes,
    };
    Ok(Compiler::new(engine.clone(), cache, limits))
}
