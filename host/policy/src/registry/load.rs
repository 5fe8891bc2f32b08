//! From a file to a release: trusted, compiled, asked what it is, given its settings, tried out.

mod trust; // who vouches for it, and on what terms

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime::component::Component;

use super::find::{Found, store};
use super::folder::Beside;
use super::persisted::{self, PersistedState, Record};
use super::{Loaded, RegistryError, RegistryState};
use crate::compile::Compiler;
use crate::config::PolicyConfig;
use crate::engine::Engine;
use crate::release::{About, LoadError, OnFault, Release, Terms};
use crate::sandbox::Allowance;
use crate::trust::Trust;
use crate::{conformance, settings};
use airlock_base::clock;
use airlock_metrics::Metrics;
use airlock_types::wit::Description;

/// Releases whose description is remembered.
const LOADED: usize = 100;

/// What loading needs.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) config: &'a PolicyConfig,
    pub(super) engine: &'a Engine,
    pub(super) compiler: &'a Compiler,
    pub(super) trust: &'a Trust,
    pub(super) metrics: &'a Metrics,
    pub(super) fault_notify: &'a Arc<Notify>,
}

/// How long trying out a build may take.
const TRIAL: Duration = Duration::from_secs(60);

/// Characters of what a policy says of itself.
const DESCRIPTION: usize = 64 << 10;

/// A build that is trusted, compiled and tried out. Nobody knows of it yet.
pub(super) struct Ready {
    found: Found,
    component: Component,
    allowance: Allowance,
    on_fault: OnFault,
    signed_by: Option<String>,
    description: Option<Description>,
    settings: String,
    /// The release that it still is, with the same terms.
    same: Option<Release>,
}

/// What a build was tried out with.
#[derive(Clone, Debug, PartialEq)]
struct Tried {
    settings: String,
    allowance: Allowance,
}

/// A build that is trusted and compiled.
struct Compiled {
    found: Found,
    component: Component,
    allowance: Allowance,
    on_fault: OnFault,
    beside: Beside,
    signed_by: Option<String>,
}

