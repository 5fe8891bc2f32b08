//! Loads a build: checks its trust, compiles it, reads its manifest, settles its settings and runs the conformance set.

mod trust; // pins and signatures

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime::component::Component;

use super::find::{FoundBuild, store};
use super::folder::Sidecar;
use super::history::ReleaseRecord;
use super::persisted::{self, PersistedState};
use super::{LoadedRelease, RegistryError, RegistryState};
use crate::compile::Compiler;
use crate::config::PolicyConfig;
use crate::engine::Engine;
use crate::release::{About, LoadError, OnFault, Release, ReleaseOptions};
use crate::sandbox::SandboxLimits;
use crate::trust::Trust;
use crate::{conformance, settings};
use airlock_base::clock;
use airlock_base::file;
use airlock_metrics::Metrics;
use airlock_types::wit::Description;

/// The parts of a registry that loading needs.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) config: &'a PolicyConfig,
    pub(super) engine: &'a Engine,
    pub(super) compiler: &'a Compiler,
    pub(super) trust: &'a Trust,
    pub(super) metrics: &'a Metrics,
    pub(super) fault_notify: &'a Arc<Notify>,
}

/// The limit of the conformance set.
const TRIAL: Duration = Duration::from_secs(60);

/// The most bytes of a manifest.
const DESCRIPTION: usize = 64 << 10;

/// A build that is trusted, compiled and tried out, but not in the registry yet.
pub(super) struct PreparedBuild {
    found: FoundBuild,
    component: Component,
    allowance: SandboxLimits,
    on_fault: OnFault,
    signed_by: Option<String>,
    description: Option<Description>,
    settings: String,
    /// The build's release, if that is still in memory with the same options.
    same: Option<Release>,
}

/// The settings and limits that a build was tried out with.
#[derive(Clone, Debug, PartialEq)]
struct TrialTerms {
    settings: String,
    allowance: SandboxLimits,
}

/// A build that is trusted and compiled.
struct CompiledBuild {
    found: FoundBuild,
    component: Component,
    allowance: SandboxLimits,
    on_fault: OnFault,
    beside: Sidecar,
    signed_by: Option<String>,
}

