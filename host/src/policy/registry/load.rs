//! From a file to a release: trusted, compiled, asked what it is, given its settings, tried out.

use std::error::Error;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime::component::Component;

use super::find::{Finder, Found, blocking, embedded, name_of, read, store};
use super::folder::{self, Beside};
use super::state::{self, Record, State};
use super::{By, Desk, FOLDER, Loaded, RegistryError};
use crate::clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::policy::compile::Compiler;
use crate::policy::engine::Engine;
use crate::policy::release::{About, LoadError, Release, Terms};
use crate::policy::sandbox::Allowance;
use crate::policy::trust::{Signed, Trust, pinned};
use crate::policy::{conformance, settings};
use crate::wit::Description;

/// Releases whose description is remembered.
const LOADED: usize = 100;

/// What loading needs.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) config: &'a Config,
    pub(super) engine: &'a Engine,
    pub(super) compiler: &'a Compiler,
    pub(super) trust: &'a Trust,
    pub(super) metrics: &'a Metrics,
    pub(super) alarm: &'a Arc<Notify>,
}

/// Who makes the configured policy active.
const CONFIGURATION: &str = "configuration";

/// How long trying out a build may take.
const TRIAL: Duration = Duration::from_secs(60);

/// Characters of what a policy says of itself.
const DESCRIPTION: usize = 64 << 10;

/// A build that is trusted, compiled and tried out. Nobody knows of it yet.
pub(super) struct Ready {
    found: Found,
    component: Component,
    allowance: Allowance,
    signed_by: Option<String>,
    description: Option<Description>,
    settings: String,
    /// The release that it still is, with the same terms.
    same: Option<Release>,
}

/// A build that is trusted and compiled.
struct Compiled {
    found: Found,
    component: Component,
    allowance: Allowance,
    beside: Beside,
    signed_by: Option<String>,
}