impl Loader<'_> {
    /// Looks whether a build may be loaded, compiles it and tries it out. All that takes long happens here. `before`: what
    /// this process knows of it; then it has been tried out. `code`: it, where that is at hand. `lenient`: settings that
    /// it does not take any more are those that it had.
    pub(super) async fn ready(
        &self,
        found: Found,
        before: Option<Loaded>,
        code: Option<Component>,
        lenient: bool,
    ) -> Result<Ready, LoadError> {
        let compiled = self.compiled(found, code).await?;
        let (description, terms, same) = match before {
            Some(before) => {
                let terms = self.retried(&compiled, &before, lenient).await?;
                // It may still serve.
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
                let terms = Tried {
                    settings,
                    allowance: compiled.allowance,
                };
                (description, terms, None)
            }
        };
        Ok(Ready {
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

    /// The terms of a build that was tried out before. Where they have changed since, it is tried out on the new ones.
    /// `lenient`: as for `ready`; those that it fails on are meant for the build that is left.
    async fn retried(
        &self,
        compiled: &Compiled,
        before: &Loaded,
        lenient: bool,
    ) -> Result<Tried, LoadError> {
        let as_before = || Tried {
            settings: before.settings.clone(),
            allowance: before.allowance,
        };
        let fresh = async {
            let settings = compiled.settled(self.config, before.description.as_ref())?;
            let terms = Tried {
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

    async fn compiled(&self, found: Found, code: Option<Component>) -> Result<Compiled, LoadError> {
        let name = || found.name.clone();
        let refused = |detail: String| LoadError::Refused {
            name: name(),
            detail,
        };
        let beside = self.beside(&found).map_err(refused)?;
        let signed_by = self.trusted(&found, &beside).map_err(refused)?;
        let common = Allowance::of(&self.config.sandbox);
        let allowance = beside.allowance(common).map_err(refused)?;
        let component = match code {
            Some(code) => Ok(code),
            None => self.compiler.compiled(&found.bytes, &found.digest).await,
        };
        let component = component.map_err(|error| LoadError::Invalid {
            name: name(),
            detail: error.to_string(),
        })?;
        Ok(Compiled {
            found,
            component,
            allowance,
            on_fault: beside.on_fault,
            beside,
            signed_by,
        })
    }

    /// Asks a build what it is, and takes it through the set of requests that every policy must pass.
    async fn tried(&self, compiled: &Compiled) -> Result<(Option<Description>, String), LoadError> {
        let untold = self.make(compiled, String::from("{}"), 0)?;
        let description = described(&untold).await?;
        let settings = compiled.settled(self.config, description.as_ref())?;
        let trial = self.make(compiled, settings.clone(), 0)?;
        passes(&trial).await?;
        Ok((description, settings))
    }

    /// Makes it a release. One that was a release before is one again with the same number.
    ///
    /// # Errors
    /// It was forgotten meanwhile, or cannot be kept. What the state has is changed, and not yet saved.
    pub(super) fn adopt(
        &self,
        state: &mut RegistryState,
        ready: Ready,
    ) -> Result<Release, RegistryError> {
        let found = &ready.found;
        let known = state.loaded(&found.name, &found.digest);
        let known = known.filter(|known| state.persisted.remembers(known.record.number));
        if let Some(same) = ready.same.filter(|_| known.is_some()) {
            return Ok(same);
        }
        if known.is_none() && found.bytes.is_empty() {
            // Forgotten meanwhile.
            let name = found.name.clone();
            return Err(LoadError::Busy { name }.into());
        }
        if known.is_none() {
            let stored = self.keep(&state.persisted, found);
            stored.map_err(RegistryError::Unsaved)?;
        }
        let compiled = Compiled {
            component: ready.component,
            allowance: ready.allowance,
            on_fault: ready.on_fault,
            beside: Beside::default(),
            signed_by: ready.signed_by,
            found: ready.found,
        };
        let found = &compiled.found;
        let version = ready.description.as_ref().map(|it| it.version.clone());
        let record = match &known {
            Some(known) => known.record.clone(),
            None => state.persisted.record(Record {
                number: 0,
                name: found.name.clone(),
                digest: found.digest.clone(),
                version: version.unwrap_or_default(),
                world: self
                    .make(&compiled, String::new(), 0)?
                    .world_version()
                    .to_owned(),
                size: found.bytes.len() as u64,
                signed_by: compiled.signed_by.clone(),
                loaded_at: clock::unix_ms(),
            }),
        };
        let release = self.make(&compiled, ready.settings, record.number)?;
        let meter = release.meter();
        meter.identify(&record.name, &record.version, &record.digest);
        if known.is_none() {
            tracing::info!(
                name = found.name,
                release = record.number,
                digest = record.digest,
                world = record.world,
                "policy loaded"
            );
        }
        let number = record.number;
        state.loaded.retain(|it| it.record.number != number);
        state.loaded.push(Loaded {
            record,
            description: ready.description,
            settings: release.settings().to_owned(),
            allowance: *release.allowance(),
            trace: release.trace(),
        });
        // Of those that serve nobody any more the oldest are forgotten.
        let mut over = state.loaded.len().saturating_sub(LOADED);
        state.loaded.retain(|it| {
            let goes = over > 0 && it.trace.holders() == 0;
            over -= usize::from(goes);
            !goes
        });
        Ok(release)
    }

    /// `number`: 0 for a release that is only tried out, and counted nowhere.
    fn make(&self, ready: &Compiled, settings: String, number: u64) -> Result<Release, LoadError> {
        let about = About {
            name: ready.found.name.clone(),
            digest: ready.found.digest.clone(),
            number,
        };
        let terms = Terms {
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

    /// Keeps the component for a rollback, and forgets those that nobody remembers.
    fn keep(&self, persisted: &PersistedState, found: &Found) -> io::Result<()> {
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
        // What another gateway remembers is not ours to remove.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|_| persisted.is_ours()) {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.split('.').next());
            let is_old = |digest: &str| {
                digest.len() == found.digest.len()
                    && digest != found.digest
                    && !persisted.needs(digest)
            };
            if digest.is_some_and(is_old)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "a component that nobody needs cannot be removed");
            }
        }
        Ok(())
    }
}

impl Compiled {
    /// What its requests will carry as settings.
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

/// Writes a file, and names it in the error.
fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    persisted::write(path, bytes).map_err(|cause| persisted::named(path, &cause))
}

/// Whether a build accepts its settings, and passes the set of requests that every policy must pass.
async fn passes(trial: &Release) -> Result<(), LoadError> {
    trial.accepts().await?;
    conformance::check(trial).await
}

fn takes_too_long(compiled: &Compiled) -> LoadError {
    LoadError::Failed {
        name: compiled.found.name.clone(),
        detail: "trying it out takes too long".to_owned(),
    }
}

async fn described(release: &Release) -> Result<Option<Description>, LoadError> {
    let described = match release.session().await {
        Ok(mut session) => session.describe().await,
        Err(fault) => Err(fault),
    };
    let name = || release.about().name.clone();
    let described = described.map_err(|fault| match fault.kind() {
        Some(_) => LoadError::Failed {
            name: name(),
            detail: fault.to_string(),
        },
        None => LoadError::Busy { name: name() },
    })?;
    // It is kept, and shown to people.
    if format!("{described:?}").len() > DESCRIPTION {
        return Err(LoadError::Failed {
            name: name(),
            detail: format!("it says more than {DESCRIPTION} bytes of itself"),
        });
    }
    Ok(described)
}
