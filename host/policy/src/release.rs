//! One loaded policy: compiled, checked, and ready to serve requests.

mod error; // why one cannot be
mod imports; // what it needs of the host

use std::sync::{Arc, Weak};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use wasmtime::component::{Component, Linker};

pub use self::error::LoadError;
use self::imports::{Imports, imports};
use super::engine::Engine;
use super::health::Health;
use super::sandbox::SandboxLimits;
use super::size::BodyLimits;
use super::world::{self, World};
use crate::config::PolicyConfig;
use airlock_metrics::ReleaseMetrics;
use airlock_types::failure::Failure;
use airlock_types::wit::{ProblemKind, Request};

/// A policy that a gateway serves with. Clones share it; it is freed when the last of them is gone.
#[derive(Clone)]
pub struct Release(Arc<ReleaseInner>);

struct ReleaseInner {
    engine: Engine,
    component: Component,
    world: Arc<dyn World>,
    about: About,
    allowance: SandboxLimits,
    on_fault: OnFault,
    /// A JSON object.
    settings: String,
    /// Whether it imports WASI.
    wasi: bool,
    health: Health,
    meter: Arc<ReleaseMetrics>,
}

impl Drop for ReleaseInner {
    fn drop(&mut self) {
        self.meter.freed();
    }
}

/// What tells a release from others.
#[derive(Clone, Debug)]
pub struct About {
    /// What operators call the policy: `shipped`, or its file's name.
    pub name: String,
    /// The SHA-256 of its component, in 64 hexadecimal digits.
    pub digest: String,
    /// Counts the releases of a gateway's data directory, from 1. 0: it is none of a registry's.
    pub number: u64,
}

impl Release {
    /// Makes a release of compiled code, with both sides of it checked.
    ///
    /// # Errors
    /// It imports what it may not, or exports not what the world asks for.
    pub fn new(
        engine: &Engine,
        component: &Component,
        about: About,
        terms: ReleaseOptions,
    ) -> Result<Self, LoadError> {
        let name = || about.name.clone();
        let imports = imports(engine, component).map_err(|import| LoadError::Import {
            name: name(),
            import,
        })?;
        let misfit = |error: wasmtime::Error| LoadError::Misfit {
            name: name(),
            detail: line(&error),
        };
        let mut linker = Linker::new(&engine.inner);
        if imports == Imports::Wasi {
            if !terms.wasi {
                return Err(LoadError::Wasi { name: name() });
            }
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(misfit)?;
        }
        let world = linker
            .instantiate_pre(component)
            .and_then(|ready| world::of(ready, &component.component_type()))
            .map_err(misfit)?;
        terms.meter.loaded();
        Ok(Self(Arc::new(ReleaseInner {
            engine: engine.clone(),
            component: component.clone(),
            world: world.into(),
            about,
            allowance: terms.allowance,
            on_fault: terms.on_fault,
            settings: terms.settings,
            wasi: imports == Imports::Wasi,
            health: Health::new(terms.fault_notify),
            meter: terms.meter,
        })))
    }

