//! Exports the panel from the component.
#![allow(
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "wit-bindgen's output"
)]

use crate::Majority;

crate::bindings::export!(Majority with_types_in crate::bindings);
