//! What a component imports: types, WASI, or something that no policy gets.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::engine::Engine;

/// What the host grants, sealed: its prefix and its version.
const WASI: &str = "wasi:";
const WASI_VERSION: &str = "@0.2.";

/// What a component needs of the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Imports {
    /// Types at most.
    Nothing,
    /// Part of WASI 0.2.
    Wasi,
}

/// What the component imports, or the name of an import that no policy gets.
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
