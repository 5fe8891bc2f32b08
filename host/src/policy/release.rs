//! One loaded policy: compiled, checked, and ready to serve requests.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::engine::Engine;
use super::fault::Fault;
use super::sandbox::Sandbox;
use super::session::Session;
use crate::wit::{PolicyPre, ProblemKind, Request};

/// What the host grants, sealed: its prefix and its version.
const WASI: &str = "wasi:";
const WASI_VERSION: &str = "@0.2.";

/// A policy that a gateway serves with. Clones share it.
#[derive(Clone)]
pub(crate) struct Release {
    engine: Engine,
    ready: PolicyPre<Sandbox>,
    name: Arc<str>,
    digest: Arc<str>,
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
    /// It cannot work with the settings that it is given.
    #[error("policy {name} refuses its settings: {detail}")]
    Settings {
        /// Whose component.
        name: String,
        /// What it says.
        detail: String,
    },
    /// It lacks part of the world, or was built for another version of it.
    #[error("policy {name} does not fit this gateway's world airlock:policy: {detail}")]
    Misfit {
        /// Whose component.
        name: String,
        /// Which export, and what is wrong with it.
        detail: String,
    },
}

impl Release {
    /// Whether the policy can work with these settings, a JSON object: it is shown a request that says nothing.
    ///
    /// # Errors
    /// Its own words, where it blames not the request but us.
    pub(crate) async fn accepts(&self, settings: &str) -> Result<(), LoadError> {
        let request = Request {
            id: "req_settings".to_owned(),
            arrived: 0,
            dialect: "chat-completions".to_owned(),
            body: "{}".to_owned(),
            attachments: Vec::new(),
            settings: settings.to_owned(),
            nested: false,
        };
        let rendered = match self.session().await {
            Ok(mut session) => session.render(&request).await,
            Err(fault) => Err(fault.into()),
        };
        match rendered {
            Err(failure) if failure.problem.kind == ProblemKind::Internal => {
                Err(LoadError::Settings {
                    name: self.name.to_string(),
                    detail: failure.problem.message,
                })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Compiles a component and checks both sides of it. Takes up to a second of CPU: not for a request's path.
    ///
    /// # Errors
    /// It is no component, imports what it may not, or exports not what the world asks for.
    pub(crate) fn load(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let invalid = |detail: String| LoadError::Invalid {
            name: name.to_owned(),
            detail,
        };
        is_component(bytes).map_err(|detail| invalid(detail.to_owned()))?;
        let component =
            Component::new(&engine.inner, bytes).map_err(|error| invalid(line(&error)))?;
        let imports = imports(engine, &component).map_err(|import| LoadError::Import {
            name: name.to_owned(),
            import,
        })?;
        let misfit = |error: wasmtime::Error| LoadError::Misfit {
            name: name.to_owned(),
            detail: line(&error),
        };
        let mut linker = Linker::new(&engine.inner);
        if imports == Imports::Wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(misfit)?;
        }
        let ready = linker
            .instantiate_pre(&component)
            .and_then(PolicyPre::new)
            .map_err(misfit)?;
        Ok(Self {
            engine: engine.clone(),
            ready,
            name: name.into(),
            digest: digest(bytes).into(),
        })
    }

    /// A sandbox for one request, from its first byte to its last.
    ///
    /// # Errors
    /// `Fault::Exhausted` when every sandbox is in use; another when the policy fails as it starts.
    pub(crate) async fn session(&self) -> Result<Session, Fault> {
        Session::new(&self.engine, &self.ready).await
    }

    /// Where the policy came from: `embedded`, or a file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first hexadecimal digits of the component's SHA-256, to tell releases apart.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}

/// Looks at the first eight bytes, of which the compiler prints a dump when they are not what they must be: the
/// magic number, the version, and the layer, which is 1 for components and 0 for modules.
fn is_component(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            Err("it is a core module; make a component of it, as `wasm-tools component new` does")
        }
        _ => Err("it is not a WebAssembly component"),
    }
}

/// An error with its causes on one line, whatever the compiler's layout.
fn line(error: &wasmtime::Error) -> String {
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

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
