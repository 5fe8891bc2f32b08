//! The types of the WIT interfaces, generated from one version of the world or the other. The policy's only unsafe code.
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

#[cfg(not(feature = "earlier"))]
wit_bindgen::generate!({
    world: "policy",
    path: "../../wit",
    additional_derives: [PartialEq],
});

#[cfg(feature = "earlier")]
wit_bindgen::generate!({
    world: "policy",
    path: "../../host/policy/fixtures/wit-0.1",
    additional_derives: [PartialEq],
});

// Native builds cannot link a component's exports.
#[cfg(target_arch = "wasm32")]
use crate::Policy;
#[cfg(target_arch = "wasm32")]
export!(Policy);
