//! The types of the WIT interfaces, generated from `wit/`, and the `export!` macro for a component's exports.
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
