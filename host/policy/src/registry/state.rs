//! The registry's state: what survives a restart, and the releases that this process has loaded.

use std::ops::{Deref, DerefMut};

use tokio::sync::MutexGuard;

use super::persisted::{Activation, PersistedState, Record, StateFile};
use super::{By, RegistryError};
use crate::release::{Release, Trace};
use crate::sandbox::Allowance;
use airlock_base::clock;
use airlock_types::wit::Description;

/// Locked while a change is made.
pub(super) struct RegistryState {
    pub(super) persisted: PersistedState,
    pub(super) loaded: Vec<Loaded>,
}

/// A release of this process.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) record: Record,
    pub(super) description: Option<Description>,
    /// The settings and the limits that it was tried with.
    pub(super) settings: String,
    pub(super) allowance: Allowance,
    pub(super) trace: Trace,
}

impl RegistryState {
    /// What this process knows of a build, if it has loaded it.
    pub(super) fn loaded(&self, name: &str, digest: &str) -> Option<Loaded> {
        let same = |it: &&Loaded| it.record.name == name && it.record.digest == digest;
        self.loaded.iter().find(same).cloned()
    }

    /// Notes an activation.
    pub(super) fn note(&mut self, release: &Release, by: By, rollback: bool) -> Activation {
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
        self.persisted.activated(activation.clone());
        activation
    }
}

impl Activation {
    /// Writes it to the log.
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

/// A change of the registry's state that has not been written to the disk. Dropped before `commit`, it leaves everything as it was.
pub(super) struct Pending<'a> {
    state: MutexGuard<'a, RegistryState>,
    /// None once it is committed.
    before: Option<(StateFile, Vec<Loaded>)>,
}

impl<'a> Pending<'a> {
    /// Begins a change.
    pub(super) fn on(state: MutexGuard<'a, RegistryState>) -> Self {
        let before = Some((state.persisted.file.clone(), state.loaded.clone()));
        Self { state, before }
    }

    /// Writes the change to the disk.
    ///
    /// # Errors
    /// It cannot be written. Then nothing has changed.
    pub(super) fn commit(&mut self) -> Result<(), RegistryError> {
        self.state
            .persisted
            .save()
            .map_err(RegistryError::Unsaved)?;
        self.before = None;
        Ok(())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some((file, loaded)) = self.before.take() {
            self.state.persisted.file = file;
            self.state.loaded = loaded;
        }
    }
}

impl Deref for Pending<'_> {
    type Target = RegistryState;

    fn deref(&self) -> &RegistryState {
        &self.state
    }
}

impl DerefMut for Pending<'_> {
    fn deref_mut(&mut self) -> &mut RegistryState {
        &mut self.state
    }
}
