//! The boundary's types, generated from `wit/`, and their re-exports. Nothing else.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "bindgen-generated code; the documentation is in wit/"
)]
mod generated {
    wasmtime::component::bindgen!({
        world: "policy",
        path: "../wit",
        exports: { default: async },
        additional_derives: [PartialEq],
    });
}

#[cfg(test)]
pub(crate) use generated::airlock::policy::types::Effort;
pub(crate) use generated::airlock::policy::types::{
    Attachment, Brief, Ending, Event, EventKind, InputItem, Model, Notification, Phase, Problem,
    ProblemKind, Reasoning, Request, Shortfall, Text, Usage,
};
pub(crate) use generated::exports::airlock::policy::admit::{Admission, Load};
pub(crate) use generated::exports::airlock::policy::prompt::Plan;
pub(crate) use generated::exports::airlock::policy::translate::{Closing, Context, Frame};
pub(crate) use generated::{Policy, PolicyPre};
