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

pub(crate) use generated::airlock::policy::types::{
    Attachment, Brief, Choice, Context, Ending, Event, EventKind, InputItem, Model, Notification,
    Phase, Problem, ProblemKind, Reasoning, Request, Shortfall, Text, Tool, Usage, Wish,
};
pub(crate) use generated::exports::airlock::policy::admit::{Admission, Load};
pub(crate) use generated::exports::airlock::policy::prompt::{Plan, Resume, ToolResult};
pub(crate) use generated::exports::airlock::policy::synthesize::{Message, Outcome, Verdict};
pub(crate) use generated::exports::airlock::policy::translate::{Closing, Frame, Handoff, Told};
pub(crate) use generated::{Policy, PolicyPre};
