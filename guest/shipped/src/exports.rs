//! Exports the shipped policy from the component.
#![allow(
    unsafe_code,
    clippy::allow_attributes_without_reason,
    reason = "wit-bindgen's output"
)]

use crate::component::Shipped;

crate::bindings::export!(Shipped with_types_in crate::bindings);
