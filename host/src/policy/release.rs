//! One loaded policy: compiled, checked, and ready to serve requests.

use std::sync::{Arc, Weak};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::engine::Engine;
use super::fault::Fault;
use super::health::Health;
use super::sandbox::Allowance;
use super::session::Session;
use super::world::{self, World};
use crate::config::Config;
use crate::metrics::{Meter, Work};
use crate::wit::{ProblemKind, Request};

/// What the host grants, sealed: its prefix and its version.
const WASI: &str = "wasi:";
const WASI_VERSION: &str = "@0.2.";

/// A policy that a gateway serves with. Clones share it; it is freed when the last of them is gone.
#[derive(Clone)]
pub(crate) struct Release(Arc<Loaded>);

struct Loaded {
    engine: Engine,
    world: Box<dyn World>,
    about: About,
    allowance: Allowance,
    /// A JSON object.
    settings: String,
    /// Whether it imports WASI.
    wasi: bool,
    health: Health,
    meter: Arc<Meter>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.meter.went();
    }
}

/// What tells a release from others.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// What operators call the policy: `shipped`, or its file's name.
    pub(crate) name: String,
    /// The SHA-256 of its component, in 64 hexadecimal digits.
    pub(crate) digest: String,
    /// Counts the releases of a gateway's data directory, from 1. 0: it is none of a registry's.
    pub(crate) number: u64,
}

/// A component that cannot serve as a policy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// It is not a component, or one that this engine refuses.
    #[error("policy {name} does not compile: {detail}")]
    Invalid {
        /// Whose component.
        name: String,
        /// What the compiler says.
        detail: String,
    },
    /// It wants something of the host.
    #[error("policy {name} imports {import}: a policy gets nothing but a sealed WASI 0.2")]
    Import {
        /// Whose component.
        name: String,
        /// What it imports.
        import: String,
    },
    /// It wants WASI, which this gateway does not give.
    #[error("policy {name} imports WASI, which `policies.wasi` forbids")]
    Wasi {
        /// Whose component.
        name: String,
    },
    /// It is not to be loaded: it is not trusted, or what is said beside it is wrong.
    #[error("policy {name} is refused: {detail}")]
    Refused {
        /// Whose component.
        name: String,
        /// Why.
        detail: String,
    },
    /// There is no room to try it out in now.
    #[error("policy {name} cannot be tried out: every sandbox is in use; try again in a moment")]
    Busy {
        /// Whose component.
        name: String,
    },
    /// It fails already when it is tried out.
    #[error("policy {name} does not do what a policy must: {detail}")]
    Failed {
        /// Whose component.
        name: String,
        /// At what.
        detail: String,
    },
    /// It cannot work with the settings that it is given.
    #[error("policy {name} refuses its settings: {detail}")]
    Settings {
        /// Whose component.
        name: String,
        /// What it says.
        detail: String,
    },
    /// It lacks part of the world, or was built for another version of it.
    #[error(
        "policy {name} does not fit this gateway's world airlock:policy: {detail}; `airlock policy compose` completes one that leaves exports out"
    )]
    Misfit {
        /// Whose component.
        name: String,
        /// Which export, and what is wrong with it.
        detail: String,
    },
}

impl Release {
    /// Makes a release of compiled code, with both sides of it checked.
    ///
    /// # Errors
    /// It imports what it may not, or exports not what the world asks for.
    pub(crate) fn new(
        engine: &Engine,
        component: &Component,
        about: About,
        terms: Terms,
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
        terms.meter.came();
        Ok(Self(Arc::new(Loaded {
            engine: engine.clone(),
            world,
            about,
            allowance: terms.allowance,
            settings: terms.settings,
            wasi: imports == Imports::Wasi,
            health: Health::new(terms.alarm),
            meter: terms.meter,
        })))
    }

    /// Compiles a component in this process and makes a release of it. Takes up to seconds of CPU.
    ///
    /// # Errors
    /// It is no component, or as for `new`.
    pub(crate) fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        terms: Terms,
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

