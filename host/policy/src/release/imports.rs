//! The imports of a component: types, WASI, or others, which are refused.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::engine::Engine;

/// The package and version of the interfaces that a policy may import.
const WASI: &str = "wasi:";
const WASI_VERSION: &str = "@0.2.";

/// The imports that the host must provide.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Imports {
    /// None; types at most.
    Nothing,
    /// Part of WASI 0.2.
    Wasi,
}

/// The component's imports, or the name of one that is refused.
pub(super) fn imports(engine: &Engine, component: &Component) -> Result<Imports, String> {
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

/// Whether an item has only types. Functions and resources would have to be provided.
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
