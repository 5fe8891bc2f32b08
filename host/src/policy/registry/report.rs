//! What operators see of the policies: the answer of `GET /admin/policies`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::folder;
use super::persisted::{Activation, Record};
use super::{FOLDER, RegistryState, Shared};
use crate::policy::release::Release;
use crate::policy::settings::must_be;
use crate::policy::shadow::Tally;
use crate::wit::{Description, Setting};

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The number of the release that serves.
    pub(crate) active: u64,
    pub(crate) canary: Option<CanaryReport>,
    pub(crate) shadow: Option<ShadowReport>,
    /// By number.
    pub(crate) releases: Vec<ReleaseReport>,
    /// The component files of the folder.
    pub(crate) files: Vec<File>,
    /// The oldest first.
    pub(crate) history: Vec<Activation>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct CanaryReport {
    pub(crate) release: u64,
    pub(crate) percent: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShadowReport {
    pub(crate) release: u64,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// A release, and how it fares in this process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReleaseReport {
    #[serde(flatten)]
    pub(crate) record: Record,
    /// What it says of itself, where this process has loaded it.
    pub(crate) about: Option<AboutReport>,
    /// Whether it is in memory.
    pub(crate) resident: bool,
    /// Roles that it has and requests that run on it.
    pub(crate) holders: usize,
    /// Since it was last loaded. None where it is not in memory.
    pub(crate) requests: Option<u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// What its requests carry.
    pub(crate) settings: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct AboutReport {
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) dialects: Vec<String>,
    pub(crate) strategies: Vec<String>,
    pub(crate) takes: Vec<TakesReport>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct TakesReport {
    pub(crate) name: String,
    pub(crate) summary: String,
    /// What it must be, in words.
    pub(crate) takes: String,
    /// JSON.
    pub(crate) default: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) file: String,
}

pub(super) fn make(shared: &Shared, state: &RegistryState) -> Report {
    let roles = shared.rollout.roles();
    let folder = shared.config.data_dir.join(FOLDER);
    // A folder that cannot be read is told of where it matters: when a policy of it is to be loaded.
    let builds = folder::builds(&folder).unwrap_or_default();
    let file = &state.persisted.file;
    Report {
        active: roles.active.about().number,
        canary: roles.canary.as_ref().map(|canary| CanaryReport {
            release: canary.release.about().number,
            percent: canary.percent,
        }),
        shadow: roles.shadow.as_ref().map(|shadow| ShadowReport {
            release: shadow.release.about().number,
            tally: shadow.tally(),
        }),
        releases: file
            .releases
            .iter()
            .map(|record| release(state, record))
            .collect(),
        files: builds
            .into_iter()
            .map(|build| File {
                file: build
                    .path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                name: build.name,
            })
            .collect(),
        history: file.history.clone(),
    }
}

fn release(state: &RegistryState, record: &Record) -> ReleaseReport {
    let loaded = state
        .loaded
        .iter()
        .find(|it| it.record.number == record.number);
    // Before it is looked at, which holds it.
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
