//! What changes are made with: what is remembered, and what this process has loaded.

use std::ops::{Deref, DerefMut};

use tokio::sync::MutexGuard;

use super::state::{Activation, Kept, Record, State};
use super::{By, RegistryError};
use crate::clock;
use crate::policy::release::{Release, Trace};
use crate::policy::sandbox::Allowance;
use crate::wit::Description;

/// What changes are made with.
pub(super) struct Desk {
    pub(super) state: State,
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

impl Desk {
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
        self.state.activated(activation.clone());
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

/// A change of the desk that has not been written to the disk. Dropped before `commit`, it leaves everything as it was.
pub(super) struct Pending<'a> {
    desk: MutexGuard<'a, Desk>,
    /// None once it is committed.
    before: Option<(Kept, Vec<Loaded>)>,
}

impl<'a> Pending<'a> {
    /// Begins a change.
    pub(super) fn on(desk: MutexGuard<'a, Desk>) -> Self {
        let before = Some((desk.state.kept.clone(), desk.loaded.clone()));
        Self { desk, before }
    }

    /// Writes the change to the disk.
    ///
    /// # Errors
    /// It cannot be written. Then nothing has changed.
    pub(super) fn commit(&mut self) -> Result<(), RegistryError> {
        self.desk.state.save().map_err(RegistryError::Unsaved)?;
        self.before = None;
        Ok(())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some((kept, loaded)) = self.before.take() {
            self.desk.state.kept = kept;
            self.desk.loaded = loaded;
        }
    }
}

impl Deref for Pending<'_> {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl DerefMut for Pending<'_> {
    fn deref_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}
