//! The registry's state: the history, and the releases that this process has loaded.

use std::ops::{Deref, DerefMut};

use tokio::sync::MutexGuard;

use super::history::{Activation, ReleaseHistory, ReleaseRecord};
use super::persisted::PersistedState;
use super::{ChangedBy, RegistryError};
use crate::release::{Release, Trace};
use crate::sandbox::SandboxLimits;
use airlock_base::clock;
use airlock_types::wit::Description;

/// The most loaded releases, besides those in use.
const LOADED: usize = 100;

/// The state that changes of the registry lock.
pub(super) struct RegistryState {
    pub(super) persisted: PersistedState,
    pub(super) loaded: Vec<LoadedRelease>,
}

/// A release that this process has loaded.
#[derive(Clone)]
pub(super) struct LoadedRelease {
    pub(super) record: ReleaseRecord,
    pub(super) description: Option<Description>,
    /// The settings that it was tried with.
    pub(super) settings: String,
    pub(super) allowance: SandboxLimits,
    pub(super) trace: Trace,
}

impl RegistryState {
    /// The loaded release of a build.
    pub(super) fn loaded(&self, name: &str, digest: &str) -> Option<LoadedRelease> {
        let same = |it: &&LoadedRelease| it.record.name == name && it.record.digest == digest;
        self.loaded.iter().find(same).cloned()
    }

    /// Adds a release in place of an earlier one with its number. Beyond [`LOADED`] releases, the oldest without holders are
    /// forgotten.
    pub(super) fn add(&mut self, release: LoadedRelease) {
        let number = release.record.number;
        self.loaded.retain(|it| it.record.number != number);
        self.loaded.push(release);
        let mut over = self.loaded.len().saturating_sub(LOADED);
        self.loaded.retain(|it| {
            let goes = over > 0 && it.trace.holders() == 0;
            over -= usize::from(goes);
            !goes
        });
    }

    /// Adds an activation to the history.
    pub(super) fn note(&mut self, release: &Release, by: ChangedBy, rollback: bool) -> Activation {
        let about = release.about();
        let activation = Activation {
            at: clock::unix_ms(),
            by: by.who,
            reason: by.reason,
            release: about.number,
            name: about.name.clone(),
            digest: about.digest.clone(),
            rollback,
        };
        self.persisted.history.activate(activation.clone());
        activation
    }
}

impl Activation {
    /// Logs the activation.
    pub(super) fn log(&self) {
        tracing::info!(
            name = self.name,
            release = self.release,
            digest = self.digest,
            by = self.by,
            reason = self.reason,
            "policy active"
        );
    }
}

/// A change of the registry's state. Dropping it before `commit` restores the state.
pub(super) struct StateChange<'a> {
    state: MutexGuard<'a, RegistryState>,
    /// The state before the change. None once it is committed.
    before: Option<(ReleaseHistory, Vec<LoadedRelease>)>,
}

impl<'a> StateChange<'a> {
    /// Begins a change.
    pub(super) fn on(state: MutexGuard<'a, RegistryState>) -> Self {
        let before = Some((state.persisted.history.clone(), state.loaded.clone()));
        Self { state, before }
    }

    /// Writes the change to the disk.
    ///
    /// # Errors
    /// The change cannot be written. Dropping it restores the state.
    pub(super) fn commit(&mut self) -> Result<(), RegistryError> {
        self.state
            .persisted
            .save()
            .map_err(RegistryError::Unsaved)?;
        self.before = None;
        Ok(())
    }
}

impl Drop for StateChange<'_> {
    fn drop(&mut self) {
        if let Some((history, loaded)) = self.before.take() {
            self.state.persisted.history = history;
            self.state.loaded = loaded;
        }
    }
}

impl Deref for StateChange<'_> {
    type Target = RegistryState;

    fn deref(&self) -> &RegistryState {
        &self.state
    }
}

impl DerefMut for StateChange<'_> {
    fn deref_mut(&mut self) -> &mut RegistryState {
        &mut self.state
    }
}