    /// Whether the policy can work with its settings: it is shown a request that says nothing.
    ///
    /// # Errors
    /// Its own words, where it blames not the request but us.
    pub(crate) async fn accepts(&self) -> Result<(), LoadError> {
        let request = Request {
            id: "req_settings".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            body: "{}".to_owned(),
            attachments: Vec::new(),
            settings: self.settings().to_owned(),
            nested: false,
        };
        let rendered = match self.session().await {
            Ok(mut session) => session.render(&request).await,
            Err(fault) => Err(fault.into()),
        };
        match rendered {
            Err(failure) if failure.problem.kind == ProblemKind::Internal => {
                Err(LoadError::Settings {
                    name: self.about().name.clone(),
                    detail: failure.problem.message,
                })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A sandbox for one request, from its first byte to its last.
    ///
    /// # Errors
    /// `Fault::Exhausted` when every sandbox is in use; another when the policy fails as it starts.
    pub(crate) async fn session(&self) -> Result<Session, Fault> {
        Session::new(self, Work::Serving).await
    }

    /// What tells it from others.
    pub(crate) fn about(&self) -> &About {
        &self.0.about
    }

    /// The version of the world that it speaks: `0.2`.
    pub(crate) fn world_version(&self) -> &'static str {
        self.0.world.version()
    }

    /// What its requests carry as settings, a JSON object.
    pub(crate) fn settings(&self) -> &str {
        &self.0.settings
    }

    /// Whether it imports WASI, of which it gets nothing granted.
    pub(crate) fn imports_wasi(&self) -> bool {
        self.0.wasi
    }

    /// How it fares.
    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    /// What is counted of it.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.0.meter
    }

    /// Sees whether it is still in memory.
    pub(crate) fn trace(&self) -> Trace {
        Trace(Arc::downgrade(&self.0))
    }

    pub(super) fn world(&self) -> &dyn World {
        self.0.world.as_ref()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What one of its requests may use.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }
}

/// Finds a release again for as long as anybody uses it.
#[derive(Clone)]
pub(crate) struct Trace(Weak<Loaded>);

impl Trace {
    /// The release, if it is still there.
    pub(crate) fn find(&self) -> Option<Release> {
        self.0.upgrade().map(Release)
    }

    /// Requests that run on it, and roles that it has.
    pub(crate) fn holders(&self) -> usize {
        self.0.strong_count()
    }
}

/// On what terms a policy is run.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) allowance: Allowance,
    /// A JSON object.
    pub(crate) settings: String,
    /// Whether it may import a sealed WASI.
    pub(crate) wasi: bool,
    /// Rung when it fails.
    pub(crate) alarm: Arc<Notify>,
    /// Where what it does is counted.
    pub(crate) meter: Arc<Meter>,
}

impl Terms {
    /// Those of a policy of which the configuration says nothing special.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            allowance: Allowance::of(&config.sandbox),
            settings: config.for_policy(),
            wasi: true,
            alarm: Arc::default(),
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

/// What a component needs of the host.
#[derive(Debug, PartialEq, Eq)]
enum Imports {
    /// Types at most.
    Nothing,
    /// Part of WASI 0.2.
    Wasi,
}

/// What the component imports, or the name of an import that no policy gets.
fn imports(engine: &Engine, component: &Component) -> Result<Imports, String> {
    let mut found = Imports::Nothing;
    for (name, item) in component.component_type().imports(&engine.inner) {
        if is_type(engine, &item.ty) {
            continue;
        }
        if !(name.starts_with(WASI) && name.contains(WASI_VERSION)) {
            return Err(name.to_owned());
        }
        found = Imports::Wasi;
    }
    Ok(found)
}

/// Whether an item is only a name for types. Functions and resources are more: somebody must provide them.
fn is_type(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(&engine.inner)
            .all(|(_, item)| is_type(engine, &item.ty)),
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::Resource(_) => false,
    }
}

/// A component's SHA-256, in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests;
