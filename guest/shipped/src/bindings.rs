//! The boundary's types, generated from `wit/`, and the component's exports. The policy's only unsafe code but for its allocator.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::str_to_string,
    reason = "wit-bindgen's output; its documentation is in wit/"
)]

wit_bindgen::generate!({
    world: "relayer",
    path: "../../wit",
    pub_export_macro: true,
    default_bindings_module: "airlock_shipped_policy::bindings",
    additional_derives: [PartialEq],
});

// Native builds cannot link a component's exports, and a policy that builds on this one exports itself.
#[cfg(all(target_arch = "wasm32", feature = "export"))]
use crate::component::Shipped;
#[cfg(all(target_arch = "wasm32", feature = "export"))]
export!(Shipped with_types_in crate::bindings);
