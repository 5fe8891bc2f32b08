//! What changes are made with: what is remembered, and what this process has loaded.

use super::By;
use super::state::{Activation, Record, State};
use crate::clock;
use crate::policy::release::{Release, Trace};
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
    /// The settings that it has accepted.
    pub(super) settings: String,
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
        tracing::info!(
            name = about.name,
            release = about.number,
            digest = about.digest,
            by = activation.by,
            reason = activation.reason,
            "policy active"
        );
        self.state.activated(activation.clone());
        activation
    }
}