impl Loader<'_> {
    /// The release to begin with, and by whom it is made active, where that is news.
    pub(super) async fn first(
        &self,
        desk: &mut Desk,
    ) -> Result<(Release, Option<By>), Box<dyn Error + Send + Sync>> {
        // What a configuration asked for counts as long as it does.
        let mut history = desk.state.kept.history.iter().rev();
        let last = history.find(|it| it.by != CONFIGURATION).cloned();
        let (found, by) = match (&self.config.policy, &last) {
            (Some(path), _) => {
                let (name, path) = (name_of(path), path.clone());
                let found = blocking(move || read(name, &path)).await?;
                (found, CONFIGURATION)
            }
            (None, Some(last)) => {
                let known = &desk.state.kept.releases;
                let finder = Finder {
                    config: self.config,
                    known,
                };
                let found = finder.again(&last.name, &last.digest).await;
                let found = found.map_err(|error| unusable(&last.name, &error))?;
                (found, "start")
            }
            (None, None) => (embedded(self.config), "start"),
        };
        let release = match self.ready(found, None, None, false).await {
            Ok(ready) => self.adopt(desk, ready),
            Err(error) => Err(error),
        };
        let release = release.map_err(|error| match (&self.config.policy, &last) {
            (None, Some(last)) => unusable(&last.name, &error.into()),
            (Some(_), _) | (None, None) => error.into(),
        })?;
        let newest = desk.state.kept.history.last();
        let is_news = newest.is_none_or(|last| last.release != release.about().number);
        Ok((release, is_news.then(|| By::name(by))))
    }

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
        let name = &compiled.found.name;
        let failed = |detail: &str| LoadError::Failed {
            name: name.clone(),
            detail: detail.to_owned(),
        };
        let (description, settings, same) = match before {
            Some(before) => {
                let settled = compiled.settled(self.config, before.description.as_ref());
                let settings = match settled {
                    // What is said beside it is meant for the build that is left.
                    Err(_) if lenient => before.settings.clone(),
                    settled => settled?,
                };
                if settings != before.settings {
                    let trial = self.make(&compiled, settings.clone(), 0)?;
                    trial.accepts().await?;
                }
                // It may still serve.
                let same = before.trace.find().filter(|release| {
                    release.settings() == settings && *release.allowance() == compiled.allowance
                });
                (before.description, settings, same)
            }
            None => {
                let tried = timeout(TRIAL, self.tried(&compiled)).await;
                let tried = tried.unwrap_or_else(|_| Err(failed("trying it out takes too long")));
                let (description, settings) = tried?;
                (description, settings, None)
            }
        };
        Ok(Ready {
            found: compiled.found,
            component: compiled.component,
            allowance: compiled.allowance,
            signed_by: compiled.signed_by,
            description,
            settings,
            same,
        })
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
        trial.accepts().await?;
        conformance::check(&trial).await?;
        Ok((description, settings))
    }

    /// Makes it a release. One that was a release before is one again with the same number.
    pub(super) fn adopt(&self, desk: &mut Desk, ready: Ready) -> Result<Release, LoadError> {
        let found = &ready.found;
        let known = desk.loaded(&found.name, &found.digest);
        let known = known.filter(|known| desk.state.remembers(known.record.number));
        if let Some(same) = ready.same.filter(|_| known.is_some()) {
            return Ok(same);
        }
        if known.is_none() && found.bytes.is_empty() {
            // Forgotten meanwhile.
            return Err(LoadError::Busy {
                name: found.name.clone(),
            });
        }
        if known.is_none() {
            let kept = self.keep(&desk.state, found);
            kept.map_err(|error| LoadError::Refused {
                name: found.name.clone(),
                detail: format!("it cannot be kept: {error}"),
            })?;
        }
        let compiled = Compiled {
            component: ready.component,
            allowance: ready.allowance,
            beside: Beside::default(),
            signed_by: ready.signed_by,
            found: ready.found,
        };
        let found = &compiled.found;
        let version = ready.description.as_ref().map(|it| it.version.clone());
        let record = match &known {
            Some(known) => known.record.clone(),
            None => desk.state.record(Record {
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
        desk.loaded.retain(|it| it.record.number != number);
        desk.loaded.push(Loaded {
            record,
            description: ready.description,
            settings: release.settings().to_owned(),
            trace: release.trace(),
        });
        // Of those that serve nobody any more the oldest are forgotten.
        let mut over = desk.loaded.len().saturating_sub(LOADED);
        desk.loaded.retain(|it| {
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
            settings,
            wasi: self.config.policies.wasi,
            alarm: self.alarm.clone(),
            meter: match number {
                0 => Arc::default(),
                number => self.metrics.release(number),
            },
        };
        Release::new(self.engine, &ready.component, about, terms)
    }

    /// What is said beside the policy, where its build was read.
    fn beside(&self, found: &Found) -> Result<Beside, String> {
        folder::beside(&found.folder.join(format!("{}.toml", found.name)))
    }

    /// What pins its digest: a file from elsewhere is held to what the folder says too.
    fn pins(&self, found: &Found, beside: &Beside) -> Result<Vec<String>, String> {
        let folder = self.config.codex.data_dir.join(FOLDER);
        let path = folder.join(format!("{}.toml", found.name));
        let own = folder::beside(&path)?.digest;
        Ok(beside.digest.clone().into_iter().chain(own).collect())
    }

    /// Who vouches for it.
    fn trusted(&self, found: &Found, beside: &Beside) -> Result<Option<String>, String> {
        for pin in self.pins(found, beside)? {
            pinned(&found.digest, &pin).map_err(|error| error.to_string())?;
        }
        if found.embedded {
            return Ok(None);
        }
        let signed = self.trust.check(&found.bytes, found.signature.as_deref());
        match signed.map_err(|error| error.to_string())? {
            Signed::By(key) => Ok(Some(key)),
            Signed::Unsigned => Ok(None),
        }
    }

    /// Keeps the component for a rollback, and forgets those that nobody remembers.
    fn keep(&self, state: &State, found: &Found) -> io::Result<()> {
        let folder = store(self.config);
        if !found.embedded {
            let path = folder.join(format!("{}.wasm", found.digest));
            if let Some(signature) = &found.signature {
                let beside = folder.join(format!("{}.wasm.minisig", found.digest));
                state::write(&beside, signature.as_bytes())?;
            }
            if !fs::read(&path).is_ok_and(|kept| kept == found.bytes) {
                state::write(&path, &found.bytes)?;
            }
        }
        // What another gateway remembers is not ours to remove.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|_| state.is_ours()) {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.split('.').next());
            let is_old = |digest: &str| {
                digest.len() == found.digest.len() && digest != found.digest && !state.needs(digest)
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
        config: &Config,
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

fn unusable(name: &str, error: &RegistryError) -> Box<dyn Error + Send + Sync> {
    format!("the policy that was active last, {name}: {error}; name another with --policy").into()
}
