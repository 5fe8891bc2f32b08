//! One loaded policy: compiled, checked, and ready to serve requests.

mod error; // why a component is not a release
mod imports; // what a component imports

use std::sync::{Arc, Weak};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, OnceCell};
use wasmtime::component::{Component, Linker};

pub use self::error::LoadError;
use self::imports::{Imports, imports};
use super::engine::Engine;
use super::fault::Fault;
use super::health::Health;
use super::request_size::BodyLimits;
use super::sandbox::SandboxLimits;
use super::world::{self, World};
use crate::config::PolicyConfig;
use airlock_metrics::ReleaseMetrics;
use airlock_types::failure::Failure;
use airlock_types::wit::{ProblemKind, Request, Transport};

/// The dialect that every policy supports.
const CHAT_COMPLETIONS: &str = "chat-completions";

/// A policy that is ready to serve. Clones share it; it is freed with the last of them.
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
    /// The dialects of its manifest, once one was needed.
    dialects: OnceCell<Vec<String>>,
}

impl Drop for ReleaseInner {
    fn drop(&mut self) {
        self.meter.freed();
    }
}

/// The identity of a release.
#[derive(Clone, Debug)]
pub struct About {
    /// The policy's name for operators: `shipped`, or the name of its file.
    pub name: String,
    /// The SHA-256 of the component, in 64 hexadecimal digits.
    pub digest: String,
    /// The number of the release in the gateway's data directory, from 1. 0 outside a registry.
    pub number: u64,
}

impl Release {
    /// Makes a release of compiled code. Checks its imports and exports.
    ///
    /// # Errors
    /// The component has an import that is not granted, or its exports do not match the world.
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
            dialects: OnceCell::new(),
        })))
    }

    /// Compiles a component in this process, which takes up to seconds of CPU, and makes a release of it.
    ///
    /// # Errors
    /// The bytes are not a component; or as for `new`.
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

    /// Whether the policy supports this dialect: its manifest lists it. Every policy supports chat completions.
    ///
    /// # Errors
    /// The policy cannot describe itself.
    pub async fn supports_dialect(&self, dialect: &str) -> Result<bool, Fault> {
        if dialect == CHAT_COMPLETIONS {
            return Ok(true);
        }
        let described = self.0.dialects.get_or_try_init(async || {
            let description = self.describe().await?;
            Ok::<_, Fault>(description.map(|it| it.dialects).unwrap_or_default())
        });
        Ok(described.await?.iter().any(|it| it == dialect))
    }

    /// The compiled code.
    pub(crate) fn code(&self) -> Vec<u8> {
        let code = self.0.component.serialize();
        code.unwrap_or_else(|error| unreachable!("compiled code is serializable: {error}"))
    }

    /// The same component with other options, without compiling it again.
    ///
    /// # Errors
    /// As for `new`.
    pub fn on(&self, terms: ReleaseOptions) -> Result<Self, LoadError> {
        let ReleaseInner {
            engine, component, ..
        } = &*self.0;
        Self::new(engine, component, self.0.about.clone(), terms)
    }

    /// Checks that the policy accepts its settings: renders an empty request, which it may refuse.
    ///
    /// # Errors
    /// The policy's message if it answers with an internal problem, or its fault.
    pub async fn accepts(&self) -> Result<(), LoadError> {
        let request = Request {
            id: "req_settings".to_owned(),
            arrived: 0,
            dialect: CHAT_COMPLETIONS.to_owned(),
            body: "{}".to_owned(),
            attachments: Vec::new(),
            settings: self.settings().to_owned(),
            nested: false,
            route: "POST /v1/chat/completions".to_owned(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            seed: String::new(),
            transport: Transport::Http,
            has_store: true,
            loaded: None,
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
            // Only a fault has a cause; a problem without one is the policy's own.
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

    /// The same release with health and metrics of its own, so that calls that only try it do not count.
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
            dialects: OnceCell::new(),
        }))
    }

    /// The release's identity.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// The version of the world that the component implements: `0.3.0-draft`.
    pub fn world_version(&self) -> &'static str {
        self.0.world.version()
    }

    /// The settings that its requests carry, a JSON object.
    pub fn settings(&self) -> &str {
        &self.0.settings
    }

    /// Whether it imports WASI.
    pub fn imports_wasi(&self) -> bool {
        self.0.wasi
    }

    /// The release's requests and faults.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// The release's metrics.
    pub fn meter(&self) -> &Arc<ReleaseMetrics> {
        &self.0.meter
    }

    /// A weak reference to it.
    pub fn trace(&self) -> Trace {
        Trace(Arc::downgrade(&self.0))
    }

    pub(super) fn world(&self) -> &dyn World {
        self.0.world.as_ref()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The action when it fails too often.
    pub fn on_fault(&self) -> OnFault {
        self.0.on_fault
    }

    /// The largest request that its memory allows.
    pub fn bounds(&self) -> BodyLimits {
        BodyLimits::of(self.allowance())
    }

    /// The limits of each request.
    pub fn allowance(&self) -> &SandboxLimits {
        &self.0.allowance
    }
}

/// A weak reference to a release.
#[derive(Clone)]
pub struct Trace(Weak<ReleaseInner>);

impl Trace {
    /// The release, if it is still in memory.
    pub fn find(&self) -> Option<Release> {
        self.0.upgrade().map(Release)
    }

    /// The number of its requests and roles.
    pub fn holders(&self) -> usize {
        self.0.strong_count()
    }
}

/// The action when the active release fails too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The release before it becomes the active one again.
    #[default]
    Rollback,
    /// The release stays active. Requests on which it fails are refused.
    Refuse,
}

/// The options of a release.
#[derive(Clone, Debug)]
pub struct ReleaseOptions {
    /// The limits of each request.
    pub allowance: SandboxLimits,
    /// The action when it fails too often.
    pub on_fault: OnFault,
    /// The policy's settings, a JSON object.
    pub settings: String,
    /// Whether it may import WASI, of which nothing is granted.
    pub wasi: bool,
    /// Notified at every fault.
    pub fault_notify: Arc<Notify>,
    /// The release's metrics.
    pub meter: Arc<ReleaseMetrics>,
}

impl ReleaseOptions {
    /// The options of a policy without settings of its own in the configuration.
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

/// Checks the first eight bytes: the magic number, the version, and the layer, which is 1 for components and 0 for modules.
/// The compiler's own error would print a dump of them.
pub(super) fn is_component(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            Err("it is a core module; `airlock policy compose` makes a policy of it")
        }
        _ => Err("it is not a WebAssembly component"),
    }
}

/// An error with its causes, on one line.
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