impl Loader<'_> {
    /// Checks, compiles and tries out a build, which may take long. `before`: its loaded release, which was tried out.
    /// `code`: its compiled code, if at hand. `lenient`: if it refuses its new settings, it keeps the former ones.
    pub(super) async fn ready(
        &self,
        found: FoundBuild,
        before: Option<LoadedRelease>,
        code: Option<Component>,
        lenient: bool,
    ) -> Result<PreparedBuild, LoadError> {
        let compiled = self.compiled(found, code).await?;
        let (description, terms, same) = match before {
            Some(before) => {
                let terms = self.retried(&compiled, &before, lenient).await?;
                let same = before.trace.find().filter(|release| {
                    release.settings() == terms.settings
                        && *release.allowance() == terms.allowance
                        && release.on_fault() == compiled.on_fault
                });
                (before.description, terms, same)
            }
            None => {
                let tried = timeout(TRIAL, self.tried(&compiled)).await;
                let tried = tried.unwrap_or_else(|_| Err(takes_too_long(&compiled)));
                let (description, settings) = tried?;
                let terms = TrialTerms {
                    settings,
                    allowance: compiled.allowance,
                };
                (description, terms, None)
            }
        };
        Ok(PreparedBuild {
            found: compiled.found,
            component: compiled.component,
            allowance: terms.allowance,
            on_fault: compiled.on_fault,
            signed_by: compiled.signed_by,
            description,
            settings: terms.settings,
            same,
        })
    }

    /// The terms of a build that was tried out before. If they have changed since, it is tried out with the new ones.
    /// `lenient`: as for `ready`. Terms that it fails with are meant for the release that a rollback leaves.
    async fn retried(
        &self,
        compiled: &CompiledBuild,
        before: &LoadedRelease,
        lenient: bool,
    ) -> Result<TrialTerms, LoadError> {
        let as_before = || TrialTerms {
            settings: before.settings.clone(),
            allowance: before.allowance,
        };
        let fresh = async {
            let settings = compiled.settled(self.config, before.description.as_ref())?;
            let terms = TrialTerms {
                settings,
                allowance: compiled.allowance,
            };
            if terms != as_before() {
                let trial = self.make(compiled, terms.settings.clone(), 0)?;
                let passed = timeout(TRIAL, passes(&trial)).await;
                passed.unwrap_or_else(|_| Err(takes_too_long(compiled)))?;
            }
            Ok(terms)
        };
        match fresh.await {
            Err(_) if lenient => Ok(as_before()),
            fresh => fresh,
        }
    }

    async fn compiled(
        &self,
        found: FoundBuild,
        code: Option<Component>,
    ) -> Result<CompiledBuild, LoadError> {
        let name = || found.name.clone();
        let refused = |detail: String| LoadError::Refused {
            name: name(),
            detail,
        };
        let beside = self.beside(&found).map_err(refused)?;
        let signed_by = self.trusted(&found, &beside).map_err(refused)?;
        let common = SandboxLimits::of(&self.config.sandbox);
        let allowance = beside.allowance(common).map_err(refused)?;
        let component = match code {
            Some(code) => Ok(code),
            None => self.compiler.compiled(&found.bytes, &found.digest).await,
        };
        let component = component.map_err(|error| LoadError::Invalid {
            name: name(),
            detail: error.to_string(),
        })?;
        Ok(CompiledBuild {
            found,
            component,
            allowance,
            on_fault: beside.on_fault,
            beside,
            signed_by,
        })
    }

    /// Reads the manifest of a build, and runs the conformance set with its settings.
    async fn tried(
        &self,
        compiled: &CompiledBuild,
    ) -> Result<(Option<Description>, String), LoadError> {
        let undescribed = self.make(compiled, String::from("{}"), 0)?;
        let description = described(&undescribed).await?;
        let settings = compiled.settled(self.config, description.as_ref())?;
        let trial = self.make(compiled, settings.clone(), 0)?;
        passes(&trial).await?;
        Ok((description, settings))
    }

    /// Makes a release of a build, and adds it to the state. A build keeps its number. The state is not saved yet.
    ///
    /// # Errors
    /// The build was forgotten meanwhile, or its component cannot be stored.
    pub(super) fn adopt(
        &self,
        state: &mut RegistryState,
        ready: PreparedBuild,
    ) -> Result<Release, RegistryError> {
        let found = &ready.found;
        let known = state.loaded(&found.name, &found.digest);
        let known = known.filter(|known| state.persisted.history.has_release(known.record.number));
        if let Some(same) = ready.same.filter(|_| known.is_some()) {
            return Ok(same);
        }
        if known.is_none() && found.bytes.is_empty() {
            // The state forgot the release meanwhile, and its component was not read.
            let name = found.name.clone();
            return Err(LoadError::Busy { name }.into());
        }
        if known.is_none() {
            let stored = self.keep(&state.persisted, found);
            stored.map_err(RegistryError::Unsaved)?;
        }
        let compiled = CompiledBuild {
            component: ready.component,
            allowance: ready.allowance,
            on_fault: ready.on_fault,
            beside: Sidecar::default(),
            signed_by: ready.signed_by,
            found: ready.found,
        };
        let is_new = known.is_none();
        let record = match known {
            Some(known) => known.record,
            None => self.record(state, &compiled, ready.description.as_ref())?,
        };
        let release = self.make(&compiled, ready.settings, record.number)?;
        let meter = release.meter();
        meter.identify(&record.name, &record.version, &record.digest);
        if is_new {
            tracing::info!(
                name = record.name,
                release = record.number,
                digest = record.digest,
                world = record.world,
                "policy loaded"
            );
        }
        state.add(LoadedRelease {
            record,
            description: ready.description,
            settings: release.settings().to_owned(),
            allowance: *release.allowance(),
            trace: release.trace(),
        });
        Ok(release)
    }

    /// Adds the record of a build that this process has not loaded before.
    fn record(
        &self,
        state: &mut RegistryState,
        compiled: &CompiledBuild,
        description: Option<&Description>,
    ) -> Result<ReleaseRecord, LoadError> {
        let found = &compiled.found;
        let unnumbered = self.make(compiled, String::new(), 0)?;
        Ok(state.persisted.history.record(ReleaseRecord {
            number: 0,
            name: found.name.clone(),
            digest: found.digest.clone(),
            version: description.map_or_else(String::new, |it| it.version.clone()),
            world: unnumbered.world_version().to_owned(),
            size: found.bytes.len() as u64,
            signed_by: compiled.signed_by.clone(),
            loaded_at: clock::unix_ms(),
        }))
    }

    /// Makes a release. `number`: 0 for one that is only tried out, whose metrics are not exported.
    fn make(
        &self,
        ready: &CompiledBuild,
        settings: String,
        number: u64,
    ) -> Result<Release, LoadError> {
        let about = About {
            name: ready.found.name.clone(),
            digest: ready.found.digest.clone(),
            number,
        };
        let terms = ReleaseOptions {
            allowance: ready.allowance,
            on_fault: ready.on_fault,
            settings,
            wasi: self.config.wasi,
            fault_notify: self.fault_notify.clone(),
            meter: match number {
                0 => Arc::default(),
                number => self.metrics.release(number),
            },
        };
        Release::new(self.engine, &ready.component, about, terms)
    }

    /// Stores the component for a rollback, and removes components of forgotten releases.
    fn keep(&self, persisted: &PersistedState, found: &FoundBuild) -> io::Result<()> {
        let folder = store(self.config);
        if !found.embedded {
            let path = folder.join(format!("{}.wasm", found.digest));
            if let Some(signature) = &found.signature {
                let beside = folder.join(format!("{}.wasm.minisig", found.digest));
                written(&beside, signature.as_bytes())?;
            }
            if !fs::read(&path).is_ok_and(|stored| stored == found.bytes) {
                written(&path, &found.bytes)?;
            }
        }
        // Without the lock, another gateway may remember them.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|_| persisted.is_ours()) {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.split('.').next());
            let is_old = |digest: &str| {
                digest.len() == found.digest.len()
                    && digest != found.digest
                    && !persisted.history.has_digest(digest)
            };
            if digest.is_some_and(is_old)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "an unused component cannot be removed");
            }
        }
        Ok(())
    }
}

