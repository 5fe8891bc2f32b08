//! The types of the WIT interfaces that this component exports, generated from `wit/`.
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
    inline: "
        package airlock:majority;
        world majority {
            include airlock:policy/describer@0.3.0-draft;
            include airlock:policy/synthesizer@0.3.0-draft;
        }
    ",
    path: "../../wit",
    world: "airlock:majority/majority",
    generate_all,
    additional_derives: [PartialEq],
});
