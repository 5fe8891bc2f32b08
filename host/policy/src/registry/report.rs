//! The state of the registry for operators, as `GET /admin/policies` answers it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::folder;
use super::history::{Activation, ReleaseRecord};
use super::{FOLDER, RegistryInner, RegistryState};
use crate::release::Release;
use crate::settings::must_be;
use crate::shadow::ShadowTally;
use airlock_types::wit::{Description, Setting};

/// The state of the registry.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryReport {
    /// The number of the active release.
    pub active: u64,
    pub canary: Option<CanaryReport>,
    pub shadow: Option<ShadowReport>,
    /// By number.
    pub releases: Vec<ReleaseReport>,
    /// The component files of the folder.
    pub files: Vec<ComponentFile>,
    /// The oldest first.
    pub history: Vec<Activation>,
}

#[derive(Clone, Debug, Serialize)]
pub struct CanaryReport {
    pub release: u64,
    pub percent: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShadowReport {
    pub release: u64,
    #[serde(flatten)]
    pub tally: ShadowTally,
}

/// A release, with its use and health in this process.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseReport {
    #[serde(flatten)]
    pub record: ReleaseRecord,
    /// The release's manifest, if this process has loaded it.
    pub about: Option<AboutReport>,
    /// Whether it is in memory.
    pub resident: bool,
    /// The number of its roles and running requests.
    pub holders: usize,
    /// Requests since it was last loaded. None if it is not in memory.
    pub requests: Option<u64>,
    pub faults: BTreeMap<&'static str, u64>,
    /// The settings that its requests carry.
    pub settings: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AboutReport {
    pub name: String,
    pub summary: String,
    pub dialects: Vec<String>,
    pub strategies: Vec<String>,
    pub takes: Vec<TakesReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TakesReport {
    pub name: String,
    pub summary: String,
    /// What values it takes, as text.
    pub takes: String,
    /// The default, as JSON.
    pub default: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ComponentFile {
    pub name: String,
    pub file: String,
}

pub(super) fn make(shared: &RegistryInner, state: &RegistryState) -> RegistryReport {
    let roles = shared.rollout.roles();
    let folder = shared.config.data_dir.join(FOLDER);
    // Loading a policy from a folder that cannot be read reports the error.
    let builds = folder::builds(&folder).unwrap_or_default();
    let history = &state.persisted.history;
    RegistryReport {
        active: roles.active.about().number,
        canary: roles.canary.as_ref().map(|canary| CanaryReport {
            release: canary.release.about().number,
            percent: canary.percent,
        }),
        shadow: roles.shadow.as_ref().map(|shadow| ShadowReport {
            release: shadow.release.about().number,
            tally: shadow.tally(),
        }),
        releases: history
            .releases
            .iter()
            .map(|record| release(state, record))
            .collect(),
        files: builds
            .into_iter()
            .map(|build| ComponentFile {
                file: build
                    .path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                name: build.name,
            })
            .collect(),
        history: history.activations.clone(),
    }
}

fn release(state: &RegistryState, record: &ReleaseRecord) -> ReleaseReport {
    let loaded = state
        .loaded
        .iter()
        .find(|it| it.record.number == record.number);
    // Counted before `find`, which holds the release.
    let holders = loaded.map_or(0, |loaded| loaded.trace.holders());
    let live: Option<Release> = loaded.and_then(|loaded| loaded.trace.find());
    let counts = live
        .as_ref()
        .map(|live| live.health().counts())
        .unwrap_or_default();
    ReleaseReport {
        record: record.clone(),
        about: loaded.and_then(|loaded| loaded.description.as_ref().map(about)),
        resident: live.is_some(),
        holders,
        requests: live.as_ref().map(|_| counts.requests),
        faults: counts.faults,
        settings: live.and_then(|live| serde_json::from_str(live.settings()).ok()),
    }
}

fn about(description: &Description) -> AboutReport {
    let takes = |setting: &Setting| TakesReport {
        name: setting.name.clone(),
        summary: setting.summary.clone(),
        takes: must_be(&setting.takes),
        default: setting.default.clone(),
    };
    AboutReport {
        name: description.name.clone(),
        summary: description.summary.clone(),
        dialects: description.dialects.clone(),
        strategies: description.strategies.clone(),
        takes: description.settings.iter().map(takes).collect(),
    }
}
