//! The history of releases that survives a restart: which there were, and who made which of them active when.

use serde::{Deserialize, Serialize};

/// The most activations that are remembered.
const ACTIVATIONS: usize = 100;

/// The most releases that are remembered, besides those that activations name and the last one.
const RELEASES: usize = 100;

/// Releases, activations and failures. The content of `policies.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ReleaseHistory {
    /// By number, ascending.
    pub(super) releases: Vec<ReleaseRecord>,
    /// The oldest first.
    #[serde(rename = "history")]
    pub(super) activations: Vec<Activation>,
    /// Numbers of releases that were rolled back because they failed, and that nobody has activated since.
    #[serde(default)]
    pub(super) failed: Vec<u64>,
}

/// A build that was loaded successfully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// From 1.
    pub number: u64,
    /// The policy's name.
    pub name: String,
    /// SHA-256 of the component, in 64 hexadecimal digits.
    pub digest: String,
    /// The version that the policy's manifest states. Empty if it states none.
    pub version: String,
    /// The version of the world that the policy implements: `0.3.0-draft`.
    pub world: String,
    /// The component's size in bytes.
    pub size: u64,
    /// The key that the component is signed with. None if signatures were not checked.
    pub signed_by: Option<String>,
    /// When it was loaded, in milliseconds since 1970.
    pub loaded_at: u64,
}

/// A release that was made the active one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who: an operator's name, `configuration`, `start`, `watch` or `airlock`.
    pub by: String,
    /// Why. None if a person requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The release's number.
    pub release: u64,
    /// The policy's name.
    pub name: String,
    /// SHA-256 of the component, in 64 hexadecimal digits.
    pub digest: String,
    /// Whether it is a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

impl ReleaseHistory {
    /// Returns the record of a build, and adds one if there is none. A build keeps its number as long as it is remembered.
    pub(super) fn record(&mut self, found: ReleaseRecord) -> ReleaseRecord {
        let same = |record: &&mut ReleaseRecord| {
            record.name == found.name && record.digest == found.digest
        };
        if let Some(record) = self.releases.iter_mut().find(same) {
            *record = ReleaseRecord {
                number: record.number,
                ..found
            };
            return record.clone();
        }
        let number = self.releases.last().map_or(1, |last| last.number + 1);
        let record = ReleaseRecord { number, ..found };
        self.releases.push(record.clone());
        // Canaries, shadows and files in the folder add releases without an activation.
        self.prune();
        record
    }

    /// Adds an activation.
    pub(super) fn activate(&mut self, activation: Activation) {
        self.activations.push(activation);
        let over = self.activations.len().saturating_sub(ACTIVATIONS);
        self.activations.drain(..over);
        self.prune();
    }

    /// Removes the oldest releases beyond [`RELEASES`] that no activation names. The last one stays, because the next number
    /// follows from it.
    fn prune(&mut self) {
        let Self {
            releases,
            activations,
            ..
        } = self;
        let mut over = releases.len().saturating_sub(RELEASES);
        let last = releases.last().map(|record| record.number);
        releases.retain(|record| {
            let needed = Some(record.number) == last
                || activations.iter().any(|it| it.release == record.number);
            let removed = over > 0 && !needed;
            over -= usize::from(removed);
            !removed
        });
    }

    /// The activations that a rollback from release `active` may return to, the best first: those before it, without
    /// releases that a rollback has left or that have failed.
    pub(super) fn rollback_targets(&self, active: u64) -> Vec<Activation> {
        let mut stack: Vec<&Activation> = Vec::new();
        for it in &self.activations {
            if it.rollback {
                while stack.last().is_some_and(|top| top.release != it.release) {
                    stack.pop();
                }
            }
            // A release that was activated again counts at its latest activation.
            stack.retain(|earlier| earlier.release != it.release);
            stack.push(it);
        }
        let allowed =
            |it: &&&Activation| it.release != active && !self.failed.contains(&it.release);
        stack
            .iter()
            .rev()
            .filter(allowed)
            .map(|it| (*it).clone())
            .collect()
    }

    /// Records whether a release has failed. At most [`ACTIVATIONS`] failures are remembered.
    pub(super) fn set_failed(&mut self, number: u64, failed: bool) {
        self.failed.retain(|it| *it != number);
        if failed {
            self.failed.push(number);
        }
        let over = self.failed.len().saturating_sub(ACTIVATIONS);
        self.failed.drain(..over);
    }

    /// Whether the release of this number is remembered.
    pub(super) fn has_release(&self, number: u64) -> bool {
        self.releases.iter().any(|record| record.number == number)
    }

    /// Whether a remembered release has this digest.
    pub(super) fn has_digest(&self, digest: &str) -> bool {
        self.releases.iter().any(|record| record.digest == digest)
    }
}

#[cfg(test)]
pub(super) mod tests;