    /// Compiles a component in this process and makes a release of it. Takes up to seconds of CPU.
    ///
    /// # Errors
    /// It is no component, or as for `new`.
    pub fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        terms: ReleaseOptions,
    ) -> Result<Self, LoadError> {
        let invalid = |detail: String| LoadError::Invalid {
            name: name.to_owned(),
            detail,
        };
        is_component(bytes).map_err(|detail| invalid(detail.to_owned()))?;
        let component =
            Component::new(&engine.inner, bytes).map_err(|error| invalid(line(&error)))?;
        let about = About {
            name: name.to_owned(),
            digest: digest(bytes),
            number: 0,
        };
        Self::new(engine, &component, about, terms)
    }

    /// The same on other terms, without compiling it again.
    ///
    /// # Errors
    /// As for `new`.
    pub fn on(&self, terms: ReleaseOptions) -> Result<Self, LoadError> {
        let ReleaseInner {
            engine, component, ..
        } = &*self.0;
        Self::new(engine, component, self.0.about.clone(), terms)
    }

    /// Whether the policy can work with its settings: it is shown a request that says nothing.
    ///
    /// # Errors
    /// Its own words, where it blames not the request but us; or its fault.
    pub async fn accepts(&self) -> Result<(), LoadError> {
        let request = Request {
            id: "req_settings".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            body: "{}".to_owned(),
            attachments: Vec::new(),
            settings: self.settings().to_owned(),
            nested: false,
        };
        let name = || self.about().name.clone();
        let failed = |detail: String| LoadError::Failed {
            name: name(),
            detail,
        };
        let mut session = self.session().await.map_err(|fault| match fault.kind() {
            Some(_) => failed(fault.to_string()),
            None => LoadError::Busy { name: name() },
        })?;
        match session.render(&request).await {
            // Only a fault has a cause. It is no word of the policy's.
            Err(Failure {
                cause: Some(fault), ..
            }) => Err(failed(fault.to_string())),
            Err(Failure { problem, .. }) if problem.kind == ProblemKind::Internal => {
                Err(LoadError::Settings {
                    name: name(),
                    detail: problem.message,
                })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The same policy on the same terms, with a record of its own that nobody looks at: what it is tried with does not
    /// count.
    pub(super) fn trial(&self) -> Self {
        let ReleaseInner {
            engine,
            component,
            world,
            about,
            allowance,
            on_fault,
            settings,
            wasi,
            ..
        } = &*self.0;
        let meter = Arc::<ReleaseMetrics>::default();
        meter.loaded();
        Self(Arc::new(ReleaseInner {
            engine: engine.clone(),
            component: component.clone(),
            world: world.clone(),
            about: about.clone(),
            allowance: *allowance,
            on_fault: *on_fault,
            settings: settings.clone(),
            wasi: *wasi,
            health: Health::new(Arc::default()),
            meter,
        }))
    }

    /// What tells it from others.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// The version of the world that it speaks: `0.2`.
    pub fn world_version(&self) -> &'static str {
        self.0.world.version()
    }

    /// What its requests carry as settings, a JSON object.
    pub fn settings(&self) -> &str {
        &self.0.settings
    }

    /// Whether it imports WASI, of which it gets nothing granted.
    pub fn imports_wasi(&self) -> bool {
        self.0.wasi
    }

    /// How it fares.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// What is counted of it.
    pub fn meter(&self) -> &Arc<ReleaseMetrics> {
        &self.0.meter
    }

    /// Sees whether it is still in memory.
    pub fn trace(&self) -> Trace {
        Trace(Arc::downgrade(&self.0))
    }

    pub(super) fn world(&self) -> &dyn World {
        self.0.world.as_ref()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What happens when it fails too often.
    pub fn on_fault(&self) -> OnFault {
        self.0.on_fault
    }

    /// The largest request that it has room for.
    pub fn bounds(&self) -> BodyLimits {
        BodyLimits::of(self.allowance())
    }

    /// What one of its requests may use.
    pub fn allowance(&self) -> &SandboxLimits {
        &self.0.allowance
    }
}

/// Finds a release again for as long as anybody uses it.
#[derive(Clone)]
pub struct Trace(Weak<ReleaseInner>);

impl Trace {
    /// The release, if it is still there.
    pub fn find(&self) -> Option<Release> {
        self.0.upgrade().map(Release)
    }

    /// Requests that run on it, and roles that it has.
    pub fn holders(&self) -> usize {
        self.0.strong_count()
    }
}

/// What happens when the active release fails too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The release before it becomes the active one again.
    #[default]
    Rollback,
    /// It stays active: requests that it fails on are refused, and no other policy answers them.
    Refuse,
}

/// On what terms a policy is run.
#[derive(Clone, Debug)]
pub struct ReleaseOptions {
    /// What one request may use.
    pub allowance: SandboxLimits,
    /// What follows a fault.
    pub on_fault: OnFault,
    /// A JSON object.
    pub settings: String,
    /// Whether it may import a sealed WASI.
    pub wasi: bool,
    /// Notified when it fails.
    pub fault_notify: Arc<Notify>,
    /// Where what it does is counted.
    pub meter: Arc<ReleaseMetrics>,
}

impl ReleaseOptions {
    /// Those of a policy of which the configuration says nothing special.
    pub fn of(config: &PolicyConfig) -> Self {
        Self {
            allowance: SandboxLimits::of(&config.sandbox),
            on_fault: OnFault::default(),
            settings: config.settings(),
            wasi: true,
            fault_notify: Arc::default(),
            meter: Arc::default(),
        }
    }
}

/// Looks at the first eight bytes, of which the compiler prints a dump when they are not what they must be: the
/// magic number, the version, and the layer, which is 1 for components and 0 for modules.
pub(super) fn is_component(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            Err("it is a core module; `airlock policy compose` makes a policy of it")
        }
        _ => Err("it is not a WebAssembly component"),
    }
}

/// An error with its causes on one line, whatever the compiler's layout.
pub(super) fn line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A component's SHA-256, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests;
