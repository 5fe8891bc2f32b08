//! Exports the shipped policy from the component.
#![allow(
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "wit-bindgen's output"
)]

use crate::component::ShippedPolicy;

crate::bindings::export!(ShippedPolicy with_types_in crate::bindings);