impl CompiledBuild {
    /// The settings that its requests will carry.
    fn settled(
        &self,
        config: &PolicyConfig,
        description: Option<&Description>,
    ) -> Result<String, LoadError> {
        let own = self.beside.settings();
        let settled =
            own.and_then(|own| settings::settle(description, &config.common_settings(), &own));
        settled.map_err(|detail| LoadError::Settings {
            name: self.found.name.clone(),
            detail,
        })
    }
}

/// Replaces a file atomically. The error names it.
fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    file::replace(path, bytes, file::PRIVATE).map_err(|cause| persisted::named(path, &cause))
}

/// Checks that a build accepts its settings and passes the conformance set.
async fn passes(trial: &Release) -> Result<(), LoadError> {
    trial.accepts().await?;
    conformance::check(trial).await
}

fn takes_too_long(compiled: &CompiledBuild) -> LoadError {
    LoadError::Failed {
        name: compiled.found.name.clone(),
        detail: "trying it out takes too long".to_owned(),
    }
}

async fn described(release: &Release) -> Result<Option<Description>, LoadError> {
    let name = || release.about().name.clone();
    let described = release
        .describe()
        .await
        .map_err(|fault| match fault.kind() {
            Some(_) => LoadError::Failed {
                name: name(),
                detail: fault.to_string(),
            },
            None => LoadError::Busy { name: name() },
        })?;
    // It is kept in memory.
    if format!("{described:?}").len() > DESCRIPTION {
        return Err(LoadError::Failed {
            name: name(),
            detail: format!("its manifest has more than {DESCRIPTION} bytes"),
        });
    }
    Ok(described)
}
